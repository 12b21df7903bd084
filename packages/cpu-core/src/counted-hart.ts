import type { Arena } from '@machinist/memory'
import type { Structure } from './structure.ts'

/** `leave` of a record: why generated code came back. */
export const Leave = { none: 0, budget: 1, halt: 2, yield: 3, debug: 4 } as const

/** Fields of the record of a hart that counts: generated code takes from the budget, and comes back when `leave` is not zero. */
export interface CountedFields {
  readonly [field: string]: 'u8' | 'u32' | 'i64' | readonly ['u8' | 'u32' | 'i64', number]
  /** Steps before the current run. */
  readonly steps: 'i64'
  /** Steps that did not retire an instruction. */
  readonly unretired: 'i64'
  /** Budget of the current run, and what is left of it. */
  readonly budgetStart: 'u32'
  readonly budget: 'u32'
  /** {@link Leave}. */
  readonly leave: 'u32'
}

/** What counting is, for harts of any kind. */
export abstract class CountedHart {
  abstract readonly record: Structure<CountedFields>
  protected readonly arena: Arena
  /** A run is in progress. */
  protected running = false

  constructor(arena: Arena) {
    this.arena = arena
  }

  get retired(): number {
    return this.steps - this.record.getNumber('unretired')
  }

  get steps(): number {
    const { record } = this
    const before = record.getNumber('steps')
    return this.running ? before + ((record.get('budgetStart') - record.get('budget')) | 0) : before
  }

  /** Ends the current run after this instruction. */
  kick(): void {
    if (this.running && this.record.get('leave') === Leave.none) this.record.set('leave', Leave.yield)
  }

  /** Runs generated code and books the steps it took, which are returned. */
  protected pass(budget: number, code: () => void): number {
    const { arena, record: { base, layout: { offset } } } = this
    arena.data.setUint32(base + offset.leave, Leave.none, true)
    arena.data.setUint32(base + offset.budgetStart, budget, true)
    arena.data.setUint32(base + offset.budget, budget, true)
    code()
    // The arena may have grown meanwhile.
    const { data } = arena
    const steps = (budget - data.getUint32(base + offset.budget, true)) | 0
    const low = data.getUint32(base + offset.steps, true) + steps
    data.setUint32(base + offset.steps, low, true)
    if (low >= 2 ** 32) data.setUint32(base + offset.steps + 4, data.getUint32(base + offset.steps + 4, true) + 1, true)
    data.setUint32(base + offset.budgetStart, 0, true)
    data.setUint32(base + offset.budget, 0, true)
    return steps
  }
}
