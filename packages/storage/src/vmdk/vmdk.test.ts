import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { beside, Checked, codec, create, generator, noQemu, nodeFile, open, qemu } from '../../test/images.ts'
import { createSparse } from './sparse.ts'
import { vmdk } from './vmdk.ts'
import { SEED } from '../../test/seed.ts'

let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-vmdk-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

const size = 5 * 2 ** 20 + 512 * 77
const stream = { subformat: 'streamOptimized' }

/** What is compared with QEMU where it is there. */
const asRaw = (name: string): Buffer => {
  qemu('qemu-img', 'convert', '-f', 'vmdk', '-O', 'raw', join(folder, name), join(folder, 'raw'))
  return readFileSync(join(folder, 'raw'))
}

describe('stream-optimised images', () => {
  it('are written and read, more than once, and by QEMU', async () => {
    const random = generator(SEED)
    const model = new Uint8Array(size)
    await create(vmdk, folder, 's.vmdk', size, stream)
    for (let round = 0; round < 3; round++) {
      const disk = new Checked(await open(vmdk, folder, 's.vmdk'), model)
      expect(await disk.exercise(random, 80, 1 << 20)).toBe(0)
      expect(await disk.difference()).toBe(-1)
      expect([...disk.statuses]).toEqual(['ok'])
      await disk.close()
      const image = await open(vmdk, folder, 's.vmdk', true)
      expect(await image.check?.()).toMatchObject({ corruptions: 0 })
      expect(await new Checked(image, model).difference()).toBe(-1)
      await image.close()
      if (noQemu === null) {
        expect(asRaw('s.vmdk').equals(model)).toBe(true)
        expect(qemu('qemu-img', 'check', join(folder, 's.vmdk'))).toContain('No errors')
      }
    }
  })

  it.skipIf(noQemu !== null)('are read when QEMU made them', async () => {
    const random = generator(SEED)
    const model = new Uint8Array(size).map((_, index) => index % 70000 < 30000 ? 0 : random() * 4)
    writeFileSync(join(folder, 'model'), model)
    qemu('qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized', join(folder, 'model'), join(folder, 'q.vmdk'))
    const image = await open(vmdk, folder, 'q.vmdk')
    expect(image.readOnly).toBe(true)
    expect(await new Checked(image, model).difference()).toBe(-1)
    await image.close()
  })

  it('written in one go have one footer, markers in order, and what a crash cut off is found again', async () => {
    const model = new Uint8Array(size).map((_, index) => (index * 31) >>> 3)
    await create(vmdk, folder, 'one.vmdk', size, stream)
    const image = await open(vmdk, folder, 'one.vmdk')
    expect(await image.write(0, [model])).toBe('ok')
    expect(await image.flush()).toBe('ok')
    await image.close()
    const bytes = readFileSync(join(folder, 'one.vmdk'))
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    // As a reader of a stream goes through it: from marker to marker, each grain after the one before.
    const markers: number[] = []
    let lastGrain = -1
    for (let at = 128 * 512; at < bytes.length;) {
      const value = Number(view.getBigUint64(at, true))
      const length = view.getUint32(at + 8, true)
      if (length > 0) {
        expect(value).toBeGreaterThan(lastGrain)
        lastGrain = value
        at += Math.ceil((12 + length) / 512) * 512
      } else {
        markers.push(view.getUint32(at + 12, true))
        at += 512 * (1 + value)
      }
    }
    expect(markers).toEqual([1, 2, 3, 0])
    // Grains that were appended after the footer and never flushed.
    writeFileSync(join(folder, 'one.vmdk'), Buffer.concat([bytes, Buffer.alloc(3 << 20, 0x5a)]))
    const again = await open(vmdk, folder, 'one.vmdk')
    expect(await new Checked(again, model).difference()).toBe(-1)
    await again.close()
  })
})

describe('extents', () => {
  it('sparse, flat, shifted and of zeroes follow one another, in grains that do not fit units', async () => {
    const random = generator(SEED)
    const parts = [3000, 2048, 777, 4100] as const
    for (const [index, sectors] of [[0, parts[0]], [2, parts[2]]] as const) {
      const file = nodeFile(join(folder, `part${index}.vmdk`), 'w+')
      await createSparse(file, sectors, null)
      await file.close()
    }
    writeFileSync(join(folder, 'part1.bin'), Buffer.alloc((parts[1] + 8) * 512))
    writeFileSync(join(folder, 'parts.vmdk'), [
      '# Disk DescriptorFile', 'version=1', 'CID=12345678', 'parentCID=ffffffff', 'createType="custom"',
      `RW ${parts[0]} SPARSE "part0.vmdk"`, `RW ${parts[1]} FLAT "part1.bin" 8`, `RW ${parts[2]} SPARSE "part2.vmdk"`, `RDONLY ${parts[3]} ZERO`, '',
    ].join('\n'))
    const model = new Uint8Array(parts.reduce<number>((sum, part) => sum + part, 0) * 512)
    const writable = (model.length - parts[3] * 512)
    const image = await open(vmdk, folder, 'parts.vmdk')
    const disk = new Checked(image, model.subarray(0, writable))
    expect(await disk.exercise(random, 120, 1 << 20)).toBe(0)
    await disk.close()
    const again = await open(vmdk, folder, 'parts.vmdk')
    const { cid } = (await again.info()).details
    expect(cid).not.toBe('12345678')
    expect(await new Checked(again, model).difference()).toBe(-1)
    expect(await again.write(writable, [new Uint8Array(512)])).not.toBe('ok')
    await again.close()
    expect(readFileSync(join(folder, 'part1.bin')).subarray(0, 8 * 512).every((byte) => byte === 0)).toBe(true)
  })

  it('an image that stands on another reads it, writes to itself, and refuses one that has changed', async () => {
    const random = generator(SEED)
    await create(vmdk, folder, 'base.vmdk', size, {})
    const model = new Uint8Array(size)
    const base = new Checked(await open(vmdk, folder, 'base.vmdk'), model)
    await base.exercise(random, 30, 1 << 20)
    await base.close()
    const before = readFileSync(join(folder, 'base.vmdk'))
    await create(vmdk, folder, 'delta.vmdk', size, {})
    const { cid } = (await (await open(vmdk, folder, 'base.vmdk', true)).info()).details
    const bytes = readFileSync(join(folder, 'delta.vmdk'))
    const text = bytes.toString('latin1', 512, 512 * 21).replace('parentCID=ffffffff', `parentCID=${String(cid)}\nparentFileNameHint="base.vmdk"`)
    bytes.write(text.slice(0, 512 * 20), 512, 'latin1')
    writeFileSync(join(folder, 'delta.vmdk'), bytes)
    for (let round = 0; round < 2; round++) {
      const delta = new Checked(await open(vmdk, folder, 'delta.vmdk'), model)
      expect(await delta.difference()).toBe(-1)
      expect(await delta.exercise(random, 60, 1 << 18)).toBe(0)
      expect(await delta.difference()).toBe(-1)
      await delta.close()
      if (noQemu === null) expect(asRaw('delta.vmdk').equals(model)).toBe(true)
    }
    expect(readFileSync(join(folder, 'base.vmdk')).equals(before)).toBe(true)
    await expect(vmdk.open(nodeFile(join(folder, 'delta.vmdk'), 'r'), { name: 'delta' })).rejects.toMatchObject({ code: 'image-file-refused' })
    const changed = await open(vmdk, folder, 'base.vmdk')
    await changed.write(0, [new Uint8Array(512)])
    await changed.close()
    await expect(vmdk.open(nodeFile(join(folder, 'delta.vmdk'), 'r'), { name: 'delta', openFile: beside(folder), codec })).rejects.toMatchObject({ code: 'image-damaged' })
  })
})
