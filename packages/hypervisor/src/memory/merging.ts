import { type GuestMemory, PAGE_SIZE } from '@machinist/memory'
import type { Arenas } from './arenas.ts'

/** Pages that are looked at in one piece of work, some microseconds each. */
const PAGES = 96
/** When so few came free of those looked at, there is little to be had: it looks more rarely. */
const WORTH = 1 / 32
/** How long it rests at most between two pieces of work then, in nanoseconds. */
const REST = 200e6

/** Merges equal pages of machines of one arena, one memory after the other, the harder the more comes of it. */
export class Merging {
  readonly #arenas: Arenas
  /** Memories of this round that are still to be looked at, with the pages that are left of them. */
  #left: { readonly memory: GuestMemory; pages: number }[] = []
  #yield = 1
  #next = 0

  constructor(arenas: Arenas) {
    this.#arenas = arenas
  }

  /** Whether it finds much at present. */
  get busy(): boolean {
    return this.#yield >= WORTH
  }

  /**
   * @param eager - takes pages of which it is not known whether they stay as they are
   * @returns how many frames came free
   */
  work(now: number, eager: boolean): number {
    if (!this.busy && now < this.#next) return 0
    const [first] = this.#left
    if (first === undefined || first.pages <= 0 || !first.memory.arena.memories.has(first.memory)) {
      this.#left.shift()
      if (this.#left.length === 0) this.#begin()
      return 0
    }
    const { looked, freed } = this.#arenas.mergerOf(first.memory)?.scan(first.memory, PAGES, eager) ?? { looked: first.pages, freed: 0 }
    first.pages -= Math.max(1, looked)
    this.#yield += (freed / PAGES - this.#yield) / 64
    this.#next = now + REST
    return freed
  }

  #begin(): void {
    for (const arena of this.#arenas.all) {
      for (const memory of arena.memories) this.#left.push({ memory, pages: memory.regions.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0) })
    }
  }
}
