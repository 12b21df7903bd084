import type { StoredMachine } from '@machinist/machine'
import { PAGE_SIZE } from '@machinist/memory'
import { ChunkReader } from './chunk-reader.ts'
import { AS_PARENT, damaged, MOST_PAGES } from './format.ts'
import { isObject, type OpenedFile } from './opened-file.ts'
import { chunkTableSize } from './page-writer.ts'
import { type Holders, StoredPages } from './stored-pages.ts'

/** Most regions, as many as a machine can have, and some. */
const MOST_REGIONS = 64
/** Most bytes of an address, so that sums are exact. */
const MOST_ADDRESS = 2 ** 52

/** A region as one file has it: its pages by number, or {@link AS_PARENT}. */
interface Region {
  readonly name: string
  readonly base: number
  readonly size: number
  readonly index: Uint32Array
}

/** A region with all that the files of a chain say of it: for each page which of them has it, and its number there. */
interface Found extends Omit<Region, 'index'> {
  readonly files: Uint8Array
  readonly numbers: Uint32Array
}

/**
 * Memory, as a file and those that it stands on have it.
 *
 * @param chain - the file first, the oldest last
 * @throws a typed error `'snapshot-damaged'`
 */
export function openMemory(chain: readonly OpenedFile[], holders: Holders): { readonly regions: StoredMachine['memory']; readonly source: StoredPages } {
  const files = chain.map((file) => ({ ...pagesOf(file), key: keyOf(file), file }))
  let found: readonly Found[] = []
  for (let level = files.length - 1; level >= 0; level--) {
    const file = files[level]
    if (file === undefined) continue
    const below = found
    found = regionsOf(file.file, file.pages).map((region) => laidOver(file.file.input.name, region, level, below))
  }
  if (chain.length === 1) return { regions: found.map(({ name, base, size, numbers }) => ({ name, base, size, pages: numbers })), source: new StoredPages(files, null, holders) }
  return numbered(found, files, holders)
}

/** What a region has when a file is read over those below it. */
function laidOver(name: string, { index, ...region }: Region, level: number, below: readonly Found[]): Found {
  const parent = below.find((other) => other.name === region.name && other.base === region.base && other.size === region.size)
  const files = new Uint8Array(index.length).fill(level)
  for (let page = 0; page < index.length; page++) {
    if (index[page] !== AS_PARENT) continue
    if (parent === undefined) throw damaged(name, `its parent has no ${region.name} of that size`, region.size)
    files[page] = parent.files[page] ?? 0
    index[page] = parent.numbers[page] ?? 0
  }
  return { ...region, files, numbers: index }
}

/** The pages of several files that are used, under numbers of their own: no more than memory has pages. */
function numbered(found: readonly Found[], files: readonly (ReturnType<typeof pagesOf> & { readonly key: string })[], holders: Holders): ReturnType<typeof openMemory> {
  const given = files.map(({ pages }) => new Uint32Array(pages + 1))
  const places: { file: number; number: number }[] = [{ file: 0, number: 0 }]
  const regions = found.map(({ name, base, size, files: levels, numbers }) => {
    const pages = numbers.map((number, page) => {
      if (number === 0) return 0
      const file = levels[page] ?? 0
      const known = given[file]
      if (known === undefined) return 0
      if (known[number] === 0) known[number] = places.push({ file, number }) - 1
      return known[number] ?? 0
    })
    return { name, base, size, pages }
  })
  const row = { files: Uint8Array.from(places, ({ file }) => file), numbers: Uint32Array.from(places, ({ number }) => number) }
  return { regions, source: new StoredPages(files, row, holders) }
}

/** What tells a file's pages from those of others. */
function keyOf({ header: { identity: { size, crc }, document } }: OpenedFile): string {
  return [size, crc, ...document].join(' ')
}

function pagesOf(file: OpenedFile): { readonly pages: number; readonly reader: ChunkReader } {
  const { input, codec, header, memory: { pages, offset, chunks } } = file
  const { name, size } = input
  if (typeof pages !== 'number' || !Number.isInteger(pages) || pages < 0 || pages > MOST_PAGES) throw damaged(name, 'it cannot have so many pages', String(pages))
  if (typeof offset !== 'number' || !Number.isSafeInteger(offset) || offset < 0 || offset > size) throw damaged(name, 'its pages lie outside', String(offset))
  const table = numbers(whole(file, chunks, chunkTableSize(pages), 'its table of chunks'))
  return { pages, reader: new ChunkReader(input, codec, header.compression, pages, offset, table) }
}

function regionsOf(file: OpenedFile, most: number): readonly Region[] {
  const { input: { name }, memory: { regions }, parent } = file
  if (!Array.isArray(regions) || regions.length > MOST_REGIONS) throw damaged(name, 'it has no regions of memory')
  let total = 0
  return regions.map((each: unknown) => {
    if (!isObject(each)) throw damaged(name, 'a region of memory is none')
    const { name: region, base, size, index } = each
    if (typeof region !== 'string' || typeof base !== 'number' || !Number.isSafeInteger(base) || base < 0 || base > MOST_ADDRESS) throw damaged(name, 'a region of memory is none', String(region))
    if (typeof size !== 'number' || size <= 0 || size % PAGE_SIZE !== 0 || (total += size / PAGE_SIZE) > MOST_PAGES) throw damaged(name, 'a region of memory has no such size', String(size))
    const places = numbers(whole(file, index, size / PAGE_SIZE * 4, `the index of ${region}`))
    if (places.some((number) => number > most && (number !== AS_PARENT || parent === null))) throw damaged(name, `the index of ${region} names pages that there are not`)
    return { name: region, base, size, index: places }
  })
}

/** A piece of so many bytes. */
function whole(file: OpenedFile, place: unknown, length: number, what: string): Uint8Array {
  const bytes = file.piece(place, length, what)
  if (bytes.length !== length) throw damaged(file.input.name, `${what} has another length`, bytes.length)
  return bytes
}

function numbers(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const all = new Uint32Array(bytes.length / 4)
  for (let index = 0; index < all.length; index++) all[index] = view.getUint32(index * 4, true)
  return all
}
