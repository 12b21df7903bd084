import type { LinearMemory } from '@machinist/memory'
import { libc } from './libc.ts'

/**
 * Lets a shared linear memory give pages back to Linux, by madvise(2). V8 says nothing of that, neither that it may be done nor that it may not: it maps the memory as anonymous pages of its own, and all that changes is that they are zeros and
 * take no room. A host where it does not work, or without koffi, keeps what is freed for the next who needs memory.
 */
export function discardable<Memory extends LinearMemory>(memory: Memory): Memory {
  let works = true
  return Object.assign(memory, {
    discard(offset: number, length: number): boolean {
      // Of memory that is not shared, V8 may make a copy at another place.
      if (!works || memory.buffer instanceof ArrayBuffer) return false
      const calls = libc()
      // The kernel would round up, and take what is behind.
      if (calls !== null && (offset % calls.pageSize !== 0 || length % calls.pageSize !== 0)) return false
      works = calls !== null && calls.discard(new Uint8Array(memory.buffer, offset, length)) === 0
      return works
    },
  })
}
