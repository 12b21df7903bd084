import { PAGE_SIZE } from '@machinist/memory'
import type { Appender } from './appender.ts'
import { AS_PARENT, CHUNK_PAGES, CHUNK_RECORD } from './format.ts'
import { isSame, isZero, type PageStore, PageViewer, type StoreRegion } from './page-store.ts'
import { ParentPages } from './parent-pages.ts'
import type { OpenSnapshot } from './reader.ts'

/** A page that was stored, and where its content is still. */
interface Stored<Region> {
  readonly region: Region
  readonly page: number
  readonly number: number
}

/** Writes the pages of memory that the parent does not have, each content once. */
export class PageWriter<Region extends StoreRegion> {
  readonly #appender: Appender
  readonly #viewer: PageViewer<Region>
  readonly #parent: ParentPages<Region> | null
  /** Pages stored so far; the first has number 1. */
  count = 0
  #chunk: Uint8Array = new Uint8Array(CHUNK_PAGES * PAGE_SIZE)
  readonly #chunks: number[] = []
  /** Pages with frames by the CRC-32 of their content: equal ones are likely equal. */
  readonly #byCrc = new Map<number, Stored<Region>>()
  /** Pages that are still where memory came from, by their number there. */
  readonly #byPlace = new Map<number, number>()

  constructor(store: PageStore<Region>, appender: Appender, parent: OpenSnapshot | undefined) {
    this.#appender = appender
    this.#viewer = new PageViewer(store)
    this.#parent = parent === undefined ? null : new ParentPages(parent, this.#viewer)
  }

  /** Writes a region; returns the index of its pages: the numbers of their contents, 0 for zeros. */
  async write(region: Region): Promise<Uint32Array> {
    const index = new Uint32Array(region.size / PAGE_SIZE)
    const asParent = this.#parent?.of(region)
    for (let page = 0; page < index.length; page++) {
      const place = this.#viewer.store.placeOf(region, page)
      if (place === 0) continue
      if (asParent?.(page) === true) {
        index[page] = AS_PARENT
        continue
      }
      if (place < 0 && isZero(this.#viewer.bytes(region, page))) continue
      const crc = place > 0 ? 0 : this.#appender.codec.crc32(this.#viewer.bytes(region, page))
      index[page] = (place > 0 ? this.#byPlace.get(place) : this.#known(region, page, crc)) ?? 0
      if (index[page] !== 0) continue
      const number = ++this.count
      index[page] = number
      if (place > 0) this.#byPlace.set(place, number)
      else this.#byCrc.set(crc, { region, page, number })
      this.#chunk.set(this.#viewer.bytes(region, page), ((number - 1) % CHUNK_PAGES) * PAGE_SIZE)
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

  /** The number of a page with the same content as one that has a frame. */
  #known(region: Region, page: number, crc: number): number | undefined {
    const other = this.#byCrc.get(crc)
    if (other === undefined) return undefined
    // What is in no frame has no CRC here: both are frames.
    return isSame(this.#viewer.bytes(region, page), this.#viewer.bytes(other.region, other.page)) ? other.number : undefined
  }
}

/** Bytes of a table of chunks for so many pages. */
export function chunkTableSize(pages: number): number {
  return Math.ceil(pages / CHUNK_PAGES) * CHUNK_RECORD
}
