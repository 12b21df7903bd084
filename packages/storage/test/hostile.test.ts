import { describe, expect, it } from 'vitest'
import { isMachinistError } from '@machinist/api'
import { diskFormats, imageDisk, memoryDisk, openImage, openOverlayFile, overlay, qcow2 } from '../src/index.ts'
import { askAnything, exercise, mutate, SparseFile, typed } from './fuzz.ts'
import { done } from './qcow2.ts'
import { generator } from './support.ts'
import { SEED } from './seed.ts'

async function sound(clusterSize: number): Promise<Uint8Array> {
  const file = new SparseFile(new Uint8Array(0))
  await qcow2.create?.(file, 1 << 20, { name: 'image', parameters: { cluster_size: String(clusterSize) } })
  const image = await qcow2.open(file, { name: 'image' })
  for (let at = 0; at < 1 << 20; at += 3 * clusterSize) await image.write(at, [new Uint8Array(clusterSize).fill(9)])
  await image.writeZeroes(0, 3 * clusterSize)
  await image.close()
  const bytes = new Uint8Array(file.size)
  await file.read(0, bytes)
  return bytes
}

describe('hostile qcow2 images', () => {
  it('give typed errors or fail requests, whatever is changed in them', async () => {
    const random = generator(5)
    let opened = 0
    for (const clusterSize of [512, 4096]) {
      const bytes = await sound(clusterSize)
      for (let round = 0; round < 60; round++) if (await exercise(qcow2, mutate(bytes, random), random)) opened += 1
    }
    // Most changes leave something to open, or nothing was tried.
    expect(opened).toBeGreaterThan(30)
  })

  it('cannot have their own header written by the guest', async () => {
    const bytes = await sound(512)
    const view = new DataView(bytes.buffer)
    // Every entry of every L2 table leads to the header, to the L1 table, or to the table of counts.
    for (let entry = Number(view.getBigUint64(40)), index = 0; index < view.getUint32(36); index++) {
      const table = Number(view.getBigUint64(entry + index * 8) & 0xfffffffffffe00n)
      if (table === 0) continue
      const metadata = [512n, view.getBigUint64(40), view.getBigUint64(48), BigInt(table)]
      for (let slot = 0; slot < 64; slot++) view.setBigUint64(table + slot * 8, (1n << 63n) | (slot === 0 ? 0n : metadata[slot % 4] ?? 0n))
    }
    const file = new SparseFile(bytes)
    const port = imageDisk(await qcow2.open(file, { name: 'image' })).connect((callback) => { callback() })
    for (let cluster = 1; cluster < 64; cluster++) {
      const status = await done((finish) => { port.write(cluster * 512, [new Uint8Array(512).fill(0x51)], finish) })
      if (cluster % 4 !== 0) expect(status).toBe('io-error')
    }
    const header = new Uint8Array(512)
    await file.read(0, header)
    expect(header).toEqual(bytes.subarray(0, 512))
  })

  it('are refused by the name of the feature that is not supported, and a chain that leads back to itself', async () => {
    const codeOf = async (bytes: Uint8Array, extra: object = {}): Promise<string> => {
      try {
        await openImage(new SparseFile(bytes), { name: 'image', formats: diskFormats, ...extra })
        return 'none'
      } catch (error) {
        if (isMachinistError(error)) return `${error.code} ${String(error.value)}`
        throw error
      }
    }
    const bytes = await sound(4096)
    const with64 = (at: number, value: bigint): Uint8Array => {
      const changed = bytes.slice()
      new DataView(changed.buffer).setBigUint64(at, value)
      return changed
    }
    expect(await codeOf(with64(72, 4n))).toBe('image-unsupported external data file')
    expect(await codeOf(with64(72, 16n))).toBe('image-unsupported extended L2 entries')
    expect(await codeOf(with64(72, 1n << 40n))).toBe('image-unsupported incompatible feature, bit 40')
    expect(await codeOf(with64(72, 2n))).toBe('image-damaged undefined')
    expect(await codeOf(with64(72, 2n), { readOnly: true })).toBe('none')
    expect(await codeOf(with64(24, 2n ** 63n - 512n))).toMatch(/^image-damaged/)
    const looped = new SparseFile(new Uint8Array(0))
    await qcow2.create?.(looped, 1 << 20, { name: 'loop', backing: { name: 'loop', format: 'qcow2', size: 1 << 20 } })
    const copy = new Uint8Array(looped.size)
    await looped.read(0, copy)
    const openFile = (): Promise<object> => Promise.resolve({ file: new SparseFile(copy), name: 'loop', openFile })
    expect(await codeOf(copy, { openFile })).toBe('image-chain loop')
    expect(await codeOf(copy)).toBe('image-file-refused loop')
  })
})

it('a hostile overlay file gives typed errors or fails requests, whatever is changed in it', async () => {
  const random = generator(SEED)
  const file = new SparseFile(new Uint8Array(0))
  const disk = overlay(memoryDisk(1 << 20), await openOverlayFile(file, { clusterSize: 4096 }))
  await askAnything(disk.connect((callback) => { callback() }), random)
  await disk.close()
  const bytes = new Uint8Array(file.size)
  await file.read(0, bytes)
  let opened = 0
  for (let round = 0; round < 150; round++) {
    await typed(async () => {
      const changed = overlay(memoryDisk(1 << 20), await openOverlayFile(new SparseFile(mutate(bytes, random))))
      const port = changed.connect((callback) => { callback() })
      opened += 1
      await askAnything(port, random)
      await changed.close()
    })
  }
  expect(opened).toBeGreaterThan(20)
  expect(opened).toBeLessThan(150)
})

describe('a raw image opened without its format', () => {
  it('takes no write that would make it another', async () => {
    const port = async (format?: string) => imageDisk(await openImage(new SparseFile(new Uint8Array(65536)), { name: 'image', formats: diskFormats }, format)).connect((callback) => { callback() })
    const header = new Uint8Array(4096)
    header.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])
    const guarded = await port()
    expect(await done((finish) => { guarded.write(0, [header], finish) })).toBe('io-error')
    // In two parts, neither of which is one.
    expect(await done((finish) => { guarded.write(0, [header.subarray(0, 2)], finish) })).toBe('ok')
    expect(await done((finish) => { guarded.write(2, [header.subarray(2)], finish) })).toBe('io-error')
    expect(await done((finish) => { guarded.write(512, [header], finish) })).toBe('ok')
    const plain = await port('raw')
    expect(await done((finish) => { plain.write(0, [header], finish) })).toBe('ok')
  })
})
