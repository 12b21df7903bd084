import type { Exit, Vcpu } from '@machinist/api'
import type { Parts } from '../assembly/parts.ts'
import type { Sampler } from './sampler.ts'
import { Speed } from './speed.ts'

/** How a slice of a machine's life ended. `until` is virtual time in nanoseconds, `Infinity` when only an event will do. */
export type SliceResult = { readonly kind: 'runnable' } | { readonly kind: 'idle'; readonly until: number } | { readonly kind: 'stopped' }

const RUNNABLE: SliceResult = { kind: 'runnable' }
const STOPPED: SliceResult = { kind: 'stopped' }

/** Real time: the turn of one hart while others want to run too, in nanoseconds. */
const SHARED_TURN = 75_000
/** Real time: the longest turn of a hart, after which time and deadlines are looked at again. */
const LONGEST_TURN = 1_000_000
/** Real time: instructions that are worth a turn. */
const LEAST_BUDGET = 64
/** The contract's limit on a budget. */
const MOST_BUDGET = 2 ** 30
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

/** What a guest asked for that comes when all that it said has reached the host. */
export type Leaving = { readonly kind: 'off'; readonly status: number } | { readonly kind: 'reset' }

/** Whose turn it is, between slices. */
export interface SavedTurns {
  /** The hart that had the last turn; −1 before the first. */
  readonly last: number
  /** Harts that spun at the end of their last turns. */
  readonly spun: readonly number[]
}

/** Runs the harts in turn, and delivers between turns. Knows nothing of the host's event loop. */
export class RunLoop {
  readonly #parts: Parts
  readonly #vcpus: readonly Vcpu[]
  readonly #hostNow: () => number
  /** Whether the machine may go on. */
  readonly #mayRun: () => boolean
  readonly #fault: (part: string, error: unknown) => void
  #current: Vcpu | null = null
  #turnEnd = Infinity
  #interrupted = false
  #last = -1
  readonly #speed = new Speed()
  /** Harts that spun at the end of their last turns. */
  readonly #spun = new Set<Vcpu>()
  runTime = 0
  readonly exits: Record<Exit, number> = { budget: 0, halt: 0, yield: 0, debug: 0 }
  /** While true no hart runs, but events are delivered: a reset waits for what is in flight. */
  held = false
  /** What comes when all output has reached the host. Until then no hart runs, but devices do: the guest has had its last word. */
  leaving: Leaving | null = null
  /** The same, while so many wait for it to stand still, to copy it. */
  copying = 0
  /** Told when a hart stopped for a debugger. */
  onDebug: ((hart: number) => void) | null = null
  sampler: Sampler | null = null

  constructor(parts: Parts, hostNow: () => number, mayRun: () => boolean, fault: (part: string, error: unknown) => void) {
    this.#parts = parts
    this.#vcpus = parts.cpu.vcpus
    this.#hostNow = hostNow
    this.#mayRun = mayRun
    this.#fault = fault
    // What comes in while a hart runs should not wait for the end of a long turn.
    parts.gate.onPush = () => { this.interrupt() }
    parts.timers.onEarlier = parts.backendTimers.onEarlier = (at) => {
      if (at < this.#turnEnd) this.interrupt()
    }
  }

  /** Whose turn it is. */
  save(): SavedTurns {
    return { last: this.#last, spun: this.#vcpus.filter((vcpu) => this.#spun.has(vcpu)).map(({ index }) => index) }
  }

  /** Takes back what {@link RunLoop.save} gave. */
  restore({ last, spun }: SavedTurns): void {
    this.#last = last
    this.#spun.clear()
    for (const vcpu of this.#vcpus) if (spun.includes(vcpu.index)) this.#spun.add(vcpu)
  }

  /** Whether a hart is running right now, further down the stack. */
  get running(): boolean {
    return this.#current !== null
  }

  /** Ends the turn in progress after the current instruction. */
  interrupt(): void {
    this.#interrupted = true
    this.#current?.kick()
  }

  get retired(): number {
    let sum = 0
    for (const vcpu of this.#vcpus) sum += vcpu.retired
    return sum
  }

  /** Runs for about `limit` nanoseconds of host time. */
  run(limit: number): SliceResult {
    const { time } = this.#parts
    const end = this.#hostNow() + limit
    this.sampler?.wake()
    while (this.#mayRun()) {
      this.#deliver(time.sample())
      if (!this.#mayRun()) break
      const runnable = this.#runnable()
      if (runnable === 0) {
        // Delivering may have brought more to deliver.
        if (this.#parts.gate.pending === 0) {
          const until = this.#wait()
          if (until > time.now) {
            this.sampler?.idle()
            if (!time.counted || until === Infinity) return { kind: 'idle', until }
            time.jumpTo(until)
            // The host gets its turn: what a disk has to say should not come hours of virtual time late.
            return RUNNABLE
          }
        }
      } else {
        this.#turn(runnable, end)
      }
      if (this.#hostNow() >= end) return this.#mayRun() ? RUNNABLE : STOPPED
    }
    return STOPPED
  }

  /** Delivers what waits, while no hart runs. */
  deliver(): void {
    this.#deliver(this.#parts.time.sample())
  }

  #deliver(now: number): void {
    const { gate, timers, backendTimers } = this.#parts
    timers.expire(now, (name, fire) => { gate.push(name, fire) })
    backendTimers.expire(now, (name, fire) => { gate.push(name, fire) })
    if (gate.pending > 0) gate.deliver(now, this.retired)
  }

  #runnable(): number {
    let count = 0
    if (!this.held && this.copying === 0 && !this.#stalled) for (const vcpu of this.#vcpus) if (vcpu.runnable) count++
    return count
  }

  /** Whether harts wait for the host to take output. */
  get #stalled(): boolean {
    return this.leaving !== null || this.#parts.connector.output.stalled
  }

  /** When to look again while no hart runs. Counted time stands still until the host has taken output that is in the way. */
  #wait(): number {
    const { timers, backendTimers, time } = this.#parts
    if (this.held || this.copying > 0) return backendTimers.next
    if (!this.#stalled) return this.#nextDeadline()
    const next = Math.min(timers.next, backendTimers.next)
    return time.counted && next > time.now ? Infinity : next
  }

  /** The first time at which a timer expires or an idle hart wants to be looked at. */
  #nextDeadline(): number {
    let first = Math.min(this.#parts.timers.next, this.#parts.backendTimers.next)
    // A deadline that has just passed counts too: the hart was asked a moment earlier, and must be asked again.
    for (const vcpu of this.#vcpus) first = Math.min(first, vcpu.deadline())
    return first
  }

  #turn(runnable: number, end: number): void {
    const vcpu = this.#pick()
    if (vcpu === null) return
    const { time } = this.#parts
    const deadline = this.#nextDeadline()
    const begin = this.#hostNow()
    const budget = time.counted ? this.#countedBudget(runnable, deadline) : this.#realBudget(runnable, deadline, end - begin)
    const before = vcpu.retired
    this.#current = vcpu
    this.#turnEnd = deadline
    this.#interrupted = false
    time.beginSlice(vcpu, runnable)
    let exit: Exit = 'yield'
    try {
      exit = runnable === 1 ? this.#run(vcpu, budget) : this.#shared(vcpu, budget)
    } catch (error) {
      this.#fault(`cpu.hart${vcpu.index}`, error)
    }
    time.endSlice()
    this.#current = null
    this.#turnEnd = Infinity
    const took = this.#hostNow() - begin
    this.runTime += took
    this.exits[exit]++
    this.#speed.add(vcpu.retired - before, took)
    if (exit === 'debug') this.onDebug?.(vcpu.index)
  }

  #run(vcpu: Vcpu, budget: number): Exit {
    return this.sampler === null ? vcpu.run(budget, this.#parts.time.counted) : this.sampler.run(vcpu, budget, () => this.#interrupted)
  }

  /** The turn of a hart that others wait for: it ends when the hart only waits for them. */
  #shared(vcpu: Vcpu, budget: number): Exit {
    const { counted } = this.#parts.time
    const growth = this.#spun.delete(vcpu) ? GROWTH.spun : GROWTH.others
    const longest = counted ? COUNTED_STRETCH : budget / growth
    const end = vcpu.retired + budget
    for (let stretch = FIRST_STRETCH; vcpu.spin !== undefined && stretch <= longest; stretch *= growth) {
      // What is asked takes some instructions too.
      if (end - vcpu.retired < 2 * stretch + SPIN_ROOM) break
      const exit = this.#run(vcpu, stretch)
      if (exit !== 'budget') return exit
      const answer = vcpu.spin(counted)
      if (answer === 'yield') this.#spun.add(vcpu)
      if (answer !== 'budget') return answer
    }
    return this.#run(vcpu, Math.max(1, end - vcpu.retired))
  }

  /** The next runnable hart in turn. */
  #pick(): Vcpu | null {
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
    const { time } = this.#parts
    const turn = time.now + (runnable === 1 ? COUNTED_TURN : COUNTED_SHARED_TURN)
    return Math.min(MOST_BUDGET, time.instructionsUntil(turn, 1), time.instructionsUntil(deadline, runnable))
  }

  #realBudget(runnable: number, deadline: number, left: number): number {
    // Among several, a turn is not cut to what is left: the same harts would get short ones again and again.
    const turn = Math.min(runnable === 1 ? Math.min(LONGEST_TURN, left) : SHARED_TURN, deadline - this.#parts.time.now)
    return Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, this.#speed.instructionsIn(turn)))
  }
}
