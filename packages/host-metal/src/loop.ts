import type { HostLoop } from '@machinist/machine'
import type { Native } from './native.ts'

interface Alarm {
  readonly at: number
  readonly callback: () => void
}


/**
 * The event loop of bare metal. Whoever starts JavaScript calls {@link MetalLoop.turn} over and over, and has pending jobs (what promises lead to) done after each: then all that is to happen has a turn of its own,
 * and the hardware waits where a turn finds nothing to do.
 */
export class MetalLoop implements HostLoop {
  readonly #native: Native
  #soon: (() => void)[] = []
  /** By their times. */
  readonly #alarms: Alarm[] = []
  readonly #checks: (() => boolean)[] = []
  /** Time in which there was nothing to do, in nanoseconds. */
  idleTime = 0

  constructor(native: Native) {
    this.#native = native
  }

  now(): number {
    return this.#native.now()
  }

  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  after(ns: number, callback: () => void): () => void {
    const alarm: Alarm = { at: this.now() + Math.max(0, ns), callback }
    let index = this.#alarms.length
    while (index > 0 && (this.#alarms[index - 1]?.at ?? 0) > alarm.at) index--
    this.#alarms.splice(index, 0, alarm)
    return () => {
      const at = this.#alarms.indexOf(alarm)
      if (at >= 0) this.#alarms.splice(at, 1)
    }
  }

  /** 0 when something is to be done in the next turn. An interrupt of the hardware ends a hart's run. */
  get due(): number {
    return this.#soon.length > 0 ? 0 : this.#alarms[0]?.at ?? Infinity
  }

  /** Calls back in each turn, before anything else: for interrupts, and what other harts of the hardware have to say. It tells whether something happened with which promises, say, go on. */
  onTurn(callback: () => boolean): void {
    this.#checks.push(callback)
  }

  /** The same in between, while a hart of a guest runs. False: there is something to do for the loop itself. */
  check(): boolean {
    let happened = false
    for (const check of this.#checks) happened = check() || happened
    return !happened && this.#soon.length === 0 && (this.#alarms[0]?.at ?? Infinity) > this.now()
  }

  /** One turn: waits if there is nothing to do, and does what there is. What it throws is the caller's to show; the next turn goes on with the rest. */
  turn(): void {
    if (this.#soon.length === 0) {
      const before = this.now()
      const until = this.#alarms[0]?.at ?? Infinity
      if (until > before) this.#native.idle(until)
      this.idleTime += this.now() - before
    }
    for (const check of this.#checks) check()
    const now = this.now()
    const due = this.#soon
    this.#soon = []
    while ((this.#alarms[0]?.at ?? Infinity) <= now) {
      const alarm = this.#alarms.shift()
      if (alarm !== undefined) due.push(alarm.callback)
    }
    let done = 0
    try {
      for (const callback of due) {
        done++
        callback()
      }
    } finally {
      // After an exception, the others come first next time.
      if (done < due.length) this.#soon = [...due.slice(done), ...this.#soon]
    }
  }
}
