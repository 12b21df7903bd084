import type { GuestMemory } from '../guest-memory.ts'
import { PAGE_SIZE } from '../page-size.ts'

/** Goes round the pages of a memory, and goes on where it was. */
export class Hand {
  #region = 0
  #page = 0

  /**
   * Looks at so many pages, at most once at each.
   *
   * @param visit - is given the index of a page's entry, in `Arena.u32`; false ends it
   * @returns how many it looked at
   */
  go(memory: GuestMemory, count: number, visit: (index: number) => boolean): number {
    const { regions } = memory
    let left = Math.min(count, pagesOf(memory))
    let looked = 0
    while (left > 0) {
      const region = regions[this.#region]
      const pages = region === undefined ? 0 : region.size / PAGE_SIZE
      if (region === undefined || this.#page >= pages) {
        this.#region = this.#region + 1 < regions.length ? this.#region + 1 : 0
        this.#page = 0
        continue
      }
      looked++
      left--
      if (!visit((region.map >>> 2) + this.#page++)) break
    }
    return looked
  }
}

/** Pages that a memory may have. */
export function pagesOf(memory: GuestMemory): number {
  return memory.regions.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0)
}
