import type { TimeCounter } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { Cluster as Harts } from '@machinist/cpu-core'
import type { GuestMemory } from '@machinist/memory'
import type { EngineClient } from './engine.ts'
import { ASID_SLOTS } from './hart-layout.ts'

/** Banks of one hart: M-mode, S-mode, and two for each address space. */
export const BANKS_PER_HART: number = 2 + 2 * ASID_SLOTS

/** The harts of one machine as the engine sees them. */
export class Cluster extends Harts {
  readonly counter: TimeCounter
  /** The hart that ran last. */
  last: EngineClient | null = null

  constructor(memory: GuestMemory, bus: AddressSpace, counter: TimeCounter, harts: number) {
    super(memory, bus, harts * BANKS_PER_HART)
    this.counter = counter
  }

  /** A hart begins to run. What it reserved before others ran counts no more: they may have stored there. */
  begin(hart: EngineClient): void {
    if (this.last !== hart) hart.record.set('reservation', 0)
    this.last = hart
  }
}
