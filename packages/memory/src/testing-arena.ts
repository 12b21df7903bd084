import { Arena, type ArenaOptions } from './arena.ts'
import type { SwapFile } from './parked/swap-space.ts'
import { PAGE_SIZE } from './page-size.ts'

/** An arena over plain buffers, for tests; what is discarded is zeros, and is counted. */
export function testArena(options: ArenaOptions = {}, maximum: number = 64 * 2 ** 20): { readonly arena: Arena; readonly discarded: () => number } {
  let buffer = new ArrayBuffer(65536)
  let discarded = 0
  const arena = new Arena({
    get buffer() { return buffer },
    grow(pages) {
      const next = new ArrayBuffer(buffer.byteLength + pages * 65536)
      new Uint8Array(next).set(new Uint8Array(buffer))
      buffer = next
      return 0
    },
    discard(offset, length) {
      new Uint8Array(buffer).fill(0, offset, offset + length)
      discarded += length / PAGE_SIZE
      return true
    },
  }, maximum, options)
  return { arena, discarded: () => discarded }
}

/** A swap file in memory. */
export function testSwap(pages: number): SwapFile & { readonly content: Map<number, Uint8Array> } {
  const content = new Map<number, Uint8Array>()
  return {
    pages, content,
    read(page, into) { into.set(content.get(page) ?? into.fill(0)) },
    write(page, from) {
      content.set(page, from.slice())
      return true
    },
    close() {},
  }
}
