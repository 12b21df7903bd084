import { type MachinistError, machinistError } from '@machinist/api'
import { LogReader, notALog, type ReaderPlace, type ReplaySource } from './log-reader.ts'
import { Order } from './order.ts'
import { entry, isPast, isSame, type Moment } from './tape.ts'

/** What entries mean. */
export interface Entries {
  /** Does what an entry says that may stand between others, and takes it; false for others. */
  apply(kind: number): boolean
  /** What is called, for people: a number of an object, and that of a member, which is asked for only where there is such an object. */
  callOf(id: number, member: () => number): string
}

/** Where an order is. */
export interface OrderPlace {
  readonly log: ReaderPlace
  readonly at: Moment
  readonly ahead: Moment | null
}

const entryNames: readonly string[] = Object.keys(entry)

/** The order of a log that is read: which entry is due at a moment. What the machine does in another order is the end of the replay. */
export class ReplayedOrder extends Order {
  readonly #source: ReplaySource
  readonly #entries: Entries
  #log: LogReader
  /** In a call, or in a delivery: entries have their place there. */
  #depth = 0
  /** The moment of the last entry that was reached, and of the next one, if that is another. */
  #at: Moment = { passes: 0, delivered: 0, retired: 0 }
  #ahead: Moment | null = null
  /** The machine is made, and has begun to run. */
  #begun = false
  /** A part has failed. */
  #failing = false
  #difference: MachinistError | null = null

  constructor(source: ReplaySource, entries: Entries) {
    super()
    this.#source = source
    this.#entries = entries
    this.#log = new LogReader(source)
  }

  get log(): LogReader {
    return this.#log
  }

  /** The machine is made: from now on, what came from outside comes between turns. */
  run(): void {
    this.#begun = true
  }

  /** The first difference. */
  get difference(): MachinistError | null {
    return this.#difference
  }

  /** Where it is; null where something is under way. */
  get place(): OrderPlace | null {
    if (this.over || !this.#begun || this.#depth > 0 || this.drain.busy) return null
    return { log: this.#log.place, at: this.#at, ahead: this.#ahead }
  }

  /** Goes on from a place. */
  resume(place: OrderPlace): void {
    this.#begun = true
    this.#log = new LogReader(this.#source, place.log)
    this.#at = place.at
    this.#ahead = place.ahead
  }

  /** Ends the replay with a difference. */
  differs(part: string, expected: string, got: string): MachinistError {
    const { retired } = this.machine.moment
    return this.#fail(part, machinistError(
      { code: 'replay-difference', part, value: `recorded: ${expected}; now: ${got}`, remedy: 'Replay it with the version of Machinist that recorded it; if that does the same, please report it.' },
      `the run is another one than was recorded, after ${retired} instructions`))
  }

  #fail(part: string, error: MachinistError): MachinistError {
    if (!this.over) {
      this.end()
      this.#difference = error
      if (!this.#failing) this.machine.fail(part, error)
    }
    return error
  }

  /** A part has failed: the machine has its end already. */
  failing(): void {
    this.#failing = true
  }

  /** Does something with the log; what makes no sense in that is the end, too. */
  reading<T>(part: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!this.over && typeof error === 'object' && error !== null && 'code' in error && error.code === 'replay-log') this.#fail(part, error as MachinistError)
      throw error
    }
  }

  /** The same for those who are not told of an error that has ended the replay: false then. */
  quietly<T>(part: string, work: () => T): T | false {
    try {
      return this.reading(part, work)
    } catch (error) {
      if (!this.over) throw error
      return false
    }
  }

  /** The kind of the next entry that is due: `entry.at` when none is, −1 at the end of the log. */
  next(): number {
    if (this.#depth > 0) return this.#log.peek()
    for (;;) {
      if (this.#ahead !== null) {
        if (!isSame(this.#ahead, this.machine.moment)) return entry.at
        this.#at = this.#ahead
        this.#ahead = null
      }
      const kind = this.#log.peek()
      if (kind !== entry.at) return kind
      this.#log.u8()
      const { passes, delivered, retired } = this.#at
      const moment = { passes: passes + this.#log.count(), delivered: delivered + this.#log.count(), retired: this.#log.count() }
      this.#ahead = { ...moment, retired: retired + (moment.retired % 2 === 0 ? moment.retired / 2 : -(moment.retired + 1) / 2) }
    }
  }

  /** The last entry that was reached is of this moment. */
  get isNow(): boolean {
    return isSame(this.#at, this.machine.moment)
  }

  /** Whether the log has something that should have happened before; `kind` is the next entry. */
  missed(kind: number): boolean {
    const { moment } = this.machine
    return this.#ahead === null ? kind !== -1 && isPast(this.#at, moment) : isPast(this.#ahead, moment)
  }

  /** Takes the next entry, which must be of a kind, now. */
  expect(part: string, kind: number, got: () => string): LogReader {
    let next = this.next()
    // While the machine is made, nothing else has a turn: what came from outside is where it came.
    if (!this.#begun && this.#depth === 0) for (; next !== kind && next !== entry.host && this.#entries.apply(next); next = this.next());
    if (next !== kind || (this.#depth === 0 && !this.isNow)) throw this.differs(part, this.describe(), got())
    this.#log.u8()
    return this.#log
  }

  /** Does what comes of this: its entries have their place behind the last one. */
  within<T>(work: () => T): T {
    // What is thrown in there ends the replay, at that depth.
    this.#depth++
    const value = work()
    this.#depth--
    return value
  }

  /** Does what the log says until an entry of a kind has been taken, and returns which. */
  until(...last: readonly number[]): number {
    return this.within(() => {
      for (;;) {
        const kind = this.#log.peek()
        if (last.includes(kind)) return this.#log.u8()
        this.apply(kind)
      }
    })
  }

  /** Does what the next entry says, which must be one that may stand between others. */
  apply(kind: number): void {
    if (!this.#entries.apply(kind)) throw notALog('its entries are in no order')
  }

  /** What the log says comes next, for people. */
  describe(): string {
    const kind = this.#log.peek()
    const at = this.#depth > 0 ? '' : ` after ${(this.#ahead ?? this.#at).retired} instructions`
    if (kind < 0) return 'the end'
    if (kind !== entry.call) return `${entryNames[kind - 1] ?? 'nothing that is known'}${at}`
    // Whoever calls this ends the replay, so the log may be read on.
    this.#log.u8()
    return `${this.#entries.callOf(this.#log.count(), () => this.#log.count())}${at}`
  }
}
