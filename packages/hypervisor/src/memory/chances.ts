import { type GuestMemory, PAGE_SIZE, SecondChance } from '@machinist/memory'

/** Finds out which pages of a machine nobody uses, and takes their frames, in each piece of its memory: as {@link SecondChance}. */
export class Chances {
  readonly #pieces: readonly { readonly chance: SecondChance; readonly pages: number }[]
  readonly #pages: number
  /** The piece from which frames are taken next. */
  #next = 0

  constructor(memory: GuestMemory) {
    this.#pieces = memory.pieces.map((piece) => ({ chance: new SecondChance(piece), pages: piece.regions.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0) }))
    this.#pages = this.#pieces.reduce((sum, { pages }) => sum + pages, 0)
  }

  /** The part of its frames that it uses, from 0 to 1. */
  get active(): number {
    const [first] = this.#pieces
    if (first === undefined || this.#pieces.length === 1) return first?.chance.active ?? 1
    let [frames, used] = [0, 0]
    for (const { chance } of this.#pieces) {
      frames += chance.memory.touchedPages
      used += chance.memory.touchedPages * chance.active
    }
    return frames === 0 ? 1 : used / frames
  }

  /** As {@link SecondChance.age}, of so many pages of all, each piece its part. */
  age(count: number): void {
    for (const { chance, pages } of this.#pieces) chance.age(Math.ceil((count * pages) / this.#pages))
  }

  /** As {@link SecondChance.take}, of one piece after the other. */
  take(want: number, most: number, park: (page: Uint8Array) => number): number {
    let taken = 0
    for (let left = this.#pieces.length; left > 0 && taken < want; left--) {
      taken += this.#pieces[this.#next]?.chance.take(want - taken, most, park) ?? 0
      if (taken < want) this.#next = (this.#next + 1) % this.#pieces.length
    }
    return taken
  }
}
