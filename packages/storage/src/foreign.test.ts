import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { content, isZero, type Made, madeBochs, madeCloop, madeParallels, madeQcow, type Pick } from '../test/foreign.ts'
import { hasBzip2, madeDmg } from '../test/foreign-dmg.ts'
import { descriptor, madeCowd, madeSeSparse } from '../test/foreign-vmdk.ts'
import { exercise, mutate, SparseFile } from '../test/fuzz.ts'
import { beside, codec, nodeFile, noQemu, qemu } from '../test/images.ts'
import { generator } from '../test/node-file.ts'
import { diskFormats, type DiskImage, formatNamed, openImage } from './index.ts'
import { openSeSparse, openVmfsSparse } from './vmdk/vmfs.ts'
import { SEED } from '../test/seed.ts'

let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-foreign-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

/** The kinds of images: the format's name, which is QEMU's too, and what makes one. */
const kinds: Readonly<Record<string, { readonly format: string, readonly make: (pick: Pick) => Made, readonly ours?: boolean }>> = {
  'qcow': { format: 'qcow', make: madeQcow },
  'parallels, old': { format: 'parallels', make: (pick) => madeParallels(pick, true) },
  'parallels, extended': { format: 'parallels', make: (pick) => madeParallels(pick, false) },
  'bochs, version 1': { format: 'bochs', make: (pick) => madeBochs(pick, 1) },
  'bochs, version 2': { format: 'bochs', make: (pick) => madeBochs(pick, 2) },
  'cloop': { format: 'cloop', make: madeCloop },
  'dmg, zlib': { format: 'dmg', make: (pick) => madeDmg(pick, ['zero', 'ignore', 'raw', 'zlib'], true) },
  'dmg, resource fork': { format: 'dmg', make: (pick) => madeDmg(pick, ['zero', 'zlib'], false) },
  // QEMU has no ADC, and bzip2 in a module of its own.
  'dmg, ADC': { format: 'dmg', make: (pick) => madeDmg(pick, ['adc', 'raw', 'zlib'], true), ours: true },
  ...(hasBzip2 && { 'dmg, bzip2': { format: 'dmg', make: (pick) => madeDmg(pick, ['zero', 'bzip2'], true), ours: true } }),
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
  for (const [kind, { format, make, ours = false }] of Object.entries(kinds)) {
    it(kind, async () => {
      for (let round = 0; round < 4; round++) {
        const seed = SEED * 10 + round
        const pick = generator(seed)
        const { bytes, model } = make(pick)
        writeFileSync(join(folder, 'image'), bytes)
        const image = await openNamed('image')
        expect(image.format, `seed ${seed}`).toBe(format)
        await same(image, model, pick)
        await image.close()
        if (noQemu === null && !ours) expect(asRaw(format, 'image').equals(model), `seed ${seed}`).toBe(true)
      }
    })
  }

  it.skipIf(noQemu !== null)('what QEMU itself makes', async () => {
    const pick = generator(SEED)
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
  const pick = generator(SEED)
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

describe('VMware ESX', () => {
  const extents = { VMFSSPARSE: { make: madeCowd, open: openVmfsSparse, createType: 'vmfsSparse' }, SESPARSE: { make: madeSeSparse, open: openSeSparse, createType: 'seSparse' } } as const
  it.each(Object.keys(extents) as (keyof typeof extents)[])('has %s extents, over a parent too', async (type) => {
    const { make, createType } = extents[type]
    const random = generator(SEED)
    for (let round = 0; round < 2; round++) {
      // QEMU mixes up extents that do not end with a grain.
      const [first, second] = [64 * (1 + random(600)), 1 + random(3000)]
      const one = make(random, first)
      writeFileSync(join(folder, 'base-1.vmdk'), one.bytes)
      const flat = content(second * 512, random)
      writeFileSync(join(folder, 'base-flat.vmdk'), flat)
      writeFileSync(join(folder, 'base.vmdk'), descriptor(createType, [`RW ${first} ${type} "base-1.vmdk"`, `RW ${second} VMFS "base-flat.vmdk"`], '11112222'))
      const base = Buffer.concat([one.model, flat])
      const delta = make(random, base.length / 512, base)
      writeFileSync(join(folder, 'delta-1.vmdk'), delta.bytes)
      writeFileSync(join(folder, 'delta.vmdk'), descriptor(createType, [`RW ${base.length / 512} ${type} "delta-1.vmdk"`], '33334444', { cid: '11112222', name: 'base.vmdk' }))
      for (const [name, model] of [['base.vmdk', base], ['delta.vmdk', delta.model]] as const) {
        const image = await openNamed(name)
        expect(image.format).toBe('vmdk')
        await same(image, model, random)
        await image.close()
        if (noQemu === null) expect(asRaw('vmdk', name).equals(model)).toBe(true)
      }
      await expect(openNamed('delta-1.vmdk')).rejects.toMatchObject({ code: 'image-unsupported', value: 'an extent without its descriptor' })
    }
  })

  it.each(Object.keys(extents) as (keyof typeof extents)[])('gives typed errors for spoilt %s extents, or fails to read', async (type) => {
    const { make, open } = extents[type]
    const random = generator(SEED)
    const { bytes } = make(random, 3000)
    const outcomes = new Set<string>()
    for (let round = 0; round < 80; round++) {
      const extent = await open(new SparseFile(mutate(Uint8Array.from(bytes), random)), null, 'spoilt').catch((error: unknown) => {
        expect(error).toSatisfy((found) => isMachinistError(found) || (found as { code?: string }).code === 'cut-off')
        return null
      })
      outcomes.add(extent === null ? 'refused' : 'opened')
      if (extent === null) continue
      for (let count = 0; count < 5; count++) {
        const length = Math.min(extent.size, 100_000)
        await extent.blocks.read(random(Math.min(2 ** 31, extent.size - length + 1)), new Uint8Array(length)).catch((error: unknown) => { expect(error).toBeInstanceOf(Error) })
      }
      let steps = 0
      for await (const { length } of extent.blocks.ranges(extent.size)) if (length <= 0 || steps++ > 1000) break
    }
    expect(outcomes.size).toBe(2)
  })
})

describe('images of others that somebody spoilt give typed errors or errors of input and output', () => {
  for (const [kind, { format, make }] of Object.entries(kinds)) {
    it(kind, async () => {
      const seed = SEED
      const random = generator(seed)
      let opened = 0
      let { bytes } = make(random)
      for (let round = 0; round < 30; round++) {
        if (round % 10 === 9) ({ bytes } = make(random))
        try {
          if (await exercise(formatNamed(format, diskFormats, kind), mutate(Uint8Array.from(bytes), random), random)) opened += 1
        } catch (error) {
          throw new Error(`seed ${seed}, round ${round}`, { cause: error })
        }
      }
      expect(opened).toBeGreaterThan(0)
      expect(opened).toBeLessThan(30)
    })
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
    ['dmg', 'LZFSE compression', patched(madeDmg(pick, ['raw'], false), (bytes) => bytes.writeUInt32BE(0x80000007, bytes.indexOf('mish') + 204))],
    ['dmg', 'several segments', patched(madeDmg(pick, ['raw'], true), (bytes) => bytes.writeUInt32BE(2, bytes.length - 512 + 60))],
    ['parallels', 'version 3', patched(madeParallels(pick, false), (bytes) => bytes.writeUInt32LE(3, 16))],
  ])('%s: %s', async (_format, value, bytes) => {
    writeFileSync(join(folder, 'refused'), bytes)
    await expect(openNamed('refused')).rejects.toMatchObject({ code: 'image-unsupported', value })
  })
})
