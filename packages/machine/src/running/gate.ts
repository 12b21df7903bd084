import type { Deliver } from '@machinist/api'
import { machinistError } from '@machinist/api'

/** What came through the gate: for a journal, and for tests. */
export interface GateRecord {
  /** Counts from 0, without gaps. */
  readonly sequence: number
  /** Virtual time at delivery, in nanoseconds. */
  readonly at: number
  /** Instructions retired by all harts at delivery. */
  readonly retired: number
  /** Who it came from: `'uart0.console'`, `'timer:rtc.alarm'`, `'machine.reset'`. */
  readonly source: string
}

/** Most events that may wait. Devices bound what they have in flight, so more means a backend that floods. */
export const GATE_LIMIT = 65536

/**
 * The one way by which anything from outside enters a machine: events wait here while a hart runs, and are
 * delivered between slices in the order in which they came.
 */
export class Gate {
  /** The first that waits, and what waits behind it: nearly always it is the only one. */
  #source = ''
  #first: (() => void) | null = null
  #queue: { readonly source: string; readonly callback: () => void }[] = []
  #sequence = 0
  #overflowed = false
  /** Told about each event as it came in. */
  onPush: (() => void) | null = null
  /** Told about each event just before it is delivered. */
  onRecord: ((record: GateRecord) => void) | null = null
  readonly #fault: (source: string, error: unknown) => void

  /** @param fault - told what a callback threw, and when too many events wait */
  constructor(fault: (source: string, error: unknown) => void) {
    this.#fault = fault
  }

  /** Events that wait. */
  get pending(): number {
    return this.#first === null ? 0 : this.#queue.length + 1
  }

  /** Events delivered so far. */
  get delivered(): number {
    return this.#sequence
  }

  /** Counts on from a number, with nothing waiting: for a machine that goes on from where another was. */
  resume(delivered: number): void {
    this.#first = null
    this.#queue = []
    this.#sequence = delivered
  }

  push(source: string, callback: () => void): void {
    if (this.#first === null) {
      this.#source = source
      this.#first = callback
      this.onPush?.()
      return
    }
    if (this.#queue.length + 1 >= GATE_LIMIT) {
      if (this.#overflowed) return
      this.#overflowed = true
      this.#fault(source, machinistError(
        { code: 'gate-overflow', part: source, value: GATE_LIMIT, remedy: 'Let the backend wait for the device to take what it sent.' },
        'too many events wait for the machine'))
      return
    }
    this.#queue.push({ source, callback })
    this.onPush?.()
  }

  /** The `deliver` of one backend. */
  from(source: string): Deliver {
    return (callback) => { this.push(source, callback) }
  }

  /** Runs what waited at the time of the call. What comes in meanwhile waits for the next call. */
  deliver(at: number, retired: () => number): void {
    const first = this.#first
    if (first === null) return
    const batch = this.#queue
    this.#first = null
    // What comes while the only one is delivered may be in the same list.
    const several = batch.length > 0
    if (several) this.#queue = []
    this.#deliverOne(at, retired, this.#source, first)
    if (several) for (const { source, callback } of batch) this.#deliverOne(at, retired, source, callback)
  }

  #deliverOne(at: number, retired: () => number, source: string, callback: () => void): void {
    this.onRecord?.({ sequence: this.#sequence, at, retired: retired(), source })
    this.#sequence++
    try {
      callback()
    } catch (error) {
      this.#fault(source, error)
    }
  }

  /** Forgets what waits. */
  clear(): void {
    this.#first = null
    this.#queue = []
    this.#overflowed = false
  }
}
