import { expect, it } from 'vitest'
import type { RandomAccessFile } from './file.ts'
import { growing } from './growing.ts'

it.each(['at once', 'later'])('its size follows writes that were done, and truncate: %s', async (when) => {
  let full = false
  const write = (): void => { if (full) throw Object.assign(new Error('full'), { code: 'ENOSPC' }) }
  const file: RandomAccessFile = {
    size: 1000,
    writable: true,
    read: () => 0,
    write: when === 'later' ? () => Promise.resolve().then(write) : write,
    flush: () => Promise.resolve(),
    truncate: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const grown = growing(file)
  const sizes: number[] = []
  for (const offset of [0, 900, 990, 2000, 500]) {
    const done = grown.write(offset, new Uint8Array(100))
    if (when === 'at once') expect(done).toBe(undefined)
    await done
    sizes.push(grown.size)
  }
  full = true
  await expect((async () => { await grown.write(5000, new Uint8Array(100)) })()).rejects.toThrow('full')
  sizes.push(grown.size)
  await grown.truncate?.(700)
  expect([...sizes, grown.size]).toEqual([1000, 1000, 1090, 2100, 2100, 2100, 700])
})
