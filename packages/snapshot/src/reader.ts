import type { StoredMachine } from '@machinist/machine'
import { PAGE_SIZE, type PageSource } from '@machinist/memory'
import { textOf } from './ascii.ts'
import type { SnapshotCodec, SnapshotCompression } from './codec.ts'
import type { SnapshotInput } from './file.ts'
import { damaged, decodeHeader, MOST_BYTES, MOST_DOCUMENT, MOST_PAGES, readPiece } from './format.ts'
import { ChunkReader } from './chunk-reader.ts'
import { chunkTableSize } from './page-writer.ts'
import { decodePlain } from './plain.ts'

/** A snapshot's file, open. The file stays open until {@link OpenSnapshot.close} was called and no memory has pages in it any more. */
export interface OpenSnapshot extends StoredMachine {
  /** What whoever wrote it added: plain data. */
  readonly about: unknown
  /** It is not to be used any more; machines that were restored from it go on. */
  close(): void
}

/** Most regions, as many as a machine can have, and some. */
const MOST_REGIONS = 64
/** Most bytes of an address, so that sums are exact. */
const MOST_ADDRESS = 2 ** 52

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Opens a snapshot's file: header, tables and state are read and checked now, pages when they are touched, each chunk with its checksum.
 *
 * @throws typed errors: `'snapshot-format'` for a file of another kind, `'snapshot-version'`, `'snapshot-damaged'`, `'snapshot-state'`, and what the input throws
 */
export function openSnapshot(input: SnapshotInput, codec: SnapshotCodec): OpenSnapshot {
  const { name } = input
  const { compression, document } = decodeHeader(input, codec)
  const text = textOf(readPiece(input, codec, compression, document, MOST_DOCUMENT, 'its document'))
  let json: unknown
  try {
    json = JSON.parse(text ?? '')
  } catch {
    throw damaged(name, 'its document is not JSON')
  }
  if (!isObject(json) || !isObject(json['memory']) || !isObject(json['images']) || !Array.isArray(json['bytes'])) throw damaged(name, 'its document lacks parts')
  const { memory, images, bytes } = json as { readonly memory: Readonly<Record<string, unknown>>; readonly images: Readonly<Record<string, unknown>>; readonly bytes: readonly unknown[] }
  const plain = plainReader(bytes, (piece, most) => readPiece(input, codec, compression, piece, most, 'a part of its state'), name)
  const holders = new Holders(() => { input.close?.() })
  const { regions, source } = openMemory(input, codec, compression, memory, holders)
  return {
    definition: plain(json['definition']),
    state: plain(json['state']),
    about: plain(json['about']),
    memory: regions,
    source,
    image(file) {
      if (!Object.hasOwn(images, file)) throw imageMissing(name, file)
      return readPiece(input, codec, compression, images[file], MOST_BYTES, `the image ${file}`)
    },
    close: () => { holders.close() },
  }
}

function imageMissing(name: string, file: string): Error {
  return damaged(name, 'it was written without the image that the machine starts from', file)
}

/** Closes a file when nobody holds it any more. */
class Holders {
  #count = 0
  #closed = false
  readonly #end: () => void

  constructor(end: () => void) {
    this.#end = end
  }

  hold(): void {
    this.#count++
  }

  release(): void {
    this.#count--
    if (this.#closed && this.#count === 0) this.#end()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#count === 0) this.#end()
  }
}

/** Reads plain data whose long byte strings are pieces; all of them together are bounded. */
function plainReader(pieces: readonly unknown[], read: (piece: unknown, most: number) => Uint8Array, name: string): (json: unknown) => unknown {
  const known = new Map<number, Uint8Array>()
  let left = MOST_BYTES
  return (json) => decodePlain(json, (number) => {
    const before = known.get(number)
    if (before !== undefined) return before
    if (!Number.isInteger(number) || pieces[number] === undefined) throw damaged(name, 'a part of its state has no place in it', number)
    const bytes = read(pieces[number], left)
    left -= bytes.length
    known.set(number, bytes)
    return bytes
  })
}

function openMemory(
  input: SnapshotInput, codec: SnapshotCodec, compression: SnapshotCompression, memory: Readonly<Record<string, unknown>>, holders: Holders,
): { readonly regions: StoredMachine['memory']; readonly source: PageSource } {
  const { name, size } = input
  const { pages, offset, chunks, regions } = memory
  if (typeof pages !== 'number' || !Number.isInteger(pages) || pages < 0 || pages > MOST_PAGES) throw damaged(name, 'it cannot have so many pages', String(pages))
  if (typeof offset !== 'number' || !Number.isSafeInteger(offset) || offset < 0 || offset > size) throw damaged(name, 'its pages lie outside', String(offset))
  if (!Array.isArray(regions) || regions.length > MOST_REGIONS) throw damaged(name, 'it has no regions of memory')
  const piece = (place: unknown, length: number, what: string): Uint8Array => {
    const bytes = readPiece(input, codec, compression, place, length, what)
    if (bytes.length !== length) throw damaged(name, `${what} has another length`, bytes.length)
    return bytes
  }
  const source = new ChunkReader(input, codec, compression, pages, offset, numbers(piece(chunks, chunkTableSize(pages), 'its table of chunks')))
  let total = 0
  return {
    source: { load: (number, into) => { source.load(number, into) }, hold: () => { holders.hold() }, release: () => { holders.release() } },
    regions: regions.map((each: unknown) => {
      if (!isObject(each)) throw damaged(name, 'a region of memory is none')
      const { name: region, base, size: bytes, index } = each
      if (typeof region !== 'string' || typeof base !== 'number' || !Number.isSafeInteger(base) || base < 0 || base > MOST_ADDRESS) throw damaged(name, 'a region of memory is none', String(region))
      if (typeof bytes !== 'number' || bytes <= 0 || bytes % PAGE_SIZE !== 0 || (total += bytes / PAGE_SIZE) > MOST_PAGES) throw damaged(name, 'a region of memory has no such size', String(bytes))
      const places = numbers(piece(index, bytes / PAGE_SIZE * 4, `the index of ${region}`))
      if (places.some((number) => number > pages)) throw damaged(name, `the index of ${region} names pages that there are not`)
      return { name: region, base, size: bytes, pages: places }
    }),
  }
}

function numbers(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(index * 4, true))
}

