import { expect } from 'vitest'
import { isMachinistError } from '@machinist/api'
import type { BlockPort } from '@machinist/api'
import { imageDisk } from '../src/index.ts'
import type { DiskFormat, DiskImage, OpenOptions, RandomAccessFile } from '../src/index.ts'
import { SparseBytes } from '../src/sparse.ts'
import { done } from './qcow2.ts'
import { codec } from './support.ts'

/** A sparse file in memory, of at most 64 MiB of content. */
export class SparseFile implements RandomAccessFile {
  readonly writable = true
  readonly #bytes = new SparseBytes(64 << 20)
  size: number

  constructor(bytes: Uint8Array) {
    this.size = bytes.length
    this.#bytes.write(0, bytes)
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    expect(Number.isSafeInteger(offset) && offset >= 0).toBe(true)
    const count = Math.max(0, Math.min(into.length, this.size - offset))
    this.#bytes.read(offset, into.subarray(0, count))
    await Promise.resolve()
    return count
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    expect(Number.isSafeInteger(offset) && offset >= 0).toBe(true)
    await Promise.resolve()
    if (!this.#bytes.write(offset, from)) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
    this.size = Math.max(this.size, offset + from.length)
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  async truncate(size: number): Promise<void> {
    this.size = size
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

const words = [0, 1, 2, 7, 0x1ff, 0x200, 0x400, 0xfff, 0x1000, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x40000000, 0xc0000000, 0x00ffffff, 0x001fffff]

/** Some bytes of an image become others: of its first sectors above all. */
export function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const changed = bytes.slice()
  const view = new DataView(changed.buffer)
  for (let count = 1 + random(4); count > 0; count--) {
    const at = random(2) === 0 ? random(Math.min(128, bytes.length - 8)) : random(bytes.length - 8)
    switch (random(5)) {
      case 0: changed[at] = random(256); break
      case 1: changed[at] = (changed[at] ?? 0) ^ 1 << random(8); break
      case 2: view.setUint32(at & ~3, words[random(words.length)] ?? 0); break
      case 3:
        view.setUint32(at & ~7, words[random(words.length)] ?? 0)
        view.setUint32((at & ~7) + 4, words[random(words.length)] ?? 0)
        break
      default: view.setBigUint64(at & ~7, view.getBigUint64(random(bytes.length - 8) & ~7))
    }
  }
  return random(10) === 0 ? changed.slice(0, random(changed.length)) : changed
}

export async function typed<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (isMachinistError(error)) return null
    throw error
  }
}

/** Requests of all kinds, at once; each is answered. */
export async function askAnything(port: BlockPort, random: (below: number) => number): Promise<void> {
  await Promise.all(Array.from({ length: 20 }, () => {
    const length = Math.min(port.size, 512 * (1 + random(200)))
    const offset = Math.floor((port.size - length) / 512 * random(1000) / 1000) * 512
    return done((finish) => {
      switch (random(5)) {
        case 0: port.read(offset, [new Uint8Array(length)], finish); break
        case 1: port.writeZeroes?.(offset, length, finish); break
        case 2: port.discard?.(offset, length, finish); break
        case 3: port.flush(finish); break
        default: port.write(offset, [new Uint8Array(length).fill(1)], finish)
      }
    })
  }))
}

/** Opens a hostile image and does everything with it. @returns whether it opened */
export async function exercise(format: DiskFormat, bytes: Uint8Array, random: (below: number) => number): Promise<boolean> {
  const options: OpenOptions = { name: 'hostile', codec, openFile: () => Promise.reject(Object.assign(new Error('image: no'), { name: 'MachinistError', code: 'x', part: 'y', remedy: 'z' })) }
  const whole = async (image: DiskImage): Promise<void> => {
    await image.info()
    await image.check?.()
    let steps = 0
    for await (const { offset, length } of image.ranges()) {
      expect(length).toBeGreaterThan(0)
      expect(offset + length).toBeLessThanOrEqual(image.size)
      if (++steps > 5000) break
    }
  }
  const reader = await typed(() => format.open(new SparseFile(bytes), { ...options, readOnly: true }))
  if (reader !== null) {
    await typed(() => whole(reader))
    await typed(() => reader.close())
  }
  const repairer = await typed(() => format.open(new SparseFile(bytes), { ...options, maintenance: true }))
  if (repairer !== null) {
    await typed(async () => {
      await repairer.check?.({ repair: 'all' })
      await repairer.close()
    })
  }
  const image = await typed(() => format.open(new SparseFile(bytes), options))
  if (image === null) return reader !== null
  if (random(2) === 0) await typed(() => image.resize?.(Math.min(2 ** 40, image.size + 512 * random(5000)), {}) ?? Promise.resolve())
  if (image.size > 0) {
    const disk = imageDisk(image)
    const port = disk.connect((callback) => { callback() })
    await askAnything(port, random)
  }
  // What cannot be written any more is an error of the system, and that is all.
  await image.close().catch((error: unknown) => { expect((error as { code?: string }).code).toMatch(/^E[A-Z]+$/) })
  return true
}
