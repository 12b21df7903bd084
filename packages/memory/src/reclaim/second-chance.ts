import type { GuestMemory } from '../guest-memory.ts'
import { frameOf, hasFrame, PAGE_PRESENT } from '../page-map.ts'
import { PAGE_SIZE } from '../page-size.ts'
import { Hand, pagesOf } from './hand.ts'

/** What a new look weighs in the estimate. */
const NEW = 1 / 4

/**
 * Finds out which pages of a memory nobody uses, and takes their frames: the clock, or second chance, of Multics. A hand goes round; a page that it finds present has to ask from then on, which costs the guest less than a microsecond if it does, and
 * one that still waits when the hand comes again is cold. How many do not wait any more tells how much of the memory is in use.
 */
export class SecondChance {
  readonly memory: GuestMemory
  readonly #hand = new Hand()
  #active = 1
  /** The same of the last time round alone: who begins to use what he has is believed at once. */
  #last = 1
  /** Of this time round: pages with frames, and those that somebody had touched. */
  #found = 0
  #touched = 0
  #looked = 0

  constructor(memory: GuestMemory) {
    this.memory = memory
  }

  /** The part of its frames that it uses, from 0 to 1: of the last time that the hand went round, or on the average, if that is more; 1 before anything is known. */
  get active(): number {
    return Math.max(this.#active, this.#last)
  }

  /** Lets pages wait. Not in the middle of what the memory's own guest does. */
  age(count: number): void {
    this.#go(count, () => true)
  }

  /**
   * Takes frames of pages that wait; with `most` pages to look at, it may come to those that wait since a moment ago. Not in the middle of what the memory's own guest does.
   *
   * @param park - keeps the content of a page; 0 when it cannot
   * @returns how many frames came free
   */
  take(want: number, most: number, park: (page: Uint8Array) => number): number {
    const { memory } = this
    const { arena, pager } = memory
    let taken = 0
    let full = false
    for (let left = most; left > 0 && taken < want && !full;) {
      const looked = this.#go(left, (index, entry) => {
        const frame = frameOf(entry)
        // One that others have, too, would gain nothing.
        if (arena.references(frame) > 1) return true
        if (arena.hash(frame) === 0) {
          pager.park(index, 0)
          pager.merged++
        } else {
          const number = park(arena.u8.subarray(frame, frame + PAGE_SIZE))
          full = number === 0
          if (full) return false
          pager.park(index, number)
        }
        return ++taken < want
      })
      if (looked === 0) break
      left -= looked
    }
    return taken
  }

  /** @param cold - is given pages that waited, until it is false */
  #go(count: number, cold: (index: number, entry: number) => boolean): number {
    const { memory } = this
    const { arena, pager } = memory
    if (memory.pinned) return 0
    const { u32 } = arena
    const held = memory.held?.() ?? 0
    const waiting: number[] = []
    let looked = 0
    try {
      looked = this.#hand.go(memory, count, (index) => {
        const entry = u32[index] ?? 0
        if (!hasFrame(entry)) return true
        this.#found++
        if ((entry & PAGE_PRESENT) === 0) return cold(index, entry)
        this.#touched++
        if (frameOf(entry) === held) return true
        pager.wait(index)
        waiting.push(index)
        return true
      })
    } finally {
      // Whatever happened: those that wait are in no TLB.
      if (waiting.length > 0) memory.onProtect?.(waiting)
    }
    this.#looked += looked
    if (this.#looked >= pagesOf(memory)) {
      if (this.#found > 0) {
        this.#last = this.#touched / this.#found
        this.#active += NEW * (this.#last - this.#active)
      }
      this.#found = this.#touched = this.#looked = 0
    }
    return looked
  }
}

