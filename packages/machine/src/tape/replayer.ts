import { type BackendKind, type MachinistError, machinistError, type Timer } from '@machinist/api'
import { filledBy, Lent } from './buffers.ts'
import { errorFrom, say } from './crossing.ts'
import { Checksum } from './digest.ts'
import { LogReader, notALog, type ReaderPlace, type ReplaySource } from './log-reader.ts'
import { LogObject } from './log-writer.ts'
import { type Answer, type Call, type Callbacks, membersOf, type ShapeName, shapeNames, shapes } from './shapes.ts'
import { Drain, entry, hostAct, isPast, isSame, type Moment, stopKind, type Tape, type Taped } from './tape.ts'

/** What a part said to the outside in a run that is replayed: bytes of a console, frames, pictures. */
export interface Saying {
  /** The part and its port: `'uart0.console'`. */
  readonly part: string
  /** The kind of its port, or of what the port gave it: `'char'`, `'stream'`. */
  readonly kind: string
  /** What was called: `'write'`. */
  readonly member: string
  /** They belong to the part: copy what is needed. */
  readonly args: readonly unknown[]
  readonly answer: unknown
}

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
  readonly log: ReaderPlace
  readonly at: Moment
  readonly ahead: Moment | null
  /** How many have been given. */
  readonly callbacks: number
  readonly promises: number
  readonly said: Checksum
  readonly checks: number
  readonly values: ReadonlyMap<string, unknown>
  /** The parts that have timers, and when those that are armed expire, in the order in which they were armed. */
  readonly timers: readonly string[]
  readonly armed: ReadonlyMap<number, number>
}

type Method = (...args: readonly unknown[]) => unknown

/** What a part gave to be called. */
interface Given {
  readonly callbacks: Callbacks
  readonly value: unknown
  readonly call: Call
  readonly lent: Lent
  readonly part: string
}

interface Promised {
  readonly call: Call
  readonly lent: Lent
  readonly part: string
  resolve(value: unknown): void
  reject(error: Error): void
}

const entryNames: readonly string[] = Object.keys(entry)

/** Gives a machine what came from outside when it was recorded. Whatever the machine does in another way is the end of it. */
export class Replayer implements Tape {
  readonly replaying = true
  readonly paced = false
  readonly #options: ReplayOptions
  #log: LogReader
  #machine: Taped | null = null
  readonly #drain = new Drain()
  #said = new Checksum()
  #depth = 0
  #over = false
  /** A part has failed. */
  #failing = false
  /** The machine is made, and has begun to run. */
  #begun = false
  /** The moment of the last entry that was reached, and of the next one, if that is another. */
  #at: Moment = { passes: 0, delivered: 0, retired: 0 }
  #ahead: Moment | null = null
  #objects = 0
  #callbacks = 0
  #promises = 0
  readonly #parts: string[] = []
  readonly #given = new Map<number, Given>()
  readonly #promised = new Map<number, Promised>()
  readonly #timers: Timer[] = []
  readonly #timed: string[] = []
  readonly #armed = new Map<number, number>()
  /** Objects and callbacks that there are as soon as the machine is made. */
  #made = { objects: 0, callbacks: 0 }
  /** The machine gets the state that it has at a place: what parts do to ports is none of the run. */
  #resuming = false
  /** Values of objects, as `id.member`. */
  readonly #values = new Map<string, unknown>()
  /** Of each object, the part that has it and what it is. */
  readonly #known: { readonly part: string; readonly shape: ShapeName }[] = []
  readonly #status = { ended: false, whole: false, off: false, checks: 0, difference: null as MachinistError | null }

  constructor(options: ReplayOptions) {
    this.#options = options
    this.#log = new LogReader(options.source)
  }

  /** Another one, at the beginning. */
  again(): Replayer {
    return new Replayer(this.#options)
  }

  /** The parts are made. */
  assembled(): void {
    this.#made = { objects: this.#objects, callbacks: this.#callbacks }
  }

  /** Where it is; null where something is under way, or parts hold what they got from outside: another machine would not have it. */
  get place(): ReplayPlace | null {
    const holds = this.#promised.size > 0 || this.#objects > this.#made.objects || [...this.#given.keys()].some((id) => id >= this.#made.callbacks)
    if (this.#over || !this.#begun || this.#depth > 0 || this.#drain.busy || holds) return null
    return {
      log: this.#log.place, at: this.#at, ahead: this.#ahead, callbacks: this.#callbacks, promises: this.#promises, said: this.#said.copy(), checks: this.#status.checks,
      values: new Map(this.#values), timers: [...this.#timed], armed: new Map(this.#armed),
    }
  }

  /** Goes on from a place, with a machine that was made like the one that was there; `restore` gives it its state. */
  resume(place: ReplayPlace, restore: () => void): void {
    this.#values.clear()
    for (const [key, value] of place.values) this.#values.set(key, value)
    this.#resuming = true
    restore()
    this.#resuming = false
    this.#begun = true
    this.#log = new LogReader(this.#options.source, place.log)
    this.#at = place.at
    this.#ahead = place.ahead
    this.#callbacks = place.callbacks
    this.#promises = place.promises
    this.#said = place.said.copy()
    this.#status.checks = place.checks
    for (const part of place.timers.slice(this.#timers.length)) this.#addTimer(part)
    for (const index of this.#timers.keys()) this.#arm(index, Infinity)
    for (const [index, at] of place.armed) this.#arm(index, at)
  }

  #addTimer(part: string): void {
    const index = this.#timers.length
    const deliver = this.#delivery(part)
    this.#timed.push(part)
    this.#timers.push(this.#taped.timer(`timer:${part}`, () => {
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

  get status(): ReplayStatus {
    return { ...this.#status }
  }

  begin(machine: Taped): void {
    this.#machine = machine
  }

  get #taped(): Taped {
    if (this.#machine === null) throw new Error('a tape without a machine')
    return this.#machine
  }

  /** Ends the replay. */
  #differs(part: string, expected: string, got: string): MachinistError {
    const { retired } = this.#taped.moment
    return this.#fail(part, machinistError(
      { code: 'replay-difference', part, value: `recorded: ${expected}; now: ${got}`, remedy: 'Replay it with the version of Machinist that recorded it; if that does the same, please report it.' },
      `the run is another one than was recorded, after ${retired} instructions`))
  }

  #fail(part: string, error: MachinistError): MachinistError {
    if (!this.#over) {
      this.#over = true
      this.#status.difference = error
      if (!this.#failing) this.#taped.fail(part, error)
    }
    return error
  }

  /** Does something with the log; what makes no sense in that is the end, too. */
  #reading<T>(part: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!this.#over && typeof error === 'object' && error !== null && 'code' in error && error.code === 'replay-log') this.#fail(part, error as MachinistError)
      throw error
    }
  }

  /** The kind of the next entry that is due: `entry.at` when none is, −1 at the end of the log. */
  #next(): number {
    if (this.#depth > 0) return this.#log.peek()
    for (;;) {
      if (this.#ahead !== null) {
        if (!isSame(this.#ahead, this.#taped.moment)) return entry.at
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

  /** Takes the next entry, which must be of a kind, now. */
  #expect(part: string, kind: number, got: () => string): void {
    let next = this.#next()
    // While the machine is made, nothing else has a turn: what came from outside is where it came.
    if (!this.#begun && this.#depth === 0) for (; next !== kind && next !== entry.host && this.#apply(next); next = this.#next());
    if (next !== kind || (this.#depth === 0 && !isSame(this.#at, this.#taped.moment))) throw this.#differs(part, this.#describe(), got())
    this.#log.u8()
  }

  /** What the log says comes next, for people. */
  #describe(): string {
    const kind = this.#log.peek()
    const at = this.#depth > 0 ? '' : ` after ${(this.#ahead ?? this.#at).retired} instructions`
    if (kind < 0) return 'the end'
    if (kind !== entry.call) return `${entryNames[kind - 1] ?? 'nothing that is known'}${at}`
    // Whoever calls this ends the replay, so the log may be read on.
    this.#log.u8()
    const known = this.#known[this.#log.count()]
    return `${known === undefined ? 'nothing' : `${membersOf(shapes[known.shape])[this.#log.count()] ?? '?'} of ${known.part}`}${at}`
  }

  port(part: string, kind: BackendKind): unknown {
    return this.#reading(part, () => {
      this.#expect(part, entry.attach, () => 'the part is made')
      const [name, recorded] = [this.#log.text(), this.#log.text()]
      if (name !== part || recorded !== kind) throw this.#differs(part, `${recorded} of ${name}`, `${kind} of ${part}`)
      this.#parts.push(part)
      this.#depth++
      this.#within(entry.answer)
      this.#depth--
      return this.#object(kind, this.#log.value(), part)
    })
  }

  /** Does what the log says until an entry of a kind has been taken. */
  #within(...last: readonly number[]): number {
    for (;;) {
      const kind = this.#log.peek()
      if (last.includes(kind)) {
        this.#log.u8()
        return kind
      }
      if (!this.#apply(kind)) throw notALog('its entries are in no order')
    }
  }

  /** Does what an entry says that may stand between others; false for others. */
  #apply(kind: number): boolean {
    const log = this.#log
    const machine = this.#taped
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
        this.#tell()
        return true
      case entry.value:
        log.u8()
        this.#change()
        return true
      case entry.settled:
        log.u8()
        this.#settle()
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
      if (this.#over) return
      this.#reading(part, () => {
        this.#expect(part, entry.begin, () => 'an event')
        const number = this.#log.count()
        if (this.#parts[number] !== part) throw this.#differs(part, `an event of ${this.#parts[number] ?? 'nobody'}`, `an event of ${part}`)
        this.#depth++
        this.#within(entry.end)
        this.#depth--
      })
    }
  }

  #tell(): void {
    const id = this.#log.count()
    const index = this.#log.count()
    const given = this.#given.get(id)
    const [name, answers] = Object.entries(given?.callbacks.members ?? {})[index] ?? []
    if (given === undefined || name === undefined || answers === undefined) throw notALog('it calls what is not there')
    const { part, callbacks, call, lent } = given
    const args = answers.map((answer) => this.#fromOutside(answer, this.#log.value(), part))
    if (call.filled === 'ok') this.#fill('ok', args[0], lent)
    if (callbacks.once) this.#given.delete(id)
    const method = (name === '' ? given.value : (given.value as Readonly<Record<string, unknown>>)[name]) as Method | undefined
    this.#depth++
    method?.call(given.value, ...args)
    this.#within(entry.toldEnd)
    this.#depth--
  }

  #change(): void {
    const id = this.#log.count()
    const index = this.#log.count()
    const known = this.#known[id]
    const answer = known === undefined ? undefined : Object.values(shapes[known.shape].values)[index]
    if (known === undefined || answer === undefined) throw notALog('it has no such value')
    this.#values.set(`${id}.${index}`, this.#fromOutside(answer, this.#log.value(), known.part))
  }

  #settle(): void {
    const id = this.#log.count()
    const promised = this.#promised.get(id)
    if (promised === undefined) throw notALog('it has no such promise')
    this.#promised.delete(id)
    const { call, lent, part, resolve, reject } = promised
    if (this.#log.u8() === 1) {
      const value = this.#fromOutside(call.answer, this.#log.value(), part)
      if (call.filled !== undefined) this.#fill(call.filled, value, lent)
      resolve(value)
    } else reject(errorFrom(this.#log.value()))
    this.#drain.begin(this.#taped)
  }

  #host(act: number): void {
    const machine = this.#taped
    switch (act) {
      case hostAct.reset:
        return machine.reset()
      case hostAct.off: {
        const status = this.#log.value()
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

  #check(): void {
    const machine = this.#taped
    const memory = this.#log.u8() === 1
    const compare = (what: string, sum: readonly number[]): void => {
      const recorded = sum.map(() => this.#log.u32())
      if (recorded.some((word, index) => word !== sum[index])) throw this.#differs(what, hex(recorded), hex(sum))
    }
    compare('what the machine said', this.#said.value)
    compare('harts and devices', machine.stateSum())
    if (memory) compare('memory', machine.memorySum())
    this.#status.checks++
  }

  /** A value from outside, as the log has it. */
  #fromOutside(answer: Answer, value: unknown, part: string): unknown {
    if (answer === 'plain' || value === null || value === undefined) return value
    if ('object' in answer) return this.#object(answer.object, value, part)
    if (typeof value !== 'object') return value
    return { ...value, ...Object.fromEntries(Object.entries(answer.fields).map(([field, name]) => [field, this.#object(name, (value as Readonly<Record<string, unknown>>)[field], part)])) }
  }

  /** An object or function that stands for one of the outside. */
  #object(name: ShapeName, described: unknown, part: string): object {
    const id = this.#objects++
    if (!(described instanceof LogObject) || shapeNames[described.shape] !== name || described.id !== id) throw notALog('it has another thing than can be')
    const shape = shapes[name]
    this.#known.push({ part, shape: name })
    const whole = shape.calls['']
    if (whole !== undefined) return (...args: readonly unknown[]) => this.#call(id, 0, name, '', whole, args, part)
    const object = {}
    for (const [index, member] of membersOf(shape).entries()) {
      if (Math.floor(described.members / 2 ** index) % 2 === 0) continue
      const call = shape.calls[member]
      if (call === undefined) Object.defineProperty(object, member, { enumerable: true, get: () => this.#value(id, index, part) })
      else Object.defineProperty(object, member, { enumerable: true, value: (...args: readonly unknown[]) => this.#call(id, index, name, member, call, args, part) })
    }
    if (name === 'files') {
      Object.defineProperty(object, 'settle', { value: (work: Promise<unknown>, done: (outcome: unknown) => void) => { this.#drain.settle(this.#taped, part, work, done) } })
    }
    return object
  }

  #value(id: number, index: number, part: string): unknown {
    // A change is written down when somebody looks: that may be now.
    if (!this.#over && !this.#resuming) this.#reading(part, () => { while (this.#next() === entry.value) this.#apply(entry.value) })
    return this.#values.get(`${id}.${index}`)
  }

  #call(id: number, index: number, shape: ShapeName, member: string, call: Call, args: readonly unknown[], part: string): unknown {
    if (this.#over || this.#resuming) return call.promise ? new Promise(() => {}) : call.filled === 'count' ? 0 : member === 'write' ? (args[0] as Uint8Array).length : undefined
    return this.#reading(part, () => {
      const log = this.#log
      while (this.#next() === entry.value) this.#apply(entry.value)
      const got = `${member} of ${part}`
      this.#expect(part, entry.call, () => got)
      const [recorded, number] = [log.count(), log.count()]
      if (recorded !== id || number !== index) {
        const known = this.#known[recorded]
        throw this.#differs(part, known === undefined ? 'nothing' : `${membersOf(shapes[known.shape])[number] ?? '?'} of ${known.part}`, got)
      }
      const lent = new Lent(args.flatMap((each, place) => (call.args[place] === 'buffer' ? [each as Uint8Array] : call.args[place] === 'buffers' ? each as readonly Uint8Array[] : [])))
      for (const [place, value] of args.entries()) {
        const callbacks = call.args[place]
        if (typeof callbacks === 'object') this.#given.set(this.#callbacks++, { callbacks, value, call, lent, part })
      }
      say(this.#said, id, index, call, args)
      this.#depth++
      const how = this.#within(entry.answer, entry.thrown)
      this.#depth--
      if (how === entry.thrown) throw errorFrom(log.value())
      if (call.promise) {
        return new Promise((resolve, reject) => { this.#promised.set(this.#promises++, { call, lent, part, resolve, reject }) })
      }
      const answer = this.#fromOutside(call.answer, log.value(), part)
      if (call.filled !== undefined && call.filled !== 'ok') this.#fill(call.filled, answer, lent)
      this.#options.onSay?.({ part, kind: shape, member, args, answer })
      return answer
    })
  }

  #fill(filling: NonNullable<Call['filled']>, answer: unknown, lent: Lent): void {
    const bytes = this.#log.bytes()
    if (bytes.length !== filledBy(filling, answer, lent.length)) throw notALog('it fills a buffer that has another size')
    lent.fill(bytes)
  }

  top(): boolean {
    if (this.#over) return false
    try {
      return this.#reading('machine', () => this.#between())
    } catch (error) {
      if (!this.#over) throw error
      return false
    }
  }

  /** Does what came from outside at this moment. */
  #between(): boolean {
    this.#begun = true
    for (;;) {
      if (this.#drain.busy) return false
      const { moment } = this.#taped
      const kind = this.#next()
      if (this.#missed(moment, kind)) throw this.#differs('machine', this.#describe(), `${moment.retired} instructions`)
      if (kind === entry.stop) {
        this.#log.u8()
        this.#stop(this.#log.u8(), null)
      } else if (kind === -1) this.#end(false)
      else if (kind === entry.at || !this.#outside(kind, moment)) return true
      if (this.#over || !this.#taped.running) return false
    }
  }

  /** Whether the log has something that should have happened before. */
  #missed(moment: Moment, kind: number): boolean {
    return this.#ahead === null ? kind !== -1 && isPast(this.#at, moment) : isPast(this.#ahead, moment)
  }

  /** Does what an entry says that stands between turns. */
  #outside(kind: number, moment: Moment): boolean {
    if (kind === entry.call || kind === entry.begin || kind === entry.attach) return false
    if (!isSame(this.#at, moment)) throw this.#differs('machine', this.#describe(), `${moment.retired} instructions`)
    if (!this.#apply(kind)) throw notALog('its entries are in no order')
    return true
  }

  idle(until: number): boolean {
    if (this.#over || this.#drain.busy) return false
    try {
      return this.#reading('machine', () => {
        const kind = this.#next()
        // What came after the last delivery.
        if (kind !== entry.at && kind !== -1 && isSame(this.#at, this.#taped.moment)) return true
        if (until === Infinity && kind !== -1) throw this.#differs('machine', this.#describe(), 'it waits, and nothing comes')
        return kind === -1
      })
    } catch (error) {
      if (!this.#over) throw error
      return false
    }
  }

  started(): void {
    this.#begun = true
    this.#reading('machine', () => {
      for (;;) {
        const kind = this.#next()
        if (kind === entry.host) {
          this.#log.u8()
          const act = this.#log.u8()
          if (act === hostAct.start) return
          this.#host(act)
        } else if (!this.#apply(kind)) throw this.#differs('machine', this.#describe(), 'it is switched on')
      }
    })
  }

  // What a host did is in the log.
  reset(): void {}
  powerOff(): void {}
  hold(): void {}
  release(): void {}

  failed(error: Error): Error {
    this.#failing = true
    // If it failed then, too, the log ends here.
    this.off(1)
    return this.#status.difference ?? error
  }

  off(status: number): void {
    if (this.#over) return
    try {
      this.#reading('machine', () => {
        while (this.#next() === entry.hash) this.#apply(entry.hash)
        this.#expect('machine', entry.stop, () => 'it is off')
        this.#stop(this.#log.u8(), status)
      })
    } catch (error) {
      if (!this.#over) throw error
    }
  }

  #stop(kind: number, status: number | null): void {
    const recorded = this.#log.value()
    const off = kind === stopKind.off
    if (off !== (status !== null) || (off && recorded !== status)) throw this.#differs('machine', off ? `off with status ${String(recorded)}` : 'the end of the recording', status === null ? 'it goes on' : `off with status ${status}`)
    this.#status.off = off
    this.#end(true)
  }

  #end(whole: boolean): void {
    this.#over = true
    this.#status.ended = true
    this.#status.whole = whole
    this.#taped.ended()
  }

  close(): void {
    this.#over = true
  }
}

function hex(words: readonly number[]): string {
  return words.map((word) => word.toString(16).padStart(8, '0')).join('')
}
