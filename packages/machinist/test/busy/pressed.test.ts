/** Guests from whom memory is taken by all means, between their turns and in the middle of those of others, do what they would do. */
import { type Arena, CompressedPool, type GuestMemory, lzCodec, Merger, ParkedPages, SecondChance, type SwapFile, SwapSpace } from '@machinist/memory'
import { Random } from '@machinist/testkit'
import { expect, it } from 'vitest'
import type { BusyMachine } from './busy-machine.ts'
import { goesOn } from './going-on.ts'

const first = Number(process.env['MACHINIST_SEED'] ?? 1)

function swapInMemory(pages: number): SwapFile {
  const content = new Map<number, Uint8Array>()
  return {
    pages,
    read(page, into) { into.set(content.get(page) ?? into.fill(0)) },
    write(page, from) {
      content.set(page, from.slice())
      return true
    },
    close() {},
  }
}

/** Takes memory of machines at random. */
class Press {
  readonly #random: Random
  readonly #arenas = new WeakMap<Arena, { readonly parked: ParkedPages; readonly merger: Merger; readonly chances: Map<GuestMemory, SecondChance> }>()
  readonly #returned = new WeakMap<GuestMemory, number>()
  readonly counts = { taken: 0, merged: 0, returned: 0, swapped: 0, short: 0 }

  constructor(seed: number) {
    this.#random = new Random(seed, 99)
  }

  #of(arena: Arena) {
    let known = this.#arenas.get(arena)
    if (known !== undefined) return known
    const parked = arena.parked = new ParkedPages(new CompressedPool(lzCodec, arena.budget, 4 * 65536), new SwapSpace(swapInMemory(4096)))
    this.#arenas.set(arena, known = { parked, merger: new Merger(arena), chances: new Map() })
    arena.budget.onShort = (frames, mine) => {
      this.counts.short++
      for (const memory of arena.memories) if (memory !== mine) this.#take(memory, frames)
    }
    return known
  }

  #take(memory: GuestMemory, want: number): void {
    const { parked, chances } = this.#of(memory.arena)
    let chance = chances.get(memory)
    if (chance === undefined) chances.set(memory, chance = new SecondChance(memory))
    this.counts.taken += chance.take(want, 40_000, (page) => parked.put(page))
  }

  press({ machine: { memory } }: BusyMachine): void {
    const random = this.#random
    const { parked, merger } = this.#of(memory.arena)
    memory.arena.budget.limit = random.chance(0.3) ? memory.arena.frames : Infinity
    const { returned } = memory.pager
    this.counts.returned += returned - (this.#returned.get(memory) ?? 0)
    this.#returned.set(memory, returned)
    this.counts.swapped = Math.max(this.counts.swapped, parked.counts.swapped)
    switch (random.below(4)) {
      case 0:
        this.#take(memory, random.between(1, 300))
        break
      case 1:
        this.counts.merged += merger.scan(memory, random.between(1, 4096), random.chance(0.5)).freed
        break
      case 2:
        parked.moveOn()
        break
      default:
        this.#of(memory.arena).chances.get(memory)?.age(4096)
    }
  }
}

it('one whose memory is taken and merged all the time does what one does that is left alone', async () => {
  const sums = { taken: 0, merged: 0, returned: 0, swapped: 0, short: 0 }
  for (const seed of [first, first + 1, first + 2, first + 3]) {
    const press = new Press(seed)
    await goesOn(seed, 'prompt', 12, { saves: 0, forks: 0, moves: 0 }, (busy) => { press.press(busy) })
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += press.counts[name]
  }
  // All of it happened.
  expect(Math.min(sums.taken, sums.short), JSON.stringify(sums)).toBeGreaterThan(200)
  expect(Math.min(sums.merged, sums.returned, sums.swapped), JSON.stringify(sums)).toBeGreaterThan(5)
})
