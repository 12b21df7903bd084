import type { Exit } from '@machinist/api'
import { copyLook, SPIN_MOST, type SpinLook, type SpinLoop } from './cut-run.ts'
import type { HartRecord } from './record.ts'

/** Instructions until its place is compared, and bytes of the loop that it may be in. */
export const SPIN_LOOK = 32
const SPIN_REACH = 256n
const STACK_POINTER = 2

/** What is watched: a hart. */
export interface Spinner {
  readonly record: HartRecord
  readonly steps: number
  /** Whether a run that was cut short had another end as well, which comes next. */
  readonly owes: boolean
  run(budget: number, exact: boolean, again: boolean): Exit
  /** Begins steps. */
  enter(): void
  /** A single step; `'budget'` when there is nothing to say of it. */
  step(): Exit
}

/** Finds out whether a hart goes round in a short loop in which nothing changes. It may be interrupted, and go on. */
export class SpinWatch {
  readonly #hart: Spinner
  #look: SpinLook | null = null

  constructor(hart: Spinner) {
    this.#hart = hart
  }

  forget(): void {
    this.#look = null
  }

  /** How far it has come: plain data. */
  save(): SpinLook | null {
    return this.#look && copyLook(this.#look)
  }

  restore(look: SpinLook | null): void {
    this.#look = look
  }

  /** @param most - steps, after which it returns `'more'` */
  spin(exact: boolean, most: number): Exit | 'more' {
    const hart = this.#hart
    const { record } = hart
    const end = hart.steps + most
    const again = this.#look !== null
    const look = this.#look ??= { until: hart.steps + SPIN_LOOK, pc: record.get64('pc'), stack: record.get64('x', STACK_POINTER), loop: null }
    if (look.loop === null) {
      const exit = hart.run(Math.min(look.until, end) - hart.steps, exact, again)
      if (exit !== 'budget') return exit
      if (hart.steps < look.until) return 'more'
      const pc = record.get64('pc')
      const distance = pc - look.pc
      if (distance >= SPIN_REACH || distance <= -SPIN_REACH || record.get64('x', STACK_POINTER) !== look.stack) return this.#found('budget')
      // It is near where it was. Once round the loop, one instruction at a time: all is as it was, or it gets on.
      look.loop = { pc, registers: record.getX(), steps: 0 }
    } else if (hart.owes) {
      return hart.run(1, exact, true)
    }
    return this.#goRound(look.loop, end)
  }

  #found(exit: Exit): Exit {
    this.#look = null
    return exit
  }

  /** A step at a time, until the hart is back or was away for too long; to so many steps in all. */
  #goRound(loop: SpinLoop, end: number): Exit | 'more' {
    const hart = this.#hart
    const { record } = hart
    hart.enter()
    for (;;) {
      if (loop.steps > 0 && record.get64('pc') === loop.pc) return this.#found(record.getX().every((value, index) => value === loop.registers[index]) ? 'yield' : 'budget')
      if (loop.steps >= SPIN_MOST) return this.#found('budget')
      if (hart.steps >= end) return 'more'
      const before = hart.steps
      const exit = hart.step()
      // A breakpoint is before the step.
      loop.steps += hart.steps - before
      if (exit !== 'budget') return exit
    }
  }
}
