import type { Clock, TimeCounter, Timer } from '@machinist/api'
import type { PlainData } from '@machinist/registers'
import { TimerMode } from './registers.ts'

/** What a timer keeps beside its registers. */
export interface ApicTimerState {
  readonly mode: number
  /** What it counts from again when it is periodic, and nanoseconds of one count. */
  readonly initial: number
  readonly divide: number
  /** Its count, `age` nanoseconds ago. */
  readonly from: number
  readonly age: number
  /** Nanoseconds until it expires; −1 when it does not. */
  readonly left: number
  /** IA32_TSC_DEADLINE, in words. */
  readonly low: number
  readonly high: number
}

/** A guest may ask for an interrupt with each count; a host is not asked more often. */
const LEAST = 10_000

/** The timer of a local APIC (SDM volume 3, "APIC Timer"). It counts nanoseconds, divided; the deadline is one of the machine's time counter. */
export class ApicTimer {
  readonly #clock: Clock
  readonly #counter: TimeCounter
  readonly #timer: Timer
  readonly #expired: () => void
  #mode: number = TimerMode.oneShot
  #initial = 0
  #divide = 2
  #from = 0
  #since = 0
  #due = Infinity
  #deadline = 0n

  constructor(clock: Clock, counter: TimeCounter, port: string, expired: () => void) {
    this.#clock = clock
    this.#counter = counter
    this.#timer = clock.timer(port)
    this.#expired = expired
    counter.onWrite(() => { if (this.#deadline !== 0n) this.#arm(counter.timeOf(this.#deadline)) })
  }

  /** A count is written; 0 stops it. In TSC-deadline mode it is ignored. */
  start(initial: number): void {
    if (this.#mode === TimerMode.deadline) return
    this.#initial = initial
    this.#from = initial
    this.#since = this.#clock.now()
    this.#arm(initial === 0 ? Infinity : this.#since + initial * this.#divide)
  }

  get count(): number {
    const past = Math.floor((this.#clock.now() - this.#since) / this.#divide)
    if (past < this.#from) return this.#from - past
    if (this.#mode !== TimerMode.periodic || this.#initial === 0 || this.#from === 0) return 0
    return this.#initial - (past - this.#from) % this.#initial
  }

  /** Nanoseconds of one count. What is left of the count stays. */
  set divide(by: number) {
    const left = this.count
    this.#divide = by
    this.#from = left
    this.#since = this.#clock.now()
    if (this.#mode !== TimerMode.deadline && this.#due !== Infinity) this.#arm(this.#since + left * by)
  }

  /** Going to or from TSC-deadline mode stops it. */
  set mode(mode: number) {
    const before = this.#mode
    if (mode === before) return
    this.#mode = mode
    // One that has expired stays so.
    if (mode !== TimerMode.deadline && before !== TimerMode.deadline && this.#due !== Infinity) return
    this.#from = 0
    this.#deadline = 0n
    this.#arm(Infinity)
  }

  get deadline(): bigint {
    return this.#deadline
  }

  /** 0 stops it. Ignored in other modes. */
  set deadline(ticks: bigint) {
    if (this.#mode !== TimerMode.deadline) return
    this.#deadline = ticks
    this.#arm(ticks === 0n ? Infinity : this.#counter.timeOf(ticks))
  }

  event(): void {
    const now = this.#clock.now()
    if (this.#due > now) return this.#arm(this.#due)
    if (this.#mode === TimerMode.deadline) {
      this.#deadline = 0n
      this.#due = Infinity
    } else if (this.#mode === TimerMode.periodic && this.#initial !== 0) {
      const next = this.count * this.#divide - (now - this.#since) % this.#divide
      this.#arm(now + Math.max(next, LEAST))
    }
    else this.#due = Infinity
    this.#expired()
  }

  reset(): void {
    this.#mode = TimerMode.oneShot
    this.#initial = 0
    this.#divide = 2
    this.#from = 0
    this.#since = this.#clock.now()
    this.#deadline = 0n
    this.#arm(Infinity)
  }

  save(): ApicTimerState {
    const now = this.#clock.now()
    return {
      mode: this.#mode, initial: this.#initial, divide: this.#divide, from: this.#from, age: now - this.#since, left: this.#due === Infinity ? -1 : Math.max(0, this.#due - now),
      low: Number(this.#deadline & 0xffff_ffffn), high: Number(this.#deadline >> 32n),
    }
  }

  /** Takes over a state that {@link readTimerState} has checked. */
  restore(state: ApicTimerState): void {
    const now = this.#clock.now()
    this.#mode = state.mode
    this.#initial = state.initial
    this.#divide = state.divide
    this.#from = state.from
    this.#since = now - state.age
    this.#deadline = BigInt(state.high) << 32n | BigInt(state.low)
    this.#arm(state.left < 0 ? Infinity : now + state.left)
  }

  #arm(at: number): void {
    this.#due = at
    this.#timer.arm(at)
  }
}

/** The state of a timer from a saved one. @throws a typed error when it is none */
export function readTimerState(data: PlainData): ApicTimerState {
  const state: ApicTimerState = {
    mode: data.integer('mode', 0, 2), initial: data.integer('initial', 0, 0xffff_ffff), divide: data.oneOf('divide', [1, 2, 4, 8, 16, 32, 64, 128]),
    from: data.integer('from', 0, 0xffff_ffff), age: data.integer('age', 0, Number.MAX_SAFE_INTEGER), left: data.integer('left', -1, Number.MAX_SAFE_INTEGER),
    low: data.integer('low', 0, 0xffff_ffff), high: data.integer('high', 0, 0xffff_ffff),
  }
  data.done()
  return state
}
