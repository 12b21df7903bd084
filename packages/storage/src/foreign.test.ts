import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { content, isZero, type Made, madeBochs, madeCloop, madeParallels, madeQcow, type Pick } from '../test/foreign.ts'
import { exercise, mutate } from '../test/fuzz.ts'
import { beside, codec, nodeFile, noQemu, qemu } from '../test/images.ts'
import { generator } from '../test/node-file.ts'
import { diskFormats, type DiskImage, formatNamed, openImage } from './index.ts'

let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-foreign-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

/** The kinds of images: the format's name, which is QEMU's too, and what makes one. */
const kinds: Readonly<Record<string, { readonly format: string, readonly make: (pick: Pick) => Made }>> = {
  'qcow': { format: 'qcow', make: madeQcow },
  'parallels, old': { format: 'parallels', make: (pick) => madeParallels(pick, true) },
  'parallels, extended': { format: 'parallels', make: (pick) => madeParallels(pick, false) },
  'bochs, version 1': { format: 'bochs', make: (pick) => madeBochs(pick, 1) },
  'bochs, version 2': { format: 'bochs', make: (pick) => madeBochs(pick, 2) },
  'cloop': { format: 'cloop', make: madeCloop },
}

const openNamed = (name: string): Promise<DiskImage> => openImage(nodeFile(join(folder, name), 'r'), { name, codec, formats: diskFormats, openFile: beside(folder) })

async function same(image: DiskImage, model: Buffer, pick: Pick): Promise<void> {
  expect(image.size).toBe(model.length)
  for (let count = 0; count < 60; count++) {
    const offset = pick(model.length)
    const parts = [pick(30_000), pick(2000)].map((length, index) => new Uint8Array(Math.min(length, Math.max(0, model.length - offset - index * 30_000))))
    expect(await image.read(offset, parts)).toBe('ok')
    const bytes = Buffer.concat(parts)
    expect(bytes.equals(model.subarray(offset, offset + bytes.length))).toBe(true)
  }
  const all = new Uint8Array(model.length)
  expect(await image.read(0, [all])).toBe('ok')
  expect(model.equals(all)).toBe(true)
  let at = 0
  for await (const { offset, length, state } of image.ranges()) {
    expect(offset).toBe(at)
    if (state === 'zero') expect(isZero(model.subarray(at, at + length))).toBe(true)
    at += length
  }
  expect(at).toBe(model.length)
  expect(image.readOnly).toBe(true)
  expect(await image.write(0, [new Uint8Array(512)])).toBe('read-only')
}

const asRaw = (format: string, name: string): Buffer => {
  qemu('qemu-img', 'convert', '-f', format, '-O', 'raw', join(folder, name), join(folder, 'raw'))
  return readFileSync(join(folder, 'raw'))
}

describe(`images of others are known by their signature and read as what they hold${noQemu === null ? ', as QEMU reads them too' : ` (not compared with QEMU: ${noQemu})`}`, () => {
  for (const [kind, { format, make }] of Object.entries(kinds)) {
    it(kind, async () => {
      for (let round = 0; round < 4; round++) {
        const seed = Date.now() * 10 + round
        const pick = generator(seed)
        const { bytes, model } = make(pick)
        writeFileSync(join(folder, 'image'), bytes)
        const image = await openNamed('image')
        expect(image.format, `seed ${seed}`).toBe(format)
        await same(image, model, pick)
        await image.close()
        if (noQemu === null) expect(asRaw(format, 'image').equals(model), `seed ${seed}`).toBe(true)
      }
    }, 60_000)
  }

  it.skipIf(noQemu !== null)('what QEMU itself makes', async () => {
    const pick = generator(Date.now())
    const model = content(3 * 2 ** 20 + 65536, pick, 65536)
    writeFileSync(join(folder, 'plain'), model)
    for (const [driver, ...options] of [['qcow'], ['parallels'], ['parallels', '-o', 'cluster_size=64k']] as const) {
      qemu('qemu-img', 'convert', '-f', 'raw', '-O', driver, ...options, join(folder, 'plain'), join(folder, 'theirs'))
      const image = await openNamed('theirs')
      expect(image.format).toBe(driver)
      await same(image, model, pick)
      await image.close()
    }
  })
})

it('a qcow over another image reads what it lacks from there', async () => {
  const pick = generator(Date.now())
  const base = content(512 * (1 + pick(3000)), pick)
  writeFileSync(join(folder, 'base.img'), base)
  const { bytes, model } = madeQcow(pick, { name: 'base.img', model: base })
  writeFileSync(join(folder, 'over'), bytes)
  const image = await openNamed('over')
  await same(image, model, pick)
  expect(await image.info()).toMatchObject({ backing: { name: 'base.img' } })
  await image.close()
  if (noQemu === null) expect(asRaw('qcow', 'over').equals(model)).toBe(true)
  await expect(openImage(nodeFile(join(folder, 'over'), 'r'), { name: 'over', codec, formats: diskFormats })).rejects.toMatchObject({ code: 'image-file-refused' })
})

describe('images of others that somebody spoilt give typed errors or errors of input and output', () => {
  for (const [kind, { format, make }] of Object.entries(kinds)) {
    it(kind, async () => {
      const seed = Date.now()
      const random = generator(seed)
      let opened = 0
      let { bytes } = make(random)
      for (let round = 0; round < 60; round++) {
        if (round % 10 === 9) ({ bytes } = make(random))
        try {
          if (await exercise(formatNamed(format, diskFormats, kind), mutate(bytes, random), random)) opened += 1
        } catch (error) {
          throw new Error(`seed ${seed}, round ${round}`, { cause: error })
        }
      }
      expect(opened).toBeGreaterThan(5)
      expect(opened).toBeLessThan(60)
    }, 60_000)
  }
})

describe('what cannot be read is refused by its name', () => {
  const patched = (made: Made, change: (bytes: Buffer) => void): Buffer => {
    change(made.bytes)
    return made.bytes
  }
  const pick = generator(7)
  it.each([
    ['qcow', 'encryption', patched(madeQcow(pick), (bytes) => bytes.writeUInt32BE(1, 36))],
    ['bochs', 'an image of type Redolog, Undoable', patched(madeBochs(pick, 2), (bytes) => bytes.write('Undoable', 48))],
    ['cloop', 'version 4.0', patched(madeCloop(pick), (bytes) => bytes.write('4', 12))],
    ['parallels', 'version 3', patched(madeParallels(pick, false), (bytes) => bytes.writeUInt32LE(3, 16))],
  ])('%s: %s', async (_format, value, bytes) => {
    writeFileSync(join(folder, 'refused'), bytes)
    await expect(openNamed('refused')).rejects.toMatchObject({ code: 'image-unsupported', value })
  })
})
