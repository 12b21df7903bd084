import { type BackendClock, type BackendKind, type Deliver, machinistError, type Timer } from '@machinist/api'
import { filledBy, Lent } from './buffers.ts'
import { callbacksOf, errorOf, isEqual, say } from './crossing.ts'
import { Checksum } from './digest.ts'
import { LogObject, LogWriter } from './log-writer.ts'
import { type Answer, type Argument, type Call, membersOf, type ShapeName, shapeNames, shapes } from './shapes.ts'
import { type Connect, Drain, entry, hostAct, isSame, type Moment, stopKind, type Tape, type Taped } from './tape.ts'

/** Takes the parts of a log, in order. */
export interface RecordSink {
  /** @param bytes - end between two entries: a log that is cut behind any of them can be replayed so far */
  write(bytes: Uint8Array): void
  /** There is no more. */
  end(): void
}

/** How a run is recorded. */
export interface RecordOptions {
  /** Where the log goes. */
  readonly sink: RecordSink
  /** Instructions between checksums of all but memory; 100 million unless given. */
  readonly checkEvery?: number
  /** Instructions between checksums of memory, too; 2 thousand million unless given. */
  readonly checkMemoryEvery?: number
  /**
   * True: while all harts wait, virtual time passes as the host's does. Otherwise it jumps to when the first of them wants to go on, and whoever is outside has
   * hardly any time to say something.
   */
  readonly paced?: boolean
}

const CHECK_EVERY = 100_000_000
const CHECK_MEMORY_EVERY = 2_000_000_000
/** Bytes that are gathered. */
const GATHERED = 65536

type Method = (...args: readonly unknown[]) => unknown
type Outside = Readonly<Record<string, unknown>> | Method

/** Writes down all that comes into a machine from outside. */
export class Recorder implements Tape {
  readonly replaying = false
  readonly paced: boolean
  readonly #sink: RecordSink
  readonly #checkEvery: number
  readonly #checkMemoryEvery: number
  #machine: Taped | null = null
  readonly #log = new LogWriter()
  readonly #drain = new Drain()
  readonly #said = new Checksum()
  /** In a call, or in a delivery: entries have their place there. */
  #depth = 0
  #over = false
  /** By the host, and that is in the log. */
  #switchedOff = false
  #at: Moment = { passes: 0, delivered: 0, retired: 0 }
  #objects = 0
  #callbacks = 0
  #promises = 0
  #timers = 0
  #parts = 0
  #nextCheck = 0
  #nextMemoryCheck = 0
  /** What came while a hart ran, and not in answer to it. */
  readonly #late: (() => void)[] = []
  readonly #settled: (() => void)[] = []
  #releasing = false
  /** Since when all harts wait, and until when. */
  #idle: { readonly host: number; readonly from: number; readonly until: number } | null = null
  /** What devices were given, and what it stands for. */
  readonly #real = new WeakMap<object, unknown>()

  constructor({ sink, checkEvery = CHECK_EVERY, checkMemoryEvery = CHECK_MEMORY_EVERY, paced = false }: RecordOptions) {
    this.#sink = sink
    this.#checkEvery = checkEvery
    this.#checkMemoryEvery = checkMemoryEvery
    this.paced = paced
  }

  begin(machine: Taped): void {
    this.#machine = machine
  }

  get #taped(): Taped {
    if (this.#machine === null) throw new Error('a tape without a machine')
    return this.#machine
  }

  /** Says where what follows is, unless that is within something else. */
  #place(): void {
    if (this.#depth > 0) return
    const { moment } = this.#taped
    if (isSame(moment, this.#at)) return
    const before = this.#at
    this.#log.u8(entry.at)
    this.#log.count(moment.passes - before.passes)
    this.#log.count(moment.delivered - before.delivered)
    const retired = moment.retired - before.retired
    // A reset may begin to count anew.
    this.#log.count(retired >= 0 ? 2 * retired : -2 * retired - 1)
    this.#at = moment
  }

  /** Does something that comes from outside, and writes it down. What comes in the middle of a turn, and not in answer to the guest, waits for its end. */
  #outside(work: () => void): void {
    if (!this.#over && this.#depth === 0 && this.#taped.slicing) {
      if (this.#late.push(work) === 1) this.#taped.soon(() => { this.#belated() })
      return
    }
    if (!this.#over) this.#place()
    work()
  }

  #belated(): void {
    // Otherwise the run loop comes by.
    if (!this.#taped.slicing) this.#catchUp()
  }

  #catchUp(): void {
    for (const work of this.#late.splice(0)) {
      if (!this.#over) this.#place()
      work()
    }
  }

  #note(kind: number): LogWriter {
    this.#log.u8(kind)
    return this.#log
  }

  port(part: string, kind: BackendKind, connect: Connect): unknown {
    if (!Object.hasOwn(shapes, kind)) {
      throw machinistError({ code: 'record-backend', part, value: kind, remedy: 'Leave it out, or run the machine without recording it.' }, 'what a backend of this kind does cannot be recorded')
    }
    this.#place()
    const log = this.#note(entry.attach)
    log.text(part)
    log.text(kind)
    const number = this.#parts++
    this.#depth++
    let real: unknown
    try {
      real = connect(this.#deliver(part, number), this.#clock(part, number))
    } finally {
      this.#depth--
    }
    const { object, given } = this.#wrap(kind, real as Outside, part)
    this.#note(entry.answer).value(object)
    return given
  }

  #deliver(part: string, number: number): Deliver {
    return (callback) => {
      this.#outside(() => {
        if (!this.#over) this.#note(entry.push).count(number)
        this.#taped.push(part, this.#delivery(number, callback))
      })
    }
  }

  #delivery(number: number, callback: () => void): () => void {
    return () => {
      if (this.#over) return callback()
      this.#place()
      this.#note(entry.begin).count(number)
      this.#depth++
      try {
        callback()
      } finally {
        this.#depth--
        this.#note(entry.end)
      }
    }
  }

  #clock(part: string, number: number): BackendClock {
    const machine = this.#taped
    return {
      now: () => machine.now,
      timer: (expired) => {
        const timer: { id: number; real: Timer | null } = { id: -1, real: null }
        this.#outside(() => {
          if (!this.#over) this.#note(entry.timer).count(number)
          timer.id = this.#timers++
          timer.real = machine.timer(`timer:${part}`, this.#delivery(number, expired))
        })
        const arm = (at: number): void => {
          this.#outside(() => {
            if (!this.#over) {
              const log = this.#note(entry.arm)
              log.count(timer.id)
              log.f64(at)
            }
            timer.real?.arm(at)
          })
        }
        return { arm, cancel: () => { arm(Infinity) } }
      },
    }
  }

  /** An object or function of the outside for a part, and how the log calls it. */
  #wrap(name: ShapeName, real: Outside, part: string): { readonly object: LogObject; readonly given: object } {
    const shape = shapes[name]
    const id = this.#objects++
    const isFunction = Object.hasOwn(shape.calls, '')
    const given: object = isFunction ? (...args: readonly unknown[]) => this.#call(id, 0, shape.calls[''] as Call, real as Method, args, part) : {}
    let members = 0
    for (const [index, member] of (isFunction ? [] : membersOf(shape)).entries()) {
      const value = shape.values[member]
      const call = shape.calls[member]
      // What is optional may also be there and undefined.
      if (!(member in real) || (call !== undefined && (real as Readonly<Record<string, unknown>>)[member] === undefined)) continue
      members += 2 ** index
      if (value !== undefined) Object.defineProperty(given, member, { enumerable: true, get: this.#getter(id, index, value, real as Readonly<Record<string, unknown>>, member, part) })
      else if (call !== undefined) {
        const method: Method = (...args) => (real as Readonly<Record<string, Method>>)[member]?.(...args)
        Object.defineProperty(given, member, { enumerable: true, value: (...args: readonly unknown[]) => this.#call(id, index, call, method, args, part) })
      }
    }
    if (name === 'files') {
      Object.defineProperty(given, 'settle', { value: (work: Promise<unknown>, done: (outcome: unknown) => void) => { this.#drain.settle(this.#taped, part, work, done) } })
    }
    this.#real.set(given, real)
    return { object: new LogObject(shapeNames.indexOf(name), id, members), given }
  }

  /** A value is written down when it has changed. */
  #getter(id: number, index: number, answer: Answer, real: Readonly<Record<string, unknown>>, member: string, part: string): () => unknown {
    let known = false
    let last: unknown
    let given: unknown
    return () => {
      const now = real[member]
      if (known && (now === last || isEqual(now, last))) return given
      if (this.#over) return now
      known = true
      last = now
      const { logged, given: mine } = this.#fromOutside(answer, now, part)
      given = mine
      this.#place()
      const log = this.#note(entry.value)
      log.count(id)
      log.count(index)
      log.value(logged)
      return given
    }
  }

  /** A value of the outside, for the log and for a part. */
  #fromOutside(answer: Answer, value: unknown, part: string): { readonly logged: unknown; readonly given: unknown } {
    if (answer === 'plain' || typeof value !== 'object' && typeof value !== 'function' || value === null) return { logged: value, given: value }
    if ('object' in answer) {
      const { object, given } = this.#wrap(answer.object, value as Outside, part)
      return { logged: object, given }
    }
    const logged: Record<string, unknown> = { ...value }
    const given: Record<string, unknown> = { ...value }
    for (const [field, name] of Object.entries(answer.fields)) {
      const each = this.#wrap(name, given[field] as Outside, part)
      logged[field] = each.object
      given[field] = each.given
    }
    return { logged, given }
  }

  #call(id: number, index: number, call: Call, method: Method, args: readonly unknown[], part: string): unknown {
    if (this.#over) return method(...args.map((each, place) => (call.args[place] === 'object' ? this.#real.get(each as object) ?? each : each)))
    this.#place()
    const log = this.#note(entry.call)
    log.count(id)
    log.count(index)
    const lent = new Lent(args.flatMap((each, place) => (call.args[place] === 'buffer' ? [each as Uint8Array] : call.args[place] === 'buffers' ? each as readonly Uint8Array[] : [])))
    const own = lent.length > 0 ? lent.copy() : new Uint8Array()
    const given = args.map((each, place) => this.#fromInside(call.args[place] ?? 'plain', each, call, lent, own, part))
    say(this.#said, id, index, call, args)
    let answer: unknown
    this.#depth++
    try {
      answer = method(...given)
    } catch (error) {
      this.#depth--
      this.#note(entry.thrown).value(errorOf(error))
      throw error
    }
    this.#depth--
    if (call.promise) return this.#promised(call, answer as Promise<unknown>, lent, own, part)
    const { logged, given: mine } = this.#fromOutside(call.answer, answer, part)
    this.#note(entry.answer).value(logged)
    if (call.filled !== undefined && call.filled !== 'ok') this.#filled(call, answer, lent, own)
    return mine
  }

  /** Gives the part what was filled, and writes it down. */
  #filled(call: Call, answer: unknown, lent: Lent, own: Uint8Array): void {
    const filled = own.subarray(0, Math.max(0, filledBy(call.filled ?? 'whole', answer, own.length)))
    lent.fill(filled)
    this.#log.bytes(filled)
  }

  /** A value of a part, for the outside. Buffers are our own, which nobody sees before it is time. */
  #fromInside(argument: Argument, value: unknown, call: Call, lent: Lent, own: Uint8Array, part: string): unknown {
    switch (argument) {
      case 'plain':
        return value
      case 'object':
        return this.#real.get(value as object) ?? value
      case 'buffer':
        return own
      case 'buffers':
        return [own]
    }
    const id = this.#callbacks++
    const tell = (member: number, answers: readonly Answer[], method: Method) => (...args: readonly unknown[]): void => {
      if (this.#over) {
        if (call.filled === 'ok') lent.fill(own.subarray(0, filledBy('ok', args[0], own.length)))
        method(...args)
        return
      }
      // Only in a delivery, or in answer to a call: it is not for us to say that a backend may do no other.
      this.#place()
      const values = answers.map((answer, place) => this.#fromOutside(answer, args[place], part))
      const log = this.#note(entry.told)
      log.count(id)
      log.count(member)
      for (const { logged } of values) log.value(logged)
      if (call.filled === 'ok') this.#filled(call, args[0], lent, own)
      this.#depth++
      try {
        method(...values.map(({ given }) => given))
      } finally {
        this.#depth--
        this.#note(entry.toldEnd)
      }
    }
    return callbacksOf(argument, value, tell)
  }

  /** A promise that settles when the log says so: one at a time, and nothing else happens until all that comes of it has. */
  #promised(call: Call, real: Promise<unknown>, lent: Lent, own: Uint8Array, part: string): Promise<unknown> {
    const id = this.#promises++
    this.#note(entry.answer)
    return new Promise((resolve, reject) => {
      const settle = (write: () => void, then: () => void): void => {
        this.#settled.push(() => {
          if (!this.#over) {
            this.#place()
            this.#note(entry.settled).count(id)
            write()
          }
          then()
          this.#drain.begin(this.#taped)
        })
        this.#release()
      }
      real.then((value) => {
        let given: unknown = value
        settle(() => {
          const answer = this.#fromOutside(call.answer, value, part)
          given = answer.given
          this.#log.u8(1)
          this.#log.value(answer.logged)
          if (call.filled !== undefined) this.#filled(call, value, lent, own)
        }, () => {
          if (this.#over && call.filled !== undefined) lent.fill(own)
          resolve(given)
        })
      }, (error: unknown) => {
        settle(() => {
          this.#log.u8(0)
          this.#log.value(errorOf(error))
        }, () => { reject(error instanceof Error ? error : new Error(String(error))) })
      })
    })
  }

  #release(): void {
    if (this.#releasing) return
    this.#releasing = true
    this.#taped.soon(() => {
      this.#releasing = false
      if (!this.#drain.busy && !this.#taped.slicing) this.#settled.shift()?.()
      if (this.#settled.length > 0) this.#release()
    })
  }

  top(): boolean {
    if (this.#over) return true
    const machine = this.#taped
    this.#passTime()
    this.#catchUp()
    if (this.#drain.busy) return false
    const { retired } = machine.moment
    if (retired >= this.#nextCheck) {
      if (this.#nextCheck > 0) this.#check(retired >= this.#nextMemoryCheck)
      this.#nextCheck = retired + this.#checkEvery
      if (this.#nextMemoryCheck <= retired) this.#nextMemoryCheck = retired + this.#checkMemoryEvery
      this.#flush()
    } else if (this.#log.length > GATHERED) this.#flush()
    return true
  }

  /** Writes down how much time has passed while all harts waited. */
  #passTime(): void {
    const idle = this.#idle
    this.#idle = null
    if (idle === null) return
    const machine = this.#taped
    const to = Math.min(idle.until, Math.floor(idle.from + machine.hostNow - idle.host))
    if (!(to > machine.now)) return
    this.#place()
    this.#note(entry.time).f64(to)
    machine.jump(to)
  }

  idle(until: number): boolean {
    if (this.paced && !this.#over) this.#idle ??= { host: this.#taped.hostNow, from: this.#taped.now, until }
    return false
  }

  #check(memory: boolean): void {
    const machine = this.#taped
    this.#place()
    const log = this.#note(entry.hash)
    log.u8(memory ? 1 : 0)
    for (const word of [...this.#said.value, ...machine.stateSum(), ...memory ? machine.memorySum() : []]) log.u32(word)
  }

  #flush(): void {
    // Whoever reads no further than this knows when that is.
    this.#place()
    if (this.#log.length === 0) return
    try {
      this.#sink.write(this.#log.take())
    } catch (error) {
      this.#over = true
      this.#taped.fail('recording', error instanceof Error ? error : new Error(String(error)))
    }
  }

  #host(act: number, status?: number): void {
    if (this.#over) return
    this.#place()
    const log = this.#note(entry.host)
    log.u8(act)
    if (status !== undefined) log.value(status)
  }

  started(): void {
    this.#host(hostAct.start)
  }

  reset(): void {
    this.#outside(() => {
      this.#host(hostAct.reset)
      this.#taped.reset()
    })
  }

  powerOff(status: number): void {
    // In the middle of a turn it ends that, and the log with it.
    if (this.#depth === 0 && this.#taped.slicing) return
    this.#host(hostAct.off, status)
    this.#switchedOff = true
  }

  hold(): void {
    this.#outside(() => { this.#host(hostAct.hold) })
  }

  release(): void {
    this.#outside(() => { this.#host(hostAct.release) })
  }

  failed(error: Error): Error {
    return error
  }

  off(status: number): void {
    this.#end(stopKind.off, status)
  }

  /** Ends the recording; the machine goes on. */
  stop(): void {
    this.#outside(() => { this.#end(stopKind.stopped, 0) })
  }

  close(): void {
    this.#end(stopKind.stopped, 0)
  }

  #end(kind: number, status: number): void {
    if (this.#over) return
    // In the middle of a turn that a debugger stopped there is no end: the log is cut off before it.
    if (this.#switchedOff || !this.#taped.slicing) {
      this.#check(true)
      const log = this.#note(entry.stop)
      log.u8(kind)
      log.value(status)
      this.#flush()
    }
    this.#over = true
    this.#sink.end()
  }
}
