import { describe, expect, it } from 'vitest'
import { content } from '../test/foreign.ts'
import { SparseFile } from '../test/fuzz.ts'
import { generator } from '../test/node-file.ts'
import { codec } from '../test/support.ts'
import { checkImage, convertImage, copyImage, createImage, diskFormats, formatForNew, openImage, type OpenFile, type RandomAccessFile } from './index.ts'
import { SEED } from '../test/seed.ts'

/** Files in memory, by their names. */
class Folder {
  readonly files = new Map<string, SparseFile>()
  readonly create = async (name: string): Promise<RandomAccessFile> => {
    const file = new SparseFile(new Uint8Array(0))
    this.files.set(name, file)
    return file
  }

  readonly open: OpenFile = async (name) => {
    const file = this.files.get(name)
    if (file === undefined) throw Object.assign(new Error('none'), { code: 'ENOENT' })
    return { file, name, openFile: this.open }
  }
}

const openIt = (file: RandomAccessFile, name: string, folder: Folder, extra: object = {}) => openImage(file, { name, formats: diskFormats, codec, openFile: folder.open, ...extra })

async function contentOf(file: RandomAccessFile, name: string, folder: Folder): Promise<Uint8Array> {
  const image = await openIt(file, name, folder, { readOnly: true })
  const bytes = new Uint8Array(image.size)
  expect(await image.read(0, [bytes])).toBe('ok')
  await image.close()
  return bytes
}

describe('images are made, converted and checked over any files', () => {
  it('from format to format, those of several files too', async () => {
    const random = generator(SEED)
    // A size that every format can say.
    const model = content(17 * 4 * 512 * 60, random, 30_000)
    const folder = new Folder()
    let name = 'first.img'
    let file = await folder.create(name)
    await createImage(file, model.length, { name })
    const first = await openIt(file, name, folder)
    expect(first.format).toBe('raw')
    expect(await first.write(0, [model])).toBe('ok')
    await first.close()
    const kinds: readonly (readonly [string, (string | undefined)?, Record<string, string>?])[] = [
      ['a.qcow2'], ['b.vmdk'], ['c.vmdk', undefined, { subformat: 'twoGbMaxExtentFlat' }], ['d.vdi'], ['e.vhd'], ['f.vhdx'], ['g', 'qcow2', { cluster_size: '4K' }], ['h.vmdk', undefined, { subformat: 'streamOptimized' }], ['i'],
    ]
    for (const [to, format, parameters] of kinds) {
      const source = await openIt(file, name, folder, { readOnly: true })
      const target = await folder.create(to)
      let last = -1
      await convertImage(source, target, {
        name: to, codec, createFile: folder.create, openFile: folder.open, ...(format !== undefined && { format }), ...(parameters && { parameters }),
        progress(done) {
          expect(done).toBeGreaterThanOrEqual(last)
          last = done
        },
      })
      await source.close()
      expect(Buffer.compare(await contentOf(target, to, folder), model), to).toBe(0)
      const image = await openIt(target, to, folder, { maintenance: true })
      expect(image.format).toBe(formatForNew(to, format).name)
      if (image.check === undefined) await expect(checkImage(image, { name: to })).rejects.toMatchObject({ code: 'image-unsupported', part: to })
      else expect(await checkImage(image)).toMatchObject({ corruptions: 0, leaks: 0 })
      await image.close()
      ;[file, name] = [target, to]
    }
  })

  it('and damage that is met on the way is a typed error', async () => {
    const folder = new Folder()
    const file = await folder.create('a.vhdx')
    await createImage(file, 8 << 20, { name: 'a.vhdx' })
    const image = await openIt(file, 'a.vhdx', folder)
    expect(await image.write(0, [new Uint8Array(8 << 20).fill(1)])).toBe('ok')
    await image.close()
    // The third entry of its table leads out of the file.
    await file.write((3 << 20) + 16, Uint8Array.of(6, 0, 0, 0, 0, 1, 0, 0))
    const damaged = await openIt(file, 'a.vhdx', folder, { readOnly: true })
    for await (const { state } of damaged.ranges()) expect(state).toBe('data')
    await expect(convertImage(damaged, await folder.create('b'), { name: 'b', fromName: 'a.vhdx' })).rejects.toMatchObject({ code: 'disk-read', part: 'a.vhdx', message: expect.stringContaining('byte 2097152') as string })
  })

  it('and what cannot be is a typed error that names the formats', async () => {
    expect(() => formatForNew('x.img', 'qcow3')).toThrow(/qcow2, vmdk, vdi, vhdx, vhd, .*raw/)
    expect(() => formatForNew('x.dmg')).toThrow(/can only be read.*qcow2, vmdk, vdi, vhdx, vhd, raw/)
    await expect(createImage(new SparseFile(new Uint8Array(0)), 1 << 20, { name: 'x', format: 'bochs' })).rejects.toMatchObject({ code: 'image-unsupported', value: 'bochs' })
    const folder = new Folder()
    const [large, small] = [await folder.create('large'), await folder.create('small')]
    await createImage(large, 1 << 20, { name: 'large' })
    await createImage(small, 1 << 19, { name: 'small' })
    await expect(copyImage(await openIt(large, 'large', folder), await openIt(small, 'small', folder), { toName: 'small' })).rejects.toMatchObject({ code: 'disk-size', part: 'small' })
  })
})
