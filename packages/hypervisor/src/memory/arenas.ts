import type { MachineHost } from '@machinist/machine'
import { Arena, BLOCK_SIZE, type FrameBudget, type GuestMemory, Merger, type ParkedPages } from '@machinist/memory'
import type { MachineSpec } from '../contract/machines.ts'

/** Most that an arena holds: a wasm memory of 4 GiB, less the page whose end has no 32-bit address. */
const MOST = 2 ** 32 - 65536

/**
 * The arenas of a processor: one for each group of machines that trust one another, and one for each machine without a group. A host whose machines cannot reach what others have chooses arenas itself (`MachineHost.arena`). Either way, only pages of machines
 * of one group are merged.
 */
export class Arenas {
  readonly #budget: FrameBudget
  readonly #parked: ParkedPages
  /** Bytes that the machines of one group can have, whatever the budget. */
  most: number = MOST
  readonly #groups = new Map<string, Arena>()
  readonly #all = new Set<Arena>()
  /** Of memories that were told of. */
  readonly #mergers = new WeakMap<GuestMemory, Merger>()
  readonly #ofGroups = new WeakMap<Arena, Map<string, Merger>>()

  constructor(budget: FrameBudget, parked: ParkedPages) {
    this.#budget = budget
    this.#parked = parked
  }

  /** Those in which machines live. */
  get all(): ReadonlySet<Arena> {
    for (const arena of this.#all) if (arena.disposed) this.#all.delete(arena)
    return this.#all
  }

  /** What merges the pages of a machine's memory with those of its group; null for memory that is of no machine. */
  mergerOf(memory: GuestMemory): Merger | null {
    return this.#mergers.get(memory) ?? null
  }

  /** A machine is there. */
  add(memory: GuestMemory, spec: MachineSpec): void {
    for (const piece of memory.pieces) this.#addPiece(piece, spec)
  }

  #addPiece(memory: GuestMemory, { group }: MachineSpec): void {
    const { arena } = memory
    let groups = this.#ofGroups.get(arena)
    if (groups === undefined) this.#ofGroups.set(arena, groups = new Map<string, Merger>())
    let merger = group === undefined ? undefined : groups.get(group)
    if (merger === undefined) merger = new Merger(arena)
    if (group !== undefined) groups.set(group, merger)
    this.#mergers.set(memory, merger)
  }

  /** The host by which a machine comes into its arena. */
  host({ group }: MachineSpec, host: MachineHost): MachineHost {
    return { ...host, arena: () => {
      const known = group === undefined ? undefined : this.#groups.get(group)
      if (known?.disposed === false && (host.spreads !== true || known.room >= BLOCK_SIZE)) return known
      const maximum = Math.min(MOST, host.maximumMemory ?? MOST)
      this.most = host.spreads === true ? host.maximumMemory ?? Infinity : maximum
      const arena = host.arena?.({ budget: this.#budget, overcommit: true })
        // One machine alone gets what it is promised, as far as addresses go.
        ?? new Arena(host.linearMemory(maximum), maximum, { budget: this.#budget, overcommit: group !== undefined })
      arena.parked = this.#parked
      this.#all.add(arena)
      if (group !== undefined) this.#groups.set(group, arena)
      return arena
    } }
  }
}
