import { LogWriter } from './log-writer.ts'
import { Order } from './order.ts'
import { entry, isSame, type Moment } from './tape.ts'

/** The order of a log that is written: which moment an entry has, and what waits until it may have one. */
export class RecordedOrder extends Order {
  readonly log: LogWriter = new LogWriter()
  /** In a call, or in a delivery: entries have their place there. */
  #depth = 0
  #at: Moment = { passes: 0, delivered: 0, retired: 0 }
  /** What came while a hart ran, and not in answer to it. */
  readonly #late: (() => void)[] = []
  readonly #settled: (() => void)[] = []
  #releasing = false

  /** In the middle of a turn, and not in answer to the guest. */
  get midTurn(): boolean {
    return this.#depth === 0 && this.machine.slicing
  }

  /** Says where what follows is, unless that is within something else. */
  place(): void {
    if (this.#depth > 0) return
    const { moment } = this.machine
    if (isSame(moment, this.#at)) return
    const before = this.#at
    this.log.u8(entry.at)
    this.log.count(moment.passes - before.passes)
    this.log.count(moment.delivered - before.delivered)
    const retired = moment.retired - before.retired
    // A reset may begin to count anew.
    this.log.count(retired >= 0 ? 2 * retired : -2 * retired - 1)
    this.#at = moment
  }

  /** Begins an entry of this moment. */
  note(kind: number): LogWriter {
    this.place()
    this.log.u8(kind)
    return this.log
  }

  /** Entries that come of this have their place behind the last one. */
  within<T>(work: () => T): T {
    this.#depth++
    try {
      return work()
    } finally {
      this.#depth--
    }
  }

  /** Does something that comes from outside, and writes it down. What comes in the middle of a turn, and not in answer to the guest, waits for its end. */
  outside(work: () => void): void {
    if (!this.over && this.midTurn) {
      if (this.#late.push(work) === 1) this.machine.soon(() => { this.#belated() })
      return
    }
    if (!this.over) this.place()
    work()
  }

  #belated(): void {
    // Otherwise the run loop comes by.
    if (!this.machine.slicing) this.catchUp()
  }

  /** Does what has waited for the end of a turn. */
  catchUp(): void {
    for (const work of this.#late.splice(0)) {
      if (!this.over) this.place()
      work()
    }
  }

  /** Does what settles a promise of a part: one at a time, and nothing else happens until all that comes of it has. */
  settle(work: () => void): void {
    this.#settled.push(work)
    this.#release()
  }

  #release(): void {
    if (this.#releasing) return
    this.#releasing = true
    this.machine.soon(() => {
      this.#releasing = false
      if (!this.drain.busy && !this.machine.slicing) {
        this.#settled.shift()?.()
        this.drain.begin(this.machine)
      }
      if (this.#settled.length > 0) this.#release()
    })
  }
}
