import type { BackendClock, BackendKind, Deliver, Timer } from '@machinist/api'
import type { Sum } from './digest.ts'

/** Entries of a log. What is outside of all others has a place, which `at` gives when it has changed. */
export const entry = {
  at: 1, push: 2, begin: 3, end: 4, call: 5, answer: 6, thrown: 7, told: 8, toldEnd: 9, value: 10, timer: 11, arm: 12, attach: 13, settled: 14, host: 15, time: 16, hash: 17, stop: 18,
} as const

/** What a host does to a machine: `entry.host` with one of these. */
export const hostAct = { start: 0, reset: 1, off: 2, hold: 3, release: 4 } as const

/** How a recording ended: `entry.stop` with one of these. */
export const stopKind = { off: 0, stopped: 1 } as const

/** A moment in a machine's life: no two have the same, unless nothing happened between them. */
export interface Moment {
  /** Turns that harts began, and jumps of time. */
  readonly passes: number
  /** Events delivered. */
  readonly delivered: number
  /** Instructions retired by all harts. */
  readonly retired: number
}

export function isSame(a: Moment, b: Moment): boolean {
  return a.passes === b.passes && a.delivered === b.delivered && a.retired === b.retired
}

/** Whether `b` comes after `a`, between turns. */
export function isPast(a: Moment, b: Moment): boolean {
  return a.passes < b.passes || (a.passes === b.passes && a.delivered < b.delivered)
}

/** A machine, as a tape has it. */
export interface Taped {
  readonly moment: Moment
  /** Virtual time. */
  readonly now: number
  /** Nanoseconds in which all harts have waited. */
  readonly idle: number
  /** Monotonic time of the host, in nanoseconds. */
  readonly hostNow: number
  /** A slice is in progress, or a turn was left in the middle. */
  readonly slicing: boolean
  /** It is on, and not paused. */
  readonly running: boolean
  /** Puts an event into the gate. */
  push(source: string, callback: () => void): void
  /** A timer of a backend. */
  timer(name: string, expired: () => void): Timer
  /** Moves time on, while no hart runs. */
  jump(to: number): void
  /** A checksum of all but memory. */
  stateSum(): Sum
  memorySum(): Sum
  reset(): void
  powerOff(status: number): void
  hold(): void
  release(): void
  /** Calls back in a new turn of the host's event loop, when promises have settled. */
  soon(callback: () => void): void
  /** A machine that waits for something from outside has it. */
  wake(): void
  /** Ends it with an error. */
  fail(part: string, error: Error): void
  /** The log is at its end, and the machine is not. */
  ended(): void
}

/** Connects a backend. */
export type Connect = (deliver: Deliver, clock: BackendClock) => unknown

/**
 * Stands between a machine and all that is outside: one that records, or one that replays. Devices, the gate and the run loop do not know which.
 */
export interface Tape {
  readonly replaying: boolean
  /** While all harts wait, time passes as the host's does. */
  readonly paced: boolean
  /** Comes first. */
  begin(machine: Taped): void
  /** The port of a part: `connect` is for a tape that records. @throws typed errors */
  port(part: string, kind: BackendKind, connect: Connect): unknown
  /** Between two turns, before anything is delivered. False: there is nothing to do before the host's event loop has turned. */
  top(): boolean
  /** All harts wait, until `until` at the latest. True: something has come from outside, as {@link Tape.top} will show. */
  idle(until: number): boolean
  /** The machine is switched on, before anything of it begins. */
  started(): void
  /** The host asks for a reset. */
  reset(): void
  /** The host switches the machine off. */
  powerOff(status: number): void
  /** The host has the machine stand still, and lets it go on. */
  hold(): void
  release(): void
  /** A part has failed, and the machine will be off. Returns the error that it ends with. */
  failed(error: Error): Error
  /** The machine is off, and nothing runs. */
  off(status: number): void
  /** It is disposed of. */
  close(): void
}

/** Lets promises of devices have their turn at the same moments, whether a run is recorded or replayed: the run loop waits. */
export class Drain {
  #busy = false

  /** Nothing goes on before the host's event loop has turned. */
  get busy(): boolean {
    return this.#busy
  }

  begin(machine: Taped): void {
    if (this.#busy) return
    this.#busy = true
    machine.soon(() => {
      this.#busy = false
      machine.wake()
    })
  }

  /** `settle` of a `FilesPort`: with such a tape, what becomes of a device's work follows from what the tree answered. */
  settle(machine: Taped, part: string, work: Promise<unknown>, done: (outcome: unknown) => void): void {
    this.begin(machine)
    work.then(
      (value) => { machine.push(part, () => { done({ value }) }) },
      (error: unknown) => { machine.push(part, () => { done({ error }) }) })
  }
}
