import { type GuestMemory, PAGE_SIZE } from '@machinist/memory'
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

/** A region while its pages are written. */
interface Indexed<Region> {
  readonly region: Region
  readonly index: Uint32Array
  /** 1 for pages that the parent has. */
  readonly asParent: Uint8Array | undefined
}

/** Most pages that are stored as they are to be read first. */
const MOST_FIRST = 4096

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

  /** @param since - memory with the content that the parent has; see {@link ParentPages} */
  constructor(store: PageStore<Region>, appender: Appender, parent: OpenSnapshot | undefined, since: GuestMemory | null = null) {
    this.#appender = appender
    this.#viewer = new PageViewer(store)
    this.#parent = parent === undefined ? null : new ParentPages(parent, this.#viewer, since)
  }

  /**
   * Writes the pages of all regions. Those that are wanted first stand first, and as they are: they are read quickly, and with few others.
   *
   * @param first - guest-physical addresses of pages; more than {@link MOST_FIRST} are pages like others
   * @returns for each region the index of its pages: the numbers of their contents, 0 for zeros
   */
  async write(first: readonly number[]): Promise<Uint32Array[]> {
    const all: Indexed<Region>[] = []
    for (const region of this.#viewer.store.regions) {
      all.push({ region, index: new Uint32Array(region.size / PAGE_SIZE), asParent: await this.#parent?.of(region, () => this.#appender.breathe()) })
    }
    for (const address of first.slice(0, MOST_FIRST)) {
      const indexed = all.find(({ region: { base, size } }) => address >= base && address < base + size)
      if (indexed !== undefined && this.#take(indexed, Math.floor((address - indexed.region.base) / PAGE_SIZE))) await this.#store(CHUNK_PAGES, true)
    }
    const plain = Math.ceil(this.count / CHUNK_PAGES)
    for (const indexed of all) {
      for (let page = 0; page < indexed.index.length; page++) {
        if (this.#take(indexed, page)) await this.#store(CHUNK_PAGES, this.count / CHUNK_PAGES <= plain)
      }
    }
    return all.map(({ index }) => index)
  }

  /** Takes a page into the index, and into the chunk if it must be; tells whether that is full. */
  #take({ region, index, asParent }: Indexed<Region>, page: number): boolean {
    if (index[page] !== 0) return false
    const place = this.#viewer.store.placeOf(region, page)
    if (place === 0) return false
    if (asParent?.[page] === 1) {
      index[page] = AS_PARENT
      return false
    }
    if (place < 0 && isZero(this.#viewer.bytes(region, page))) return false
    const crc = place > 0 ? 0 : this.#appender.codec.crc32(this.#viewer.bytes(region, page))
    index[page] = (place > 0 ? this.#byPlace.get(place) : this.#known(region, page, crc)) ?? 0
    if (index[page] !== 0) return false
    const number = ++this.count
    index[page] = number
    if (place > 0) this.#byPlace.set(place, number)
    else this.#byCrc.set(crc, { region, page, number })
    this.#chunk.set(this.#viewer.bytes(region, page), ((number - 1) % CHUNK_PAGES) * PAGE_SIZE)
    return number % CHUNK_PAGES === 0
  }

  /** Writes what is left; returns the table of chunks. */
  async end(): Promise<Uint32Array> {
    const rest = this.count % CHUNK_PAGES
    if (rest > 0) await this.#store(rest, false)
    return Uint32Array.from(this.#chunks)
  }

  async #store(pages: number, plain: boolean): Promise<void> {
    const bytes = this.#chunk.subarray(0, pages * PAGE_SIZE)
    const packed = plain ? bytes : await this.#appender.pack(bytes)
    this.#chunks.push(packed.length, this.#appender.codec.crc32(packed))
    await this.#appender.append(packed)
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
