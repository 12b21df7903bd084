import { type BackendKind, type MachinistError, type Timer } from '@machinist/api'
import { notALog, type ReplaySource } from './log-reader.ts'
import { type ObjectsPlace, ReplayedObjects, type Saying } from './replayed-objects.ts'
import { type OrderPlace, ReplayedOrder } from './replayed-order.ts'
import { entry, hostAct, stopKind, type Tape, type Taped } from './tape.ts'

/** How a run is replayed. */
export interface ReplayOptions {
  /** The log that was recorded. */
  readonly source: ReplaySource
  /** Is told what parts say. */
  readonly onSay?: (saying: Saying) => void
}

/** How a replay stands. */
export interface ReplayStatus {
  /** All that was recorded has been replayed. Of a log that was cut off, all that is there. */
  readonly ended: boolean
  /** The recording was ended, and not cut off. Known at the end. */
  readonly whole: boolean
  /** The machine was switched off at the end. */
  readonly off: boolean
  /** Checksums that were compared, and agreed. */
  readonly checks: number
  /** The first difference: a typed error `'replay-difference'`, or `'replay-log'` where the log makes no sense. */
  readonly difference: MachinistError | null
}

/** Where a replay is, between two turns and with nothing under way. */
export interface ReplayPlace {
  readonly order: OrderPlace
  readonly objects: ObjectsPlace
  readonly checks: number
  /** The parts that have timers, and when those that are armed expire, in the order in which they were armed. */
  readonly timers: readonly string[]
  readonly armed: ReadonlyMap<number, number>
}

/** Gives a machine what came from outside when it was recorded. Whatever the machine does in another way is the end of it. */
export class Replayer implements Tape {
  readonly replaying = true
  readonly paced = false
  readonly #options: ReplayOptions
  readonly #order: ReplayedOrder
  readonly #objects: ReplayedObjects
  readonly #parts: string[] = []
  readonly #timers: Timer[] = []
  readonly #timed: string[] = []
  readonly #armed = new Map<number, number>()
  readonly #status = { ended: false, whole: false, off: false, checks: 0 }

  constructor(options: ReplayOptions) {
    this.#options = options
    this.#order = new ReplayedOrder(options.source, { apply: (kind) => this.#apply(kind), callOf: (id, member) => this.#objects.callOf(id, member) })
    this.#objects = new ReplayedObjects(this.#order, options.onSay)
  }

  /** Another one, at the beginning. */
  again(): Replayer {
    return new Replayer(this.#options)
  }

  begin(machine: Taped): void {
    this.#order.begin(machine)
  }

  /** The parts are made. */
  assembled(): void {
    this.#objects.assembled()
  }

  get status(): ReplayStatus {
    return { ...this.#status, difference: this.#order.difference }
  }

  /** Where it is; null where something is under way. */
  get place(): ReplayPlace | null {
    const order = this.#order.place
    const objects = order && this.#objects.place
    return objects && { order, objects, checks: this.#status.checks, timers: [...this.#timed], armed: new Map(this.#armed) }
  }

  /** Goes on from a place, with a machine that was made like the one that was there; `restore` gives it its state, and parts what stands for what they had from outside. */
  resume(place: ReplayPlace, restore: (standsFor: <T extends object>(object: T) => T) => void): void {
    this.#objects.resume(place.objects, restore)
    this.#order.resume(place.order)
    this.#status.checks = place.checks
    for (const part of place.timers.slice(this.#timers.length)) this.#addTimer(part)
    for (const index of this.#timers.keys()) this.#arm(index, Infinity)
    for (const [index, at] of place.armed) this.#arm(index, at)
  }

  port(part: string, kind: BackendKind): unknown {
    return this.#order.reading(part, () => {
      const log = this.#order.expect(part, entry.attach, () => 'the part is made')
      const [name, recorded] = [log.text(), log.text()]
      if (name !== part || recorded !== kind) throw this.#order.differs(part, `${recorded} of ${name}`, `${kind} of ${part}`)
      this.#parts.push(part)
      this.#order.until(entry.answer)
      return this.#objects.object(kind, log.value(), part)
    })
  }

  /** Does what an entry says that may stand between others; false for others. */
  #apply(kind: number): boolean {
    const { log, machine } = this.#order
    switch (kind) {
      case entry.push: {
        log.u8()
        const part = this.#part(log.count())
        machine.push(part, this.#delivery(part))
        return true
      }
      case entry.timer: {
        log.u8()
        this.#addTimer(this.#part(log.count()))
        return true
      }
      case entry.arm: {
        log.u8()
        this.#arm(log.count(), log.f64())
        return true
      }
      case entry.told:
        log.u8()
        this.#objects.tell()
        return true
      case entry.value:
        log.u8()
        this.#objects.change()
        return true
      case entry.settled:
        log.u8()
        this.#objects.settle()
        return true
      case entry.host:
        log.u8()
        this.#host(log.u8())
        return true
      case entry.time: {
        log.u8()
        const to = log.f64()
        if (!(to >= 0 && to <= Number.MAX_SAFE_INTEGER)) throw notALog('it has no such time')
        machine.jump(to)
        return true
      }
      case entry.hash:
        log.u8()
        this.#check()
        return true
      default:
        return false
    }
  }

  #part(number: number): string {
    const part = this.#parts[number]
    if (part === undefined) throw notALog('it has no such part')
    return part
  }

  #delivery(part: string): () => void {
    return () => {
      if (this.#order.over) return
      this.#order.reading(part, () => {
        const number = this.#order.expect(part, entry.begin, () => 'an event').count()
        if (this.#parts[number] !== part) throw this.#order.differs(part, `an event of ${this.#parts[number] ?? 'nobody'}`, `an event of ${part}`)
        this.#order.until(entry.end)
        const thrown = this.#objects.takeThrown()
        if (this.#order.log.u8() === 1) throw thrown ?? this.#order.differs(part, 'an error', 'none')
      })
    }
  }

  #addTimer(part: string): void {
    const index = this.#timers.length
    const deliver = this.#delivery(part)
    this.#timed.push(part)
    this.#timers.push(this.#order.machine.timer(`timer:${part}`, () => {
      this.#armed.delete(index)
      deliver()
    }))
  }

  #arm(index: number, at: number): void {
    const timer = this.#timers[index]
    if (timer === undefined) throw notALog('it has no such timer')
    this.#armed.delete(index)
    if (at < Infinity) this.#armed.set(index, at)
    timer.arm(at)
  }

  top(): boolean {
    return !this.#order.over && this.#order.quietly('machine', () => this.#between())
  }

  /** Does what came from outside at this moment. */
  #between(): boolean {
    const order = this.#order
    order.run()
    for (;;) {
      if (order.drain.busy) return false
      const kind = order.next()
      if (order.missed(kind)) throw this.#late()
      if (kind === entry.stop) {
        order.log.u8()
        this.#stop(order.log.u8(), null)
      } else if (kind === -1) this.#end(false)
      else if (kind === entry.at || !this.#outside(kind)) return true
      if (order.over || !order.machine.running) return false
    }
  }

  /** The error for an entry whose moment has gone by. */
  #late(): MachinistError {
    return this.#order.differs('machine', this.#order.describe(), `${this.#order.machine.moment.retired} instructions`)
  }

  /** Does what an entry says that stands between turns. */
  #outside(kind: number): boolean {
    if (kind === entry.call || kind === entry.begin || kind === entry.attach) return false
    if (!this.#order.isNow) throw this.#late()
    this.#order.apply(kind)
    return true
  }

  idle(until: number): boolean {
    const order = this.#order
    if (order.over || order.drain.busy) return false
    return order.quietly('machine', () => {
      const kind = order.next()
      // What came after the last delivery.
      if (kind !== entry.at && kind !== -1 && order.isNow) return true
      if (until === Infinity && kind !== -1) throw order.differs('machine', order.describe(), 'it waits, and nothing comes')
      return kind === -1
    })
  }

  #check(): void {
    const { log, machine } = this.#order
    const memory = log.u8() === 1
    const compare = (what: string, sum: readonly number[]): void => {
      const recorded = sum.map(() => log.u32())
      if (recorded.some((word, index) => word !== sum[index])) throw this.#order.differs(what, hex(recorded), hex(sum))
    }
    compare('what the machine said', this.#objects.said.value)
    compare('harts and devices', machine.stateSum())
    if (memory) compare('memory', machine.memorySum())
    this.#status.checks++
  }

  #host(act: number): void {
    const { log, machine } = this.#order
    switch (act) {
      case hostAct.reset:
        return machine.reset()
      case hostAct.off: {
        const status = log.value()
        return machine.powerOff(typeof status === 'number' ? status : 1)
      }
      case hostAct.hold:
        return machine.hold()
      case hostAct.release:
        return machine.release()
      default:
        throw notALog('its host does what is not known')
    }
  }

  started(): void {
    const order = this.#order
    order.run()
    order.reading('machine', () => {
      for (;;) {
        const kind = order.next()
        if (kind === entry.host) {
          order.log.u8()
          const act = order.log.u8()
          if (act === hostAct.start) return
          this.#host(act)
        } else if (!this.#apply(kind)) throw order.differs('machine', order.describe(), 'it is switched on')
      }
    })
  }

  // What a host did is in the log.
  reset(): void {}
  powerOff(): void {}
  hold(): void {}
  release(): void {}

  failed(error: Error): Error {
    this.#order.failing()
    // If it failed then, too, the log ends here.
    this.off(1)
    return this.#order.difference ?? error
  }

  off(status: number): void {
    const order = this.#order
    if (order.over) return
    order.quietly('machine', () => {
      while (order.next() === entry.hash) order.apply(entry.hash)
      this.#stop(order.expect('machine', entry.stop, () => 'it is off').u8(), status)
    })
  }

  #stop(kind: number, status: number | null): void {
    const recorded = this.#order.log.value()
    const off = kind === stopKind.off
    if (off !== (status !== null) || (off && recorded !== status)) throw this.#order.differs('machine', off ? `off with status ${String(recorded)}` : 'the end of the recording', status === null ? 'it goes on' : `off with status ${status}`)
    this.#status.off = off
    this.#end(true)
  }

  #end(whole: boolean): void {
    this.#order.end()
    this.#status.ended = true
    this.#status.whole = whole
    this.#order.machine.ended()
  }

  close(): void {
    this.#order.end()
  }
}

function hex(words: readonly number[]): string {
  return words.map((word) => word.toString(16).padStart(8, '0')).join('')
}
