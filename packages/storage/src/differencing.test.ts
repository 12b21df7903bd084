import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { content } from '../test/foreign.ts'
import { beside, Checked, codec, create, generator, nodeFile } from '../test/images.ts'
import { generator as picks } from '../test/node-file.ts'
import { diskFormats, type DiskImage, openImage, type OpenFile } from './index.ts'
import { guidBytes } from './vhdx/structures.ts'
import { vdi } from './vdi/vdi.ts'
import { vhdx } from './vhdx/vhdx.ts'
import { SEED } from '../test/seed.ts'

const MiB = 1 << 20
let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-parents-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })
const at = (name: string): string => join(folder, name)

/** As a host that can tell the names of files. */
const listing: OpenFile = Object.assign(
  async (name: string, writable: boolean) => ({ ...await beside(folder)(name, writable), openFile: listing }),
  { list: () => Promise.resolve(readdirSync(folder)) })

const openIt = (name: string, readOnly = true, extra: object = {}): Promise<DiskImage> =>
  openImage(nodeFile(at(name), readOnly ? 'r' : 'r+'), { name, readOnly, codec, formats: diskFormats, openFile: listing, ...extra })

/** An image with random content; its model. */
async function base(format: typeof vdi, name: string, size: number, seed: number): Promise<Uint8Array> {
  await create(format, folder, name, size, {})
  const model = new Uint8Array(size)
  const disk = new Checked(await openIt(name, false), model)
  expect(await disk.exercise(generator(seed), 25, MiB)).toBe(0)
  await disk.close()
  return model
}

async function difference(image: DiskImage, model: Uint8Array): Promise<number> {
  const disk = new Checked(image, model)
  const found = await disk.difference()
  let end = 0
  for await (const { offset, length, state } of image.ranges()) {
    expect(offset).toBe(end)
    if (state === 'zero') expect(model.subarray(offset, offset + length).every((byte) => byte === 0)).toBe(true)
    end += length
  }
  expect(end).toBe(model.length)
  return found
}

describe('a differencing VDI', () => {
  const uuidAt = 392
  /** A new image of no blocks over another, as VirtualBox makes them. */
  async function child(name: string, parent: string, size: number): Promise<void> {
    await create(vdi, folder, name, size, {})
    const [bytes, below] = [readFileSync(at(name)), readFileSync(at(parent))]
    bytes.writeUInt32LE(4, 76)
    below.copy(bytes, uuidAt + 32, uuidAt, uuidAt + 32)
    writeFileSync(at(name), bytes)
  }

  it('reads what it lacks from its parents, wherever they are, and is written alone', async () => {
    const seed = SEED
    const random = generator(seed)
    const size = 6 * MiB + 512
    const model = await base(vdi, 'Debian.vdi', size, seed)
    await child('one.vdi', 'Debian.vdi', size)
    // By hand: block 1 has its own content, block 2 is zero.
    const bytes = Buffer.concat([readFileSync(at('one.vdi')), content(MiB, picks(seed))])
    bytes.writeUInt32LE(0, 512 + 4)
    bytes.writeUInt32LE(0xfffffffe, 512 + 8)
    bytes.writeUInt32LE(1, 388)
    expect(bytes.length).toBe(bytes.readUInt32LE(344) + MiB)
    writeFileSync(at('one.vdi'), bytes)
    model.set(bytes.subarray(-MiB), MiB)
    model.fill(0, 2 * MiB, 3 * MiB)
    const image = await openIt('one.vdi')
    expect(await image.info()).toMatchObject({ backing: { name: 'Debian.vdi', format: 'vdi' }, details: { subformat: 'differencing' } })
    expect(await difference(image, model)).toBe(-1)
    await image.close()
    // A third, which is larger.
    const longer = new Uint8Array(size + 2 * MiB)
    longer.set(model)
    await child('{two}.vdi', 'one.vdi', longer.length)
    const before = ['Debian.vdi', 'one.vdi'].map((name) => readFileSync(at(name)))
    for (let round = 0; round < 2; round++) {
      const disk = new Checked(await openIt('{two}.vdi', false), longer)
      expect(await disk.exercise(random, 60, MiB)).toBe(0)
      expect([...disk.statuses]).toEqual(['ok'])
      await disk.close()
      const again = await openIt('{two}.vdi')
      expect(await difference(again, longer)).toBe(-1)
      expect(await again.check?.()).toMatchObject({ corruptions: 0 })
      await again.close()
    }
    expect(['Debian.vdi', 'one.vdi'].map((name, index) => before[index]!.equals(readFileSync(at(name))))).toEqual([true, true])
  })

  it('finds a parent by the name that VirtualBox gives it, and refuses one that is missing or has changed', async () => {
    const model = await base(vdi, 'first.vdi', 2 * MiB, 5)
    await child('second.vdi', 'first.vdi', 2 * MiB)
    const uuid = readFileSync(at('first.vdi')).toString('hex', uuidAt, uuidAt + 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    renameSync(at('first.vdi'), at(`{${uuid}}.vdi`))
    const image = await openIt('second.vdi', true, { openFile: beside(folder) })
    expect(await difference(image, model)).toBe(-1)
    await image.close()
    await expect(openIt('second.vdi', true, { openFile: undefined })).rejects.toMatchObject({ code: 'image-file-refused', value: uuid })
    const changed = await openIt(`{${uuid}}.vdi`, false)
    await changed.write(0, [new Uint8Array(512).fill(1)])
    await changed.close()
    await expect(openIt('second.vdi')).rejects.toMatchObject({ code: 'image-damaged' })
    rmSync(at(`{${uuid}}.vdi`))
    await expect(openIt('second.vdi')).rejects.toMatchObject({ code: 'image-parent', value: uuid })
    // What it is can be told without.
    const alone = await openIt('second.vdi', true, { maintenance: true })
    expect(await alone.info()).toMatchObject({ backing: { name: uuid } })
    await alone.close()
  })
})

describe('a differencing VHDX', () => {
  const [metadataAt, batAt] = [2 * MiB, 3 * MiB]
  /** Adds an item to the metadata. */
  function item(bytes: Buffer, guid: string, value: Buffer): void {
    const count = bytes.readUInt16LE(metadataAt + 10)
    const entry = metadataAt + 32 + count * 32
    bytes.writeUInt16LE(count + 1, metadataAt + 10)
    Buffer.from(guidBytes(guid)).copy(bytes, entry)
    ;[65536 + 1024, value.length, 4].forEach((field, index) => bytes.writeUInt32LE(field, entry + 16 + index * 4))
    value.copy(bytes, metadataAt + 65536 + 1024)
  }

  function locator(pairs: Readonly<Record<string, string>>): Buffer {
    const head = Buffer.alloc(20 + Object.keys(pairs).length * 12)
    Buffer.from(guidBytes('b04aefb7-d19e-4a81-b789-25b8e9445913')).copy(head)
    head.writeUInt16LE(Object.keys(pairs).length, 18)
    const texts: Buffer[] = []
    let place = head.length
    Object.entries(pairs).forEach((pair, index) => {
      pair.forEach((text, which) => {
        const bytes = Buffer.from(text, 'utf16le')
        head.writeUInt32LE(place, 20 + index * 12 + which * 4)
        head.writeUInt16LE(bytes.length, 20 + index * 12 + 8 + which * 2)
        texts.push(bytes)
        place += bytes.length
      })
    })
    return Buffer.concat([head, ...texts])
  }

  /** The GUID of the content, in the header that counts. */
  function dataWrite(name: string): string {
    const bytes = readFileSync(at(name))
    const header = bytes.readBigUInt64LE(65536 + 8) > bytes.readBigUInt64LE(131072 + 8) ? 65536 : 131072
    const mixed = bytes.subarray(header + 32, header + 48)
    const digits = Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((index) => mixed[index]!)).toString('hex')
    return `{${digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-').toUpperCase()}}`
  }

  /** An image with blocks in every state. @returns what it reads as */
  async function child(name: string, below: Uint8Array, pairs: Readonly<Record<string, string>>, seed: number): Promise<Uint8Array> {
    const pick = picks(seed)
    const size = below.length
    await create(vhdx, folder, name, size, {})
    const bytes = readFileSync(at(name))
    expect(bytes.readUInt32LE(metadataAt + 65536)).toBe(MiB)
    bytes.writeUInt32LE(2, metadataAt + 65536 + 4)
    item(bytes, 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c', locator(pairs))
    const parts: Buffer[] = [bytes, Buffer.alloc(Math.ceil(bytes.length / MiB) * MiB - bytes.length)]
    let end = Math.ceil(bytes.length / MiB) * MiB
    const append = (part: Buffer): bigint => {
      parts.push(part)
      end += part.length
      return BigInt(end - part.length)
    }
    const model = below.slice()
    const bitmap = Buffer.alloc(MiB)
    for (let block = 0; block * MiB < size; block++) {
      const start = block * MiB
      const own = content(MiB, pick)
      const state = block < 6 ? [0, 1, 2, 3, 6, 7][block]! : [0, 6, 7, 7][pick(4)]!
      if (state >= 6) bytes.writeBigUInt64LE(append(own) | BigInt(state), batAt + block * 8)
      else bytes.writeBigUInt64LE(BigInt(state), batAt + block * 8)
      if (state === 6) model.set(own.subarray(0, Math.min(MiB, size - start)), start)
      else if (state > 0 && state < 4) model.fill(0, start, Math.min(size, start + MiB))
      else if (state === 7) {
        for (let sector = 0; sector < MiB / 512;) {
          const [present, past] = [pick(2) === 0, Math.min(MiB / 512, sector + 1 + pick(40))]
          for (; sector < past; sector++) {
            if (!present) continue
            bitmap[start / 512 / 8 + (sector >> 3)]! |= 1 << sector % 8
            const place = start + sector * 512
            if (place < size) model.set(own.subarray(sector * 512, sector * 512 + 512), place)
          }
        }
      }
    }
    // The bitmap is behind the entries of 4096 blocks.
    bytes.writeBigUInt64LE(append(bitmap) | 6n, batAt + 4096 * 8)
    writeFileSync(at(name), Buffer.concat(parts))
    return model
  }

  it('takes each sector from where it is, and each name that the locator has', async () => {
    const seed = SEED
    const size = 14 * MiB + 512
    const first = await base(vhdx, 'base.vhdx', size, seed)
    const second = await child('child.vhdx', first, { parent_linkage: dataWrite('base.vhdx'), relative_path: '.\\base.vhdx', absolute_win32_path: 'C:\\elsewhere.vhdx' }, seed)
    const third = await child('grandchild.vhdx', second, { parent_linkage: '{00000000-0000-0000-0000-000000000000}', parent_linkage2: dataWrite('child.vhdx'), absolute_win32_path: 'C:\\VMs\\child.vhdx' }, seed + 1)
    for (const [name, model, below] of [['child.vhdx', second, 'base.vhdx'], ['grandchild.vhdx', third, 'child.vhdx']] as const) {
      const image = await openIt(name, false)
      expect(await image.info()).toMatchObject({ backing: { name: below, format: 'vhdx' }, details: { subformat: 'differencing' } })
      expect(await difference(image, model)).toBe(-1)
      const random = picks(seed)
      for (let count = 0; count < 40; count++) {
        const offset = random(size)
        const part = new Uint8Array(Math.min(size - offset, random(100_000)))
        expect(await image.read(offset, [part])).toBe('ok')
        expect(Buffer.compare(part, model.subarray(offset, offset + part.length))).toBe(0)
      }
      expect(image.readOnly).toBe(true)
      expect(await image.write(0, [new Uint8Array(512)])).toBe('read-only')
      expect(await image.check?.()).toMatchObject({ corruptions: 0, leaks: 0 })
      await image.close()
    }
  })

  it('refuses a parent that has changed, and a locator that cannot be right', async () => {
    const below = await base(vhdx, 'parent.vhdx', 6 * MiB, 3)
    await child('over.vhdx', below, { parent_linkage: dataWrite('parent.vhdx'), relative_path: 'parent.vhdx' }, 1)
    await expect(openIt('over.vhdx', true, { openFile: undefined })).rejects.toMatchObject({ code: 'image-file-refused', value: 'parent.vhdx' })
    const changed = await openIt('parent.vhdx', false)
    await changed.write(0, [new Uint8Array(512).fill(1)])
    await changed.close()
    await expect(openIt('over.vhdx')).rejects.toMatchObject({ code: 'image-damaged' })
    await child('nameless.vhdx', below, { parent_linkage: dataWrite('parent.vhdx') }, 1)
    await expect(openIt('nameless.vhdx')).rejects.toMatchObject({ code: 'image-damaged' })
    const bytes = readFileSync(at('over.vhdx'))
    const place = metadataAt + 65536 + 1024
    const random = picks(SEED)
    for (let round = 0; round < 60; round++) {
      const spoilt = Buffer.from(bytes)
      for (let count = 0; count < 3; count++) spoilt[place + random(80)] = random(256)
      writeFileSync(at('spoilt.vhdx'), spoilt)
      // Or it has another name, and the file system of the test knows no such file.
      await expect(openIt('spoilt.vhdx')).rejects.toSatisfy((error) => isMachinistError(error) || (error as { syscall?: string }).syscall === 'open')
    }
  })
})
