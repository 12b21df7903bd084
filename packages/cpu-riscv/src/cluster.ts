import type { TimeCounter } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { type GuestMemory, ramTable } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import type { EngineClient } from './engine.ts'
import { ASID_SLOTS } from './hart-layout.ts'

/** Banks of one hart: M-mode, S-mode, and two for each address space. */
export const BANKS_PER_HART: number = 2 + 2 * ASID_SLOTS

/** The harts of one machine as the engine sees them: what they read and write, and their TLBs. */
export class Cluster {
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  readonly counter: TimeCounter
  /** All TLB banks, hart by hart. */
  readonly banks: readonly number[]
  /** The hart that ran last. */
  last: EngineClient | null = null
  /** Accesses to devices. */
  deviceAccesses = 0

  constructor(memory: GuestMemory, bus: AddressSpace, counter: TimeCounter, harts: number) {
    this.memory = memory
    this.bus = bus
    this.counter = counter
    // One behind the other: generated code finds a hart's by the first.
    const count = harts * BANKS_PER_HART
    const first = memory.arena.allocate(count * tlbLayout.size)
    this.banks = Array.from({ length: count }, (_, index) => first + index * tlbLayout.size)
  }

  /** A hart begins to run. What it reserved before others ran counts no more: they may have stored there. */
  begin(hart: EngineClient): void {
    if (this.last !== hart) hart.record.set('reservation', 0)
    this.last = hart
  }

  /** Where its RAM is, for generated code: a `ramTable`. */
  copyRamTable(to: number): void {
    this.memory.arena.u8.copyWithin(to, this.memory.table, this.memory.table + ramTable.size)
  }

  /** Gives the banks back, which must have been flushed. */
  free(): void {
    const { arena } = this.memory
    // Apart from this, a bank that was flushed is all zeros, and much of it was never written to.
    for (const bank of this.banks) arena.data.setBigUint64(bank + tlbLayout.stamp, 0n, true)
    arena.freeZeroed(this.banks[0] ?? 0, this.banks.length * tlbLayout.size)
  }
}
