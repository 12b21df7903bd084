import type { MachineHost } from '@machinist/machine'
import { Arena, type FrameBudget, Merger, type ParkedPages } from '@machinist/memory'
import type { MachineSpec } from '../contract/machines.ts'

/** Most that an arena holds: a wasm memory of 4 GiB, less the page whose end has no 32-bit address. */
const MOST = 2 ** 32 - 65536

/** The arenas of a processor: one for each group of machines that trust one another, and one for each machine without a group. */
export class Arenas {
  readonly #budget: FrameBudget
  readonly #parked: ParkedPages
  /** Bytes that the machines of one group can have, whatever the budget. */
  most: number = MOST
  readonly #groups = new Map<string, Arena>()
  readonly #mergers = new Map<Arena, Merger>()

  constructor(budget: FrameBudget, parked: ParkedPages) {
    this.#budget = budget
    this.#parked = parked
  }

  /** Those in which machines live. */
  get all(): ReadonlyMap<Arena, Merger> {
    for (const arena of this.#mergers.keys()) if (arena.disposed) this.#mergers.delete(arena)
    return this.#mergers
  }

  /** The host by which a machine comes into its arena. */
  host({ group }: MachineSpec, host: MachineHost): MachineHost {
    return { ...host, arena: () => {
      const known = group === undefined ? undefined : this.#groups.get(group)
      if (known?.disposed === false) return known
      const maximum = this.most = Math.min(MOST, host.maximumMemory ?? MOST)
      // One machine alone gets what it is promised, as far as addresses go.
      const arena = new Arena(host.linearMemory(maximum), maximum, { budget: this.#budget, overcommit: group !== undefined })
      arena.parked = this.#parked
      this.#mergers.set(arena, new Merger(arena))
      if (group !== undefined) this.#groups.set(group, arena)
      return arena
    } }
  }
}
