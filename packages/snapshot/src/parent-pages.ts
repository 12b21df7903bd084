import { PAGE_SIZE } from '@machinist/memory'
import { isSame, type PageStore, type PageViewer, type StoreRegion } from './page-store.ts'
import type { OpenSnapshot } from './reader.ts'
import { StoredPages } from './stored-pages.ts'

/** Finds the pages that a parent has at the same place, by what is in them: whoever keeps account of writes may do with it what he likes. */
export class ParentPages<Region extends StoreRegion> {
  readonly #parent: OpenSnapshot
  readonly #viewer: PageViewer<Region>
  /** Pages that were found to be what the parent has under a number. Comparing with them saves decompressing it again. */
  readonly #known = new Map<number, { readonly region: Region; readonly page: number }>()
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE)

  constructor(parent: OpenSnapshot, viewer: PageViewer<Region>) {
    this.#parent = parent
    this.#viewer = viewer
  }

  /** Tells of each page of a region whether the parent has the same there. */
  of(region: Region): (page: number) => boolean {
    const there = this.#parent.memory.find(({ name, base, size }) => name === region.name && base === region.base && size === region.size)
    return there === undefined ? () => false : (page) => this.#isSame(region, page, there.pages[page] ?? 0)
  }

  #isSame(region: Region, page: number, number: number): boolean {
    const { store } = this.#viewer
    const place = store.placeOf(region, page)
    if (number === 0 || place === 0) return number === place
    if (place > 0 && isKnownSame(store, place, this.#parent, number)) return true
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
