import type { CompressedPool, Packed } from './compressed-pool.ts'
import type { SwapSpace } from './swap-space.ts'
import { PAGE_SIZE } from '../page-size.ts'

/** Page-map entries have 20 bits for a number. */
const MOST_NUMBERS = 2 ** 20

interface Slot {
  /** Pages that have this content. */
  references: number
  /** Where it is: compressed, or its place in the swap file. */
  where: Packed | number
}

/**
 * Content of pages that gave their frames back, by numbers, for the arenas of one thread: compressed in memory first, in a swap file when there is no room, or no gain. What has been compressed for longest goes to the
 * file when others come.
 */
export class ParkedPages {
  readonly #pool: CompressedPool | null
  readonly #swap: SwapSpace | null
  readonly #slots: (Slot | null)[] = [null]
  readonly #free: number[] = []
  /** Numbers of what is compressed, the oldest first. */
  readonly #compressed = new Set<number>()
  readonly #page: Uint8Array = new Uint8Array(PAGE_SIZE)

  constructor(pool: CompressedPool | null, swap: SwapSpace | null) {
    this.#pool = pool
    this.#swap = swap
  }

  /** Contents that are compressed, and that are in the file. */
  get counts(): { readonly compressed: number; readonly swapped: number } {
    return { compressed: this.#compressed.size, swapped: this.#swap?.used ?? 0 }
  }

  /** Keeps the content of a page, for one page; returns its number, or 0 when there is no room. */
  put(page: Uint8Array): number {
    if (this.#free.length === 0 && this.#slots.length >= MOST_NUMBERS) return 0
    const where = this.#compress(page) ?? this.#write(page)
    if (where === null) return 0
    const number = this.#free.pop() ?? this.#slots.length
    this.#slots[number] = { references: 1, where }
    if (typeof where !== 'number') this.#compressed.add(number)
    return number
  }

  #compress(page: Uint8Array): Packed | null {
    if (this.#pool === null) return null
    for (;;) {
      const packed = this.#pool.put(page)
      if (packed !== 0) return packed
      if (!this.moveOn()) return null
    }
  }

  #write(page: Uint8Array): number | null {
    const place = this.#swap?.put(page) ?? -1
    return place < 0 ? null : place
  }

  /** Moves what has been compressed for longest into the file; false when that cannot be done. */
  moveOn(): boolean {
    const [number] = this.#compressed
    const slot = number === undefined ? null : this.#slots[number] ?? null
    if (number === undefined || slot === null || typeof slot.where === 'number') return false
    this.#pool?.load(slot.where, this.#page)
    const place = this.#write(this.#page)
    if (place === null) return false
    this.#compressed.delete(number)
    this.#pool?.free(slot.where)
    slot.where = place
    return true
  }

  #slot(number: number): Slot {
    const slot = this.#slots[number] ?? null
    if (slot === null) throw new RangeError(`no page is parked under ${number}`)
    return slot
  }

  /** Whether it is in the file. */
  isSwapped(number: number): boolean {
    return typeof this.#slots[number]?.where === 'number'
  }

  /** @throws typed errors when the file cannot be read, or is damaged */
  load(number: number, into: Uint8Array): void {
    const { where } = this.#slot(number)
    if (typeof where === 'number') this.#swap?.load(where, into)
    else this.#pool?.load(where, into)
  }

  /** One more page has it. */
  hold(number: number): void {
    this.#slot(number).references++
  }

  /** One fewer; after the last, it is forgotten. */
  drop(number: number): void {
    const slot = this.#slot(number)
    if (--slot.references > 0) return
    const { where } = slot
    if (typeof where === 'number') this.#swap?.free(where)
    else this.#pool?.free(where)
    this.#compressed.delete(number)
    this.#slots[number] = null
    this.#free.push(number)
  }
}
