import type { BlockStatus } from '@machinist/api'
import { expect, it } from 'vitest'
import { createImage, openImage, qcow2, type RandomAccessFile } from '../index.ts'

const BLOCK = 4096

/** A sparse file on a disk with so many blocks, some of which others have. */
class TightFile implements RandomAccessFile {
  readonly writable = true
  readonly blocks = new Map<number, Uint8Array>()
  room: number
  size = 0

  constructor(room: number) {
    this.room = room
  }

  read(offset: number, into: Uint8Array): Promise<number> {
    const count = Math.max(0, Math.min(into.length, this.size - offset))
    for (let done = 0; done < count;) {
      const at = offset + done
      const piece = into.subarray(done, Math.min(count, done + BLOCK - at % BLOCK))
      const block = this.blocks.get(Math.floor(at / BLOCK))
      if (block === undefined) piece.fill(0)
      else piece.set(block.subarray(at % BLOCK, at % BLOCK + piece.length))
      done += piece.length
    }
    return Promise.resolve(count)
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await Promise.resolve()
    for (let done = 0; done < from.length;) {
      const at = offset + done
      const number = Math.floor(at / BLOCK)
      const piece = from.subarray(done, done + BLOCK - at % BLOCK)
      let block = this.blocks.get(number)
      if (block === undefined) {
        if (this.blocks.size * BLOCK >= this.room) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        this.blocks.set(number, block = new Uint8Array(BLOCK))
      }
      block.set(piece, at % BLOCK)
      done += piece.length
      this.size = Math.max(this.size, at + piece.length)
    }
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  discard(offset: number, length: number): Promise<void> {
    for (let number = Math.ceil(offset / BLOCK); (number + 1) * BLOCK <= offset + length; number++) this.blocks.delete(number)
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A table for each 2 MiB of the disk, a block of counts for each 128 clusters: much that is no data. */
const parameters = { cluster_size: '4096', refcount_bits: '64' }
const SIZE = 256 << 20

it.each([[1, 30 * BLOCK], [2, 75 * BLOCK], [3, 521 * BLOCK], [4, 1100 * BLOCK], [5, 1103 * BLOCK]])('a disk that becomes full refuses what has no room, and loses nothing that it answered (seed %d, %d bytes)', async (seed, room) => {
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
  const file = new TightFile(room)
  await createImage(file, SIZE, { name: 'test', format: 'qcow2', parameters })
  const open = async () => openImage(file, { name: 'test', readOnly: false, formats: [qcow2] }, 'qcow2')
  let image = await open()
  const content = new Map<number, number>()
  const uncertain = new Set<number>()
  let refused = 0
  let overwritten = 0
  const write = async (at: number, count: number, fill: number): Promise<BlockStatus> => {
    const status = await image.write(at * 512, [new Uint8Array(count * 512).fill(fill)])
    for (let sector = at; sector < at + count; sector++) {
      if (status === 'ok') {
        content.set(sector, fill)
        uncertain.delete(sector)
      } else uncertain.add(sector)
    }
    return status
  }
  for (let step = 0; step < 1500 && refused < 200; step++) {
    const known = [...content.keys()]
    if (refused > 0 && random(2) === 0 && known.length > 0) {
      // What is there can be written over.
      const at = known[random(known.length)] ?? 0
      if (uncertain.has(at)) continue
      expect(await write(at, 1, 1 + random(255))).toBe('ok')
      overwritten += 1
    } else {
      const at = random(3) === 0 ? random(SIZE / 512 - 32) : random(8192)
      const status = await write(at, 1 + random(32), 1 + random(255))
      expect(['ok', 'no-space']).toContain(status)
      if (status !== 'ok') refused += 1
    }
    // What was answered can always be flushed.
    if (random(10) === 0) expect(await image.flush()).toBe('ok')
    if (random(40) === 0 && refused > 0) {
      // Room comes back: all below a place is discarded.
      const at = random(64) * 64
      expect(await image.discard(at * 512, 64 * 512)).toBe('ok')
      for (let sector = at; sector < at + 64; sector++) {
        content.delete(sector)
        uncertain.delete(sector)
      }
    }
  }
  expect(refused).toBeGreaterThan(0)
  expect(overwritten).toBeGreaterThan(0)
  expect(await image.flush()).toBe('ok')
  await image.close()
  image = await open()
  expect(await image.check?.()).toMatchObject({ corruptions: 0, leaks: 0 })
  const sector = new Uint8Array(512)
  for (const [at, fill] of content) {
    if (uncertain.has(at)) continue
    expect(await image.read(at * 512, [sector])).toBe('ok')
    expect(sector.every((byte) => byte === fill), `sector ${String(at)}`).toBe(true)
  }
  // There is an end to what is refused.
  file.room = Infinity
  expect(await write(100_000, 8, 7)).toBe('ok')
  await image.close()
})

it('what was discarded is room for the next write, flushed or not', async () => {
  const file = new TightFile(120 * BLOCK)
  await createImage(file, SIZE, { name: 'test', format: 'qcow2', parameters })
  const image = await openImage(file, { name: 'test', readOnly: false, formats: [qcow2] }, 'qcow2')
  let count = 0
  while (await image.write(count * BLOCK, [new Uint8Array(BLOCK).fill(1)]) === 'ok') count += 1
  expect(count).toBeGreaterThan(50)
  expect(await image.discard(0, 8 * BLOCK)).toBe('ok')
  for (let at = 0; at < 7; at++) expect(await image.write((count + at) * BLOCK, [new Uint8Array(BLOCK).fill(2)])).toBe('ok')
  expect(await image.flush()).toBe('ok')
  expect(await image.check?.()).toMatchObject({ corruptions: 0, leaks: 0 })
  await image.close()
})
