import type { CountedVcpu } from '@machinist/api'
import { Speed } from './speed.ts'
import { MOST_BUDGET, restoreTurn, type SavedTurns, saveTurn, type Turn } from './turn.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Real time: the turn of one hart while others want to run too, in nanoseconds. */
const SHARED_TURN = 75_000
/** Real time: the longest turn of a hart, after which time and deadlines are looked at again. */
const LONGEST_TURN = 1_000_000
/** Real time: instructions that are worth a turn. */
const LEAST_BUDGET = 64
/** Counted time: the turn of each hart in virtual nanoseconds, alone and when others want to run too. */
const COUNTED_TURN = 1_000_000
const COUNTED_SHARED_TURN = 50_000
/**
 * Instructions after which a hart that others wait for is asked whether it spins, and how many times as many until it is asked again: of one
 * that did in its last turn, and of others.
 */
const FIRST_STRETCH = 32
const GROWTH = { spun: 2, others: 8 }
/** More instructions than `Vcpu.spin` takes. */
const SPIN_ROOM = 256
/** Counted time: the longest such stretch, since exact runs are slow. */
const COUNTED_STRETCH = 256

/** Begins the next piece of a turn: a stretch of so many steps, after which the hart is asked whether it spins, or else what is left. */
export function stretch(turn: Turn, length: number): void {
  const { steps } = turn.vcpu
  // What is asked takes some instructions too.
  const asks = length <= turn.longest && turn.end - steps >= 2 * length + SPIN_ROOM
  turn.stretch = asks ? length : 0
  turn.mark = asks ? steps + length : turn.end
  turn.again = turn.asking = false
}

/** Whose turn it is, and for how long. */
export class Turns {
  readonly #vcpus: readonly CountedVcpu[]
  readonly #time: VirtualTime
  readonly speed: Speed = new Speed()
  /** The turn in progress: between slices, one that was left in the middle. */
  current: Turn | null = null
  #last = -1
  /** Harts that spun at the end of their last turns. */
  readonly #spun = new Set<CountedVcpu>()

  constructor(vcpus: readonly CountedVcpu[], time: VirtualTime) {
    this.#vcpus = vcpus
    this.#time = time
  }

  save(): SavedTurns {
    return { last: this.#last, spun: this.#vcpus.filter((vcpu) => this.#spun.has(vcpu)).map(({ index }) => index), turn: this.current && saveTurn(this.current) }
  }

  /** Takes back what {@link Turns.save} gave, once harts and time have their states. @throws as {@link restoreTurn} */
  restore({ last, spun, turn = null }: SavedTurns): void {
    this.#last = last
    this.#spun.clear()
    for (const vcpu of this.#vcpus) if (spun.includes(vcpu.index)) this.#spun.add(vcpu)
    this.current = turn && restoreTurn(turn, this.#vcpus)
    if (this.current !== null) this.#time.beginSlice(this.current.vcpu, this.current.runnable, this.current.from)
  }

  /** Notes that a hart spun, which ends its turn. */
  spins(vcpu: CountedVcpu): void {
    this.#spun.add(vcpu)
  }

  /**
   * Begins the next turn; null when no hart is runnable after all.
   *
   * @param left - nanoseconds of host time that are left of the slice
   */
  begin(runnable: number, deadline: number, left: number): Turn | null {
    const vcpu = this.#pick()
    if (vcpu === null) return null
    const { counted } = this.#time
    const budget = counted ? this.#countedBudget(runnable, deadline) : this.#realBudget(runnable, deadline, left)
    const shared = runnable > 1 && vcpu.spin !== undefined
    const growth = shared && this.#spun.delete(vcpu) ? GROWTH.spun : GROWTH.others
    const longest = !shared ? 0 : counted ? COUNTED_STRETCH : Math.floor(budget / growth)
    const turn: Turn = { vcpu, runnable, deadline, from: vcpu.retired, end: vcpu.steps + budget, growth, longest, stretch: 0, mark: 0, again: false, asking: false }
    stretch(turn, FIRST_STRETCH)
    this.#time.beginSlice(vcpu, runnable, turn.from)
    this.current = turn
    return turn
  }

  /** The turn in progress is over. */
  end(): void {
    this.#time.endSlice()
    this.current = null
  }

  /** The next runnable hart in turn. */
  #pick(): CountedVcpu | null {
    const count = this.#vcpus.length
    for (let step = 1; step <= count; step++) {
      const index = (this.#last + step) % count
      const vcpu = this.#vcpus[index]
      if (vcpu?.runnable) {
        this.#last = index
        return vcpu
      }
    }
    return null
  }

  /** Depends on virtual time and the harts alone, never on the host. */
  #countedBudget(runnable: number, deadline: number): number {
    const time = this.#time
    const turn = time.now + (runnable === 1 ? COUNTED_TURN : COUNTED_SHARED_TURN)
    return Math.min(MOST_BUDGET, time.instructionsUntil(turn, 1), time.instructionsUntil(deadline, runnable))
  }

  #realBudget(runnable: number, deadline: number, left: number): number {
    // Among several, a turn is not cut to what is left: the same harts would get short ones again and again.
    const turn = Math.min(runnable === 1 ? Math.min(LONGEST_TURN, left) : SHARED_TURN, deadline - this.#time.now)
    return Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, this.speed.instructionsIn(turn)))
  }
}
