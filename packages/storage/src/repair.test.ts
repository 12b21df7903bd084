import { readFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { codec, create, nodeFile, noQemu, open, qemu } from '../test/images.ts'
import { type Content, PowerFile, readContent, SECTOR } from '../test/power-file.ts'
import { generator } from '../test/node-file.ts'
import { type DiskFormat, type DiskImage, vdi, vhd, vhdx, vmdk } from './index.ts'
import { SEED } from '../test/seed.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-repair-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const MiB = 1 << 20

interface Subject {
  readonly format: DiskFormat
  /** What QEMU calls it. */
  readonly driver: string
  readonly block: number
  readonly parameters: Record<string, string>
  /** Takes a block out of the image's tables. */
  forget(bytes: Buffer, block: number): void
}

const subjects: Readonly<Record<string, Subject>> = {
  vhdx: {
    format: vhdx, driver: 'vhdx', block: MiB, parameters: {},
    forget: (bytes, block) => { bytes.fill(0, 3 * MiB + block * 8, 3 * MiB + block * 8 + 8) },
  },
  'vhdx, larger blocks': {
    format: vhdx, driver: 'vhdx', block: 2 * MiB, parameters: { block_size: '2M' },
    forget: (bytes, block) => { bytes.fill(0, 3 * MiB + block * 8, 3 * MiB + block * 8 + 8) },
  },
  vhd: {
    format: vhd, driver: 'vpc', block: MiB / 4, parameters: { block_size: '256K' },
    forget: (bytes, block) => { bytes.fill(0xff, 1536 + block * 4, 1536 + block * 4 + 4) },
  },
  vdi: {
    format: vdi, driver: 'vdi', block: MiB, parameters: {},
    forget: (bytes, block) => { bytes.fill(0xff, 512 + block * 4, 512 + block * 4 + 4) },
  },
  vmdk: {
    format: vmdk, driver: 'vmdk', block: 65536, parameters: {},
    forget(bytes, block) {
      for (const directory of [48, 56]) {
        const table = bytes.readUInt32LE(Number(bytes.readBigUInt64LE(directory)) * 512) * 512
        bytes.fill(0, table + block * 4, table + block * 4 + 4)
      }
    },
  },
}

const blocks = 10
const lost = [0, 3, 4, 8]

/** An image of which some blocks are in no table, and what it reads as. */
async function leaking(subject: Subject): Promise<{ readonly bytes: Buffer, readonly model: Buffer }> {
  const { format, block, parameters, forget } = subject
  const model = Buffer.alloc(block * blocks)
  await create(format, folder, 'image', model.length, parameters)
  const image = await open(format, folder, 'image')
  // In another order than that of the table.
  for (let index = 0; index < blocks; index++) {
    const at = (index * 7 + 3) % blocks
    model.fill(at + 1, at * block, (at + 1) * block)
    expect(await image.write(at * block, [model.subarray(at * block, (at + 1) * block)])).toBe('ok')
    expect(await image.flush()).toBe('ok')
  }
  await image.close()
  const bytes = readFileSync(join(folder, 'image'))
  for (const index of lost) {
    forget(bytes, index)
    model.fill(0, index * block, (index + 1) * block)
  }
  return { bytes, model }
}

async function contentOf(image: DiskImage): Promise<Buffer> {
  const bytes = Buffer.alloc(image.size)
  expect(await image.read(0, [bytes])).toBe('ok')
  return bytes
}

describe('space that nothing uses is given back by a repair', () => {
  it.each(Object.entries(subjects))('%s', async (_name, subject) => {
    const { bytes, model } = await leaking(subject)
    const path = join(folder, 'image')
    writeFileSync(path, bytes)
    const look = await open(subject.format, folder, 'image', true)
    const found = await look.check?.()
    expect(found).toMatchObject({ corruptions: 0, leaksFixed: 0 })
    expect(found?.leaks).toBeGreaterThanOrEqual(lost.length)
    await look.close()
    expect(readFileSync(path).equals(bytes)).toBe(true)
    const image = await open(subject.format, folder, 'image')
    expect(await image.check?.({ repair: 'all' })).toMatchObject({ corruptions: 0, leaks: 0, leaksFixed: found?.leaks })
    await image.close()
    expect(statSync(path).size).toBeLessThanOrEqual(bytes.length - lost.length * subject.block)
    const again = await open(subject.format, folder, 'image')
    expect(await again.check?.()).toMatchObject({ corruptions: 0, leaks: 0 })
    expect((await contentOf(again)).equals(model)).toBe(true)
    // It is an image to be written still.
    model.fill(0x77, 0, subject.block)
    expect(await again.write(0, [model.subarray(0, subject.block)])).toBe('ok')
    await again.close()
    const last = await open(subject.format, folder, 'image', true)
    expect(await last.check?.()).toMatchObject({ corruptions: 0, leaks: 0 })
    await last.close()
    if (noQemu !== null) return
    writeFileSync(join(folder, 'plain'), model)
    expect(qemu('qemu-img', 'compare', '-f', subject.driver, '-F', 'raw', path, join(folder, 'plain'))).toContain('identical')
  })

  it.each(Object.entries(subjects))('%s, and a loss of power meanwhile loses nothing', async (_name, subject) => {
    const { bytes, model } = await leaking(subject)
    const sectors = new Map<number, Uint8Array>()
    for (let at = 0; at < bytes.length; at += SECTOR) sectors.set(at / SECTOR, bytes.subarray(at, at + SECTOR))
    const seed = SEED
    const random = generator(seed)
    const file = new PowerFile({ sectors, size: bytes.length }, random)
    const image = await subject.format.open(file, { name: 'image', codec })
    await image.check?.({ repair: 'leaks' })
    await image.close()
    const moments = new Map<number, number>()
    for (let count = 0; count < 12; count++) moments.set(random(file.events), 1)
    await file.replay(moments, async (found: Content) => {
      const path = join(folder, 'crashed')
      const after = Buffer.alloc(found.size)
      readContent(found, 0, after)
      writeFileSync(path, after)
      const crashed = await subject.format.open(nodeFile(path, 'r+'), { name: 'crashed', codec })
      expect((await contentOf(crashed)).equals(model), `seed ${seed}`).toBe(true)
      expect(await crashed.check?.({ repair: 'all' })).toMatchObject({ corruptions: 0, leaks: 0 })
      await crashed.close()
    })
  })
})
