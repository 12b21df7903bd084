import { type CountedFields, CountedHart, Leave } from './counted-hart.ts'
import type { Structure } from './structure.ts'

/** Fields of the record of a hart whose code is translated. */
export interface SampledFields extends CountedFields {
  /** Where control is, when generated code comes back. */
  readonly pc: 'i64'
}

/** Who wants to know where control is: what translates. */
export interface Sampler {
  /** Steps to the next sample. */
  stride(): number
  /** After `steps` steps control is where the 64 bits at `at` say, fetched by the TLB bank at `bank`. */
  sample(at: number, bank: number, steps: number): void
}

/** Harts that learn where their time goes. */
export abstract class SampledHart extends CountedHart {
  abstract override readonly record: Structure<SampledFields>
  /** Steps between the last sample and the next one, and how many of them are to come. */
  #stride = 0
  #untilSample = 0

  /** Address of the TLB bank by which the hart, which is in the window, fetches. */
  protected abstract fetchBank(): number

  /**
   * Runs generated code in short passes, after each of which `sampler` learns where control is. A pass that a halt, an
   * exit or the end of the budget cuts short goes on in the next run: a guest that sleeps often would else never be seen.
   * Returns how many steps it took.
   */
  protected sampled(budget: number, code: () => void, sampler: Sampler): number {
    const { arena, record: { base, layout: { offset } } } = this
    let left = budget
    do {
      if (this.#untilSample <= 0) this.#untilSample = this.#stride = sampler.stride()
      const steps = this.pass(Math.min(left, this.#untilSample), code)
      left -= steps
      this.#untilSample -= steps
      if (arena.data.getUint32(base + offset.leave, true) !== Leave.budget) break
      if (this.#untilSample <= 0) sampler.sample(base + offset.pc, this.fetchBank(), this.#stride - this.#untilSample)
    } while (left > 0)
    return budget - left
  }
}
