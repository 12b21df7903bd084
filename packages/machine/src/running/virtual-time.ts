import type { Vcpu } from '@machinist/api'
import type { TimeMode } from '../definition/definition.ts'

/** Time that was saved: nanoseconds, and with counted time the same with its fraction. */
export interface SavedTime {
  readonly now: number
  readonly exact: number
}

/**
 * The machine's time in nanoseconds. It stands still, so that one guest access to a device sees one instant, until
 * {@link VirtualTime.sample} brings it up to date or {@link VirtualTime.begin} tells that an instant begins. It never goes back.
 */
export class VirtualTime {
  /** Whether it counts instructions. */
  readonly counted: boolean
  readonly #perInstruction: number
  readonly #hostNow: () => number
  #now = 0
  /** An instant has begun, and nobody has looked at the time yet. */
  #begun = false
  /** Real time: the host's time that corresponds to virtual time zero; null while it stands still. */
  #origin: number | null = null
  /** Counted time, with its fraction of a nanosecond. */
  #exact = 0
  /** For how long all harts waited, but for now. */
  #idle = 0
  /** Since when they wait, and until when at most. */
  #idleSince: number | null = null
  #idleUntil = 0
  #vcpu: Vcpu | null = null
  #retired = 0
  #share = 1
  /** Told the host's time that is virtual time zero when real time begins to run, and null when it stands still. */
  onRun: ((origin: number | null) => void) | null = null

  /** @param hostNow - the host's monotonic time in nanoseconds */
  constructor(mode: TimeMode, hostNow: () => number) {
    this.counted = mode !== 'real'
    this.#perInstruction = mode === 'real' ? 0 : 1e9 / mode.instructionsPerSecond
    this.#hostNow = hostNow
  }

  /** Time in the present instant. */
  get now(): number {
    return this.#begun ? this.sample() : this.#now
  }

  /** A new instant begins. Its time is that of the first look: most accesses to devices are over before anybody asks, and asking the host costs more than they. */
  readonly begin = (): void => {
    this.#begun = true
  }

  /** Brings time up to date and returns it. */
  sample(): number {
    this.#begun = false
    let now = this.#now
    if (!this.counted) {
      if (this.#origin !== null) now = Math.floor(this.#hostNow() - this.#origin)
    } else if (this.#vcpu !== null) {
      now = Math.floor(this.#exact + (this.#vcpu.retired - this.#retired) * this.#share)
    }
    if (now > this.#now) this.#now = now
    return this.#now
  }

  /** For how long all harts have waited, in nanoseconds. */
  get idle(): number {
    return this.#idle + (this.#idleSince === null ? 0 : Math.max(0, Math.min(this.sample(), this.#idleUntil) - this.#idleSince))
  }

  /** All harts wait until a time: a host that comes late then keeps them from running. */
  rest(until: number): void {
    this.#idleSince = this.#now
    this.#idleUntil = until
  }

  /** They do no more, or somebody looks whether they do. */
  wake(): void {
    this.#idle = this.idle
    this.#idleSince = null
  }

  /** What a copy of the machine begins with. */
  save(): SavedTime {
    return { now: this.#now, exact: this.#exact }
  }

  /** Takes back what {@link VirtualTime.save} gave, while time stands still. */
  restore({ now, exact }: SavedTime): void {
    this.#now = now
    this.#exact = exact
  }

  /** Lets real time run. */
  run(): void {
    if (this.counted || this.#origin !== null) return
    this.#origin = this.#hostNow() - this.#now
    this.onRun?.(this.#origin)
  }

  /** Stops real time. */
  stop(): void {
    this.sample()
    if (this.#origin === null) return
    this.#origin = null
    this.onRun?.(null)
  }

  /**
   * A hart begins a slice. In counted time, each of its instructions moves time by an instruction's time divided
   * by `runnable`: harts that take turns share the time that they would have run side by side.
   *
   * @param from - instructions that the hart had retired then
   */
  beginSlice(vcpu: Vcpu, runnable: number, from: number): void {
    if (!this.counted) return
    this.#vcpu = vcpu
    this.#retired = from
    this.#share = this.#perInstruction / runnable
  }

  endSlice(): void {
    this.sample()
    if (this.#vcpu === null) return
    this.#exact += (this.#vcpu.retired - this.#retired) * this.#share
    this.#vcpu = null
  }

  /** Counted time: instructions that a hart may run, one of `runnable`, until time is `at`. At least 1. */
  instructionsUntil(at: number, runnable: number): number {
    return Math.max(1, Math.ceil((at - this.#exact) / (this.#perInstruction / runnable)))
  }

  /** Counted time: nothing can happen before `at`. */
  jumpTo(at: number): void {
    this.#idle += Math.max(0, Math.floor(at) - this.#now)
    this.#exact = Math.max(this.#exact, at)
    this.#now = Math.max(this.#now, Math.floor(at))
  }
}
