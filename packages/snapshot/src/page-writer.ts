import { type GuestMemory, PAGE_SIZE, type RamRegion } from '@machinist/memory'
import type { Appender } from './appender.ts'
import { CHUNK_PAGES, CHUNK_RECORD } from './format.ts'

/** A page that was stored, and where its content is still. */
interface Stored {
  readonly region: RamRegion
  readonly page: number
  readonly number: number
}

/** Writes the pages of memory, each content once. */
export class PageWriter {
  readonly #memory: GuestMemory
  readonly #appender: Appender
  /** Pages stored so far; the first has number 1. */
  count = 0
  #chunk: Uint8Array = new Uint8Array(CHUNK_PAGES * PAGE_SIZE)
  readonly #chunks: number[] = []
  /** Pages with frames by the CRC-32 of their content: equal ones are likely equal. */
  readonly #byCrc = new Map<number, Stored>()
  /** Pages that are still where memory came from, by their number there. */
  readonly #byPlace = new Map<number, number>()
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE)

  constructor(memory: GuestMemory, appender: Appender) {
    this.#memory = memory
    this.#appender = appender
  }

  /** Writes a region; returns the index of its pages: the numbers of their contents, 0 for zeros. */
  async write(region: RamRegion): Promise<Uint32Array> {
    const index = new Uint32Array(region.size / PAGE_SIZE)
    for (let page = 0; page < index.length; page++) {
      const place = this.#memory.placeOf(region, page)
      if (place === 0) continue
      if (place < 0 && isZero(this.#bytes(region, page))) continue
      const crc = place > 0 ? 0 : this.#appender.codec.crc32(this.#bytes(region, page))
      index[page] = (place > 0 ? this.#byPlace.get(place) : this.#known(region, page, crc)) ?? 0
      if (index[page] !== 0) continue
      const number = ++this.count
      index[page] = number
      if (place > 0) this.#byPlace.set(place, number)
      else this.#byCrc.set(crc, { region, page, number })
      this.#chunk.set(this.#bytes(region, page), ((number - 1) % CHUNK_PAGES) * PAGE_SIZE)
      if (number % CHUNK_PAGES === 0) await this.#store(CHUNK_PAGES)
    }
    return index
  }

  /** Writes what is left; returns the table of chunks. */
  async end(): Promise<Uint32Array> {
    const rest = this.count % CHUNK_PAGES
    if (rest > 0) await this.#store(rest)
    return Uint32Array.from(this.#chunks)
  }

  async #store(pages: number): Promise<void> {
    const packed = this.#appender.pack(this.#chunk.subarray(0, pages * PAGE_SIZE))
    this.#chunks.push(packed.length, this.#appender.codec.crc32(packed))
    // What is stored as it is must not be written over.
    await this.#appender.append(packed.buffer === this.#chunk.buffer ? packed.slice() : packed)
  }

  /** The content of a page, good until the next call. */
  #bytes(region: RamRegion, page: number): Uint8Array {
    const frame = this.#memory.frame(region, page)
    if (frame !== null) return frame
    const { source } = this.#memory
    source?.load(this.#memory.placeOf(region, page), this.#page)
    return this.#page
  }

  /** The number of a page with the same content as one that has a frame. */
  #known(region: RamRegion, page: number, crc: number): number | undefined {
    const other = this.#byCrc.get(crc)
    if (other === undefined) return undefined
    return isSame(this.#bytes(region, page), this.#bytes(other.region, other.page)) ? other.number : undefined
  }
}

function words(bytes: Uint8Array): BigInt64Array {
  return new BigInt64Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 8)
}

// Loops, not calls for each word: a guest has tens of thousands of pages of zeros.
function isZero(bytes: Uint8Array): boolean {
  const all = words(bytes)
  for (let index = 0; index < PAGE_SIZE / 8; index++) if (all[index] !== 0n) return false
  return true
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  const [some, others] = [words(a), words(b)]
  for (let index = 0; index < PAGE_SIZE / 8; index++) if (some[index] !== others[index]) return false
  return true
}

/** Bytes of a table of chunks for so many pages. */
export function chunkTableSize(pages: number): number {
  return Math.ceil(pages / CHUNK_PAGES) * CHUNK_RECORD
}
