import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Checked, create, generator, noQemu, open, qemu } from '../test/images.ts'
import { filled, subjects } from '../test/robust.ts'
import { variants } from '../test/variants.ts'
import { uuidText } from './mapped/identity.ts'
import { checksum } from './vhd/structures.ts'
import { vhd } from './vhd/vhd.ts'
import { vhdx } from './vhdx/vhdx.ts'
import { SEED } from '../test/seed.ts'

let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-more-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

const asRaw = (driver: string, name: string): Buffer => {
  qemu('qemu-img', 'convert', '-f', driver, '-O', 'raw', join(folder, name), join(folder, 'raw'))
  return readFileSync(join(folder, 'raw'))
}

describe('an image grows', () => {
  const growing = ['vdi, dynamic', 'vhd, dynamic', 'vhd, fixed', 'vhdx, dynamic', 'vhdx, fixed', 'vmdk, monolithicSparse', 'vmdk, monolithicFlat']
  it.each(growing)('%s', async (variantName) => {
    const variant = variants[variantName]
    if (variant === undefined) throw new Error('no such variant')
    const { format, driver, parameters } = variant
    const random = generator(SEED)
    const name = `grow.${driver}`
    const sizes = [3, 5, 37].map((number) => number * 2 ** 20 + 512)
    await create(format, folder, name, sizes[0] ?? 0, parameters)
    let model = new Uint8Array(sizes[0] ?? 0)
    for (const size of sizes) {
      const image = await open(format, folder, name)
      await image.resize?.(size)
      const longer = new Uint8Array(size)
      longer.set(model)
      model = longer
      const disk = new Checked(image, model)
      expect(await disk.difference()).toBe(-1)
      expect(await disk.exercise(random, 20, 1 << 18)).toBe(0)
      await disk.close()
      if (noQemu === null) {
        expect(asRaw(driver, name).equals(model)).toBe(true)
        expect(JSON.parse(qemu('qemu-img', 'info', '--output=json', '-f', driver, join(folder, name)))).toMatchObject({ 'virtual-size': size })
      }
      const again = await open(format, folder, name)
      expect((await again.check?.())?.corruptions ?? 0).toBe(0)
      await expect(again.resize?.(512)).rejects.toMatchObject({ code: 'disk-shrink' })
      await again.close()
    }
  })
})

it('a differencing VHD takes each sector from where it is, and refuses another parent', async () => {
  const random = generator(SEED)
  const size = 6 * 2 ** 20
  const model = new Uint8Array(size)
  await create(vhd, folder, 'base.vhd', size, {})
  const base = new Checked(await open(vhd, folder, 'base.vhd'), model)
  await base.exercise(random, 40, 1 << 20)
  await base.close()
  await create(vhd, folder, 'child.vhd', size, { block_size: '524288', uuid: '01234567-89ab-4def-8123-456789abcdef' })
  const bytes = readFileSync(join(folder, 'child.vhd'))
  const parent = readFileSync(join(folder, 'base.vhd')).subarray(68, 84)
  for (const at of [0, bytes.length - 512]) {
    bytes.writeUInt32BE(4, at + 60)
    bytes.writeUInt32BE(checksum(bytes.subarray(at, at + 512), 64), at + 64)
  }
  parent.copy(bytes, 512 + 40)
  ;[...'base.vhd'].forEach((character, index) => { bytes.writeUInt16BE(character.charCodeAt(0), 512 + 64 + index * 2) })
  bytes.writeUInt32BE(checksum(bytes.subarray(512, 1536), 36), 512 + 36)
  writeFileSync(join(folder, 'child.vhd'), bytes)
  const before = readFileSync(join(folder, 'base.vhd'))
  for (let round = 0; round < 2; round++) {
    const image = await open(vhd, folder, 'child.vhd')
    expect(await image.info()).toMatchObject({ backing: { name: 'base.vhd' }, details: { subformat: 'differencing' } })
    const child = new Checked(image, model)
    expect(await child.difference()).toBe(-1)
    expect(await child.exercise(random, 60, 1 << 18)).toBe(0)
    expect(await child.difference()).toBe(-1)
    await child.close()
  }
  expect(readFileSync(join(folder, 'base.vhd')).equals(before)).toBe(true)
  expect(uuidText(parent)).not.toBe('01234567-89ab-4def-8123-456789abcdef')
  await create(vhd, folder, 'base.vhd', size, { uuid: '11111111-2222-4333-8444-555555555555' })
  await expect(open(vhd, folder, 'child.vhd')).rejects.toMatchObject({ code: 'image-damaged' })
})

it('the log of a VHDX is replayed, by us and by QEMU alike, and its table needs it', async () => {
  const subject = subjects['vhdx']
  if (subject === undefined) throw new Error('no such subject')
  const bytes = await filled(subject)
  const flushed = bytes.slice()
  // As if the pages of the table had never arrived: the log has them.
  bytes.fill(0, 3 << 20, (3 << 20) + 4096)
  writeFileSync(join(folder, 'ours.vhdx'), bytes)
  writeFileSync(join(folder, 'theirs.vhdx'), bytes)
  await expect(open(vhdx, folder, 'ours.vhdx', true)).rejects.toMatchObject({ code: 'image-dirty' })
  const image = await open(vhdx, folder, 'ours.vhdx')
  expect((await image.info()).dirty).toBe(true)
  const content = new Uint8Array(subject.size)
  expect(await image.read(0, [content])).toBe('ok')
  expect(content[0]).toBe(1)
  await image.close()
  expect(readFileSync(join(folder, 'ours.vhdx')).subarray(3 << 20, 4 << 20).equals(flushed.subarray(3 << 20, 4 << 20))).toBe(true)
  if (noQemu !== null) return
  qemu('qemu-img', 'check', '-r', 'all', '-f', 'vhdx', join(folder, 'theirs.vhdx'))
  for (const name of ['ours.vhdx', 'theirs.vhdx']) expect(asRaw('vhdx', name).equals(content)).toBe(true)
})
