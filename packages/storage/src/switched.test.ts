import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { copyOwnContent, createImage, type DiskImage, openImage, qcow2, type RandomAccessFile, switchedImage } from './index.ts'

const CLUSTER = 4096
const CLUSTERS = 16
const SIZE = CLUSTER * CLUSTERS

/** A file in memory. */
function memoryFile(): RandomAccessFile {
  let bytes = new Uint8Array()
  return {
    get size() { return bytes.length },
    writable: true,
    read(offset, into) {
      const from = bytes.subarray(offset, offset + into.length)
      into.set(from)
      return from.length
    },
    write(offset, from) {
      if (offset + from.length > bytes.length) {
        const longer = new Uint8Array(offset + from.length)
        longer.set(bytes)
        bytes = longer
      }
      bytes.set(from, offset)
    },
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

/** Images by name, each over another. */
class Images {
  readonly #files = new Map<string, RandomAccessFile>()

  async create(name: string, under?: string): Promise<void> {
    const file = memoryFile()
    this.#files.set(name, file)
    await createImage(file, SIZE, { name, format: 'qcow2', parameters: { cluster_size: String(CLUSTER) }, ...(under !== undefined && { backing: { name: under, format: 'qcow2', size: SIZE } }) })
  }

  open(name: string, readOnly: boolean = true): Promise<DiskImage> {
    const file = this.#files.get(name) ?? memoryFile()
    return openImage(file, { name, readOnly, formats: [qcow2], openFile: (under) => Promise.resolve({ file: this.#files.get(under) ?? memoryFile(), name: under, openFile: () => Promise.reject(new Error('too deep')) }) }, 'qcow2')
  }
}

async function contentOf(image: DiskImage): Promise<number[]> {
  const bytes = new Uint8Array(SIZE)
  expect(await image.read(0, [bytes])).toBe('ok')
  return Array.from({ length: CLUSTERS * 2 }, (_, half) => bytes[half * CLUSTER / 2] ?? -1)
}

const act = fc.record({ kind: fc.constantFrom('write' as const, 'zeroes' as const, 'discard' as const), half: fc.nat(CLUSTERS * 2 - 1), count: fc.integer({ min: 1, max: 5 }), value: fc.integer({ min: 1, max: 255 }) })

async function change(image: DiskImage, acts: readonly { readonly kind: 'write' | 'zeroes' | 'discard'; readonly half: number; readonly count: number; readonly value: number }[]): Promise<void> {
  for (const { kind, half, count, value } of acts) {
    const [offset, length] = [half * CLUSTER / 2, Math.min(count, CLUSTERS * 2 - half) * CLUSTER / 2]
    if (kind === 'write') await image.write(offset, [new Uint8Array(length).fill(value)])
    if (kind === 'zeroes') await image.writeZeroes(offset, length)
    if (kind === 'discard') await image.discard(offset, length)
  }
  await image.flush()
}

it('what two overlays have becomes that of one, on what the lower one stands on', async () => {
  await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 12 }), fc.array(act, { maxLength: 12 }), fc.array(act, { maxLength: 12 }), async (first, second, third) => {
    const images = new Images()
    await images.create('base')
    await images.create('middle', 'base')
    await images.create('one', 'base')
    const base = await images.open('base', false)
    await change(base, first)
    const middle = await images.open('middle', false)
    await change(middle, second)
    const one = await images.open('one', false)
    await copyOwnContent(middle, one)
    expect(await contentOf(one)).toEqual(await contentOf(middle))
    // Over what is there already, also where that has something and the other zeroes.
    await change(middle, third)
    await copyOwnContent(middle, one)
    expect(await contentOf(one)).toEqual(await contentOf(middle))
    expect((await one.check?.())?.corruptions).toBe(0)
  }), { numRuns: 40, seed: Number(process.env['STORAGE_SEED'] ?? 1) })
})

it('an image stands for another of the same size alone, which then has all requests', async () => {
  const images = new Images()
  await images.create('base')
  await images.create('top', 'base')
  const base = await images.open('base', false)
  const switched = switchedImage(base, 'disk0')
  expect(await switched.write(0, [new Uint8Array(512).fill(7)])).toBe('ok')
  await base.flush()
  const top = await images.open('top', false)
  switched.switchTo(top)
  expect(switched.now).toBe(top)
  expect(await switched.write(512, [new Uint8Array(512).fill(9)])).toBe('ok')
  const bytes = new Uint8Array(1024)
  expect(await switched.read(0, [bytes])).toBe('ok')
  expect([bytes[0], bytes[512]]).toEqual([7, 9])
  expect(await base.read(0, [bytes])).toBe('ok')
  expect([bytes[0], bytes[512]]).toEqual([7, 0])
  for (const other of [await images.open('top', true), { ...await images.open('base', false), size: SIZE * 2 }]) {
    try {
      switched.switchTo(other as DiskImage)
      expect.unreachable()
    } catch (error) {
      expect(isMachinistError(error) && error.part).toBe('disk0')
    }
  }
})
