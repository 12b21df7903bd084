import type { AddressSpace } from '@machinist/bus'
import { type GuestMemory, ramTable } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'

/** The harts of one machine as an engine sees them: what they read and write, and their TLBs. */
export class Cluster {
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  /** All TLB banks, hart by hart: one behind the other, as generated code finds a hart's by the first. */
  readonly banks: readonly number[]
  /** Accesses to devices. */
  deviceAccesses = 0

  /** @param banks - how many all harts have */
  constructor(memory: GuestMemory, bus: AddressSpace, banks: number) {
    this.memory = memory
    this.bus = bus
    const first = memory.arena.allocate(banks * tlbLayout.size)
    this.banks = Array.from({ length: banks }, (_, index) => first + index * tlbLayout.size)
  }

  /** Puts where its RAM is, for generated code: a `ramTable`. */
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
