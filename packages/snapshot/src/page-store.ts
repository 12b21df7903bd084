import type { StoredMachine } from '@machinist/machine'
import { PAGE_SIZE, type PageSource } from '@machinist/memory'

/** What pages are written from: the memory of a machine, or a file that is written anew. Regions are those of `regions`. */
export interface PageStore<Region extends StoreRegion = StoreRegion> {
  readonly regions: readonly Region[]
  /** The number by which {@link source} knows a page; 0 for zeros, −1 for one with a frame. */
  placeOf(region: Region, page: number): number
  /** The content of a page that has a frame. */
  frame(region: Region, page: number): Uint8Array | null
  /** Where the frame of a page is, in an arena in which nobody writes to frames that several have; 0 when it has none. */
  frameAddress?(region: Region, page: number): number
  readonly source: PageSource | null
}

/** A region, as far as writing needs it. */
export interface StoreRegion {
  readonly name: string
  readonly base: number
  readonly size: number
}

/** The pages of a file as something to be written. */
export function storeOf({ memory, source }: StoredMachine): PageStore<StoredMachine['memory'][number]> {
  return { regions: memory, placeOf: (region, page) => region.pages[page] ?? 0, frame: () => null, source }
}

/** Looks at the pages of a store. */
export class PageViewer<Region extends StoreRegion> {
  readonly store: PageStore<Region>
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE)

  constructor(store: PageStore<Region>) {
    this.store = store
  }

  /** The content of a page, good until the next call. */
  bytes(region: Region, page: number): Uint8Array {
    const frame = this.store.frame(region, page)
    if (frame !== null) return frame
    const place = this.store.placeOf(region, page)
    if (place === 0) this.#page.fill(0)
    else this.store.source?.load(place, this.#page)
    return this.#page
  }
}

function words(bytes: Uint8Array): BigInt64Array {
  return new BigInt64Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 8)
}

/** Whether a page is zeros. A loop, not a call for each word: a guest has tens of thousands of pages of zeros. */
export function isZero(bytes: Uint8Array): boolean {
  const all = words(bytes)
  for (let index = 0; index < PAGE_SIZE / 8; index++) if (all[index] !== 0n) return false
  return true
}

/** Whether two pages are the same. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  const [some, others] = [words(a), words(b)]
  for (let index = 0; index < PAGE_SIZE / 8; index++) if (some[index] !== others[index]) return false
  return true
}
