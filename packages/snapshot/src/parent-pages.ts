import { type GuestMemory, PAGE_SIZE, type RamRegion } from '@machinist/memory'
import { MOST_PAGES } from './format.ts'
import { isSame, type PageStore, type PageViewer, type StoreRegion } from './page-store.ts'
import type { OpenSnapshot } from './reader.ts'
import { StoredPages } from './stored-pages.ts'

/** Pages that are looked at before others may do something. */
const AT_ONCE = 1024

/** Finds the pages that a parent has at the same place, by what is in them: whoever keeps account of writes may do with it what he likes. */
export class ParentPages<Region extends StoreRegion> {
  readonly #parent: OpenSnapshot
  readonly #viewer: PageViewer<Region>
  /** Pages that were found to be what the parent has under a number. Comparing with them saves decompressing it again. */
  readonly #known = new Map<number, { readonly region: Region; readonly page: number }>()
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE)
  readonly #since: GuestMemory | null

  /** @param since - memory in the arena of the viewer's, with the content that the parent has */
  constructor(parent: OpenSnapshot, viewer: PageViewer<Region>, since: GuestMemory | null) {
    this.#parent = parent
    this.#viewer = viewer
    this.#since = since
  }

  /**
   * Tells of each page of a region whether the parent has the same there: 1 if so. Pages are looked at in the order in which they are stored, so that each chunk
   * is decompressed once.
   *
   * @param breathe - lets others do something now and then
   */
  async of(region: Region, breathe: () => Promise<void>): Promise<Uint8Array> {
    const same = new Uint8Array(region.size / PAGE_SIZE)
    const there = this.#parent.memory.find(({ name, base, size }) => name === region.name && base === region.base && size === region.size)
    if (there === undefined) return same
    const before = this.#since?.regions.find(({ name, base, size }) => name === region.name && base === region.base && size === region.size) ?? null
    const { source } = this.#parent
    const order = Float64Array.from(there.pages, (number, page) => (source instanceof StoredPages ? source.orderOf(number) : number) * MOST_PAGES + page).sort()
    let looked = 0
    for (const key of order) {
      const page = key % MOST_PAGES
      if (!this.#isSame(region, page, there.pages[page] ?? 0, before)) continue
      same[page] = 1
      if (++looked % AT_ONCE === 0) await breathe()
    }
    return same
  }

  #isSame(region: Region, page: number, number: number, before: RamRegion | null): boolean {
    const { store } = this.#viewer
    const place = store.placeOf(region, page)
    if (number === 0 || place === 0) return number === place
    if (place > 0 && isKnownSame(store, place, this.#parent, number)) return true
    if (before !== null) {
      // Whoever writes to a page whose frame others have, too, gets another one.
      const frame = this.#since?.frameAddress(before, page) ?? 0
      if (frame !== 0 && frame === store.frameAddress?.(region, page)) return true
      const content = this.#since?.frame(before, page) ?? null
      if (content !== null) {
        this.#page.set(content)
        return isSame(this.#viewer.bytes(region, page), this.#page)
      }
    }
    const known = this.#known.get(number)
    if (known === undefined) this.#parent.source.load(number, this.#page)
    else this.#page.set(this.#viewer.bytes(known.region, known.page))
    if (!isSame(this.#viewer.bytes(region, page), this.#page)) return false
    if (known === undefined) this.#known.set(number, { region, page })
    return true
  }
}

/** Whether two pages come from one place of one file. */
function isKnownSame({ source }: PageStore, place: number, parent: OpenSnapshot, number: number): boolean {
  if (source === parent.source) return place === number
  return source instanceof StoredPages && parent.source instanceof StoredPages && source.keyOf(place) === parent.source.keyOf(number)
}
