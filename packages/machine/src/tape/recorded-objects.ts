import { filledBy, type Lent, lentIn } from './buffers.ts'
import { callbacksOf, errorOf, isEqual, say } from './crossing.ts'
import { Checksum } from './digest.ts'
import { LogObject } from './log-writer.ts'
import type { RecordedOrder } from './recorded-order.ts'
import { type Answer, type Argument, type Call, type Callbacks, type Filling, membersOf, type ShapeName, shapeNames, shapes } from './shapes.ts'
import { entry } from './tape.ts'

type Method = (...args: readonly unknown[]) => unknown
type Outside = Readonly<Record<string, unknown>> | Method

/** What of the outside crosses into a machine that is recorded, and back: objects, calls, callbacks, promises and buffers. */
export class RecordedObjects {
  readonly #order: RecordedOrder
  /** What parts have said. */
  readonly said: Checksum = new Checksum()
  #objects = 0
  #callbacks = 0
  #promises = 0
  /** What devices were given, and what it stands for. */
  readonly #real = new WeakMap<object, unknown>()

  constructor(order: RecordedOrder) {
    this.#order = order
  }

  /** An object or function of the outside for a part, and how the log calls it. */
  object(name: ShapeName, outside: unknown, part: string): { readonly logged: LogObject; readonly given: object } {
    const real = outside as Outside
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
      if (value !== undefined) Object.defineProperty(given, member, { enumerable: true, get: this.#value(id, index, value, real as Readonly<Record<string, unknown>>, member, part) })
      else if (call !== undefined) {
        const method: Method = (...args) => (real as Readonly<Record<string, Method>>)[member]?.(...args)
        Object.defineProperty(given, member, { enumerable: true, value: (...args: readonly unknown[]) => this.#call(id, index, call, method, args, part) })
      }
    }
    if (name === 'files') {
      Object.defineProperty(given, 'settle', { value: (work: Promise<unknown>, done: (outcome: unknown) => void) => { this.#order.drain.settle(this.#order.machine, part, work, done) } })
    }
    this.#real.set(given, real)
    return { logged: new LogObject(shapeNames.indexOf(name), id, members), given }
  }

  /** A value of the outside, for the log and for a part. */
  #fromOutside(answer: Answer, value: unknown, part: string): { readonly logged: unknown; readonly given: unknown } {
    if (answer === 'plain' || typeof value !== 'object' && typeof value !== 'function' || value === null) return { logged: value, given: value }
    if ('object' in answer) return this.object(answer.object, value, part)
    const logged: Record<string, unknown> = { ...value }
    const given: Record<string, unknown> = { ...value }
    for (const [field, name] of Object.entries(answer.fields)) {
      const each = this.object(name, given[field], part)
      logged[field] = each.logged
      given[field] = each.given
    }
    return { logged, given }
  }

  /** A value is written down when it has changed. */
  #value(id: number, index: number, answer: Answer, real: Readonly<Record<string, unknown>>, member: string, part: string): () => unknown {
    let known = false
    let last: unknown
    let given: unknown
    return () => {
      const now = real[member]
      if (known && (now === last || isEqual(now, last))) return given
      if (this.#order.over) return now
      known = true
      last = now
      const { logged, given: mine } = this.#fromOutside(answer, now, part)
      given = mine
      const log = this.#order.note(entry.value)
      log.count(id)
      log.count(index)
      log.value(logged)
      return given
    }
  }

  #call(id: number, index: number, call: Call, method: Method, args: readonly unknown[], part: string): unknown {
    const order = this.#order
    if (order.over) return method(...args.map((each, place) => (call.args[place] === 'object' ? this.#real.get(each as object) ?? each : each)))
    const log = order.note(entry.call)
    log.count(id)
    log.count(index)
    const lent = lentIn(call, args)
    const own = lent.length > 0 ? lent.copy() : new Uint8Array()
    const given = args.map((each, place) => this.#fromInside(call.args[place] ?? 'plain', each, call, lent, own, part))
    say(this.said, id, index, call, args)
    let answer: unknown
    try {
      answer = order.within(() => method(...given))
    } catch (error) {
      log.u8(entry.thrown)
      log.value(errorOf(error))
      throw error
    }
    log.u8(entry.answer)
    if (call.promise) return this.#promise(call, answer as Promise<unknown>, lent, own, part)
    const { logged, given: mine } = this.#fromOutside(call.answer, answer, part)
    log.value(logged)
    if (call.filled !== undefined && call.filled !== 'ok') this.#fill(call.filled, answer, lent, own)
    return mine
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
    return this.#told(argument, value, call, lent, own, part)
  }

  /** What a part gave to be called, for the outside. */
  #told(callbacks: Callbacks, value: unknown, call: Call, lent: Lent, own: Uint8Array, part: string): unknown {
    const order = this.#order
    const id = this.#callbacks++
    const tell = (member: number, answers: readonly Answer[], method: Method) => (...args: readonly unknown[]): void => {
      if (order.over) {
        if (call.filled === 'ok') lent.fill(own.subarray(0, filledBy('ok', args[0], own.length)))
        method(...args)
        return
      }
      // Only in a delivery, or in answer to a call: it is not for us to say that a backend may do no other.
      const values = answers.map((answer, place) => this.#fromOutside(answer, args[place], part))
      const log = order.note(entry.told)
      log.count(id)
      log.count(member)
      for (const { logged } of values) log.value(logged)
      if (call.filled === 'ok') this.#fill('ok', args[0], lent, own)
      try {
        order.within(() => method(...values.map(({ given }) => given)))
      } finally {
        log.u8(entry.toldEnd)
      }
    }
    return callbacksOf(callbacks, value, tell)
  }

  /** A promise that settles when the log says so. */
  #promise(call: Call, real: Promise<unknown>, lent: Lent, own: Uint8Array, part: string): Promise<unknown> {
    const order = this.#order
    const id = this.#promises++
    return new Promise((resolve, reject) => {
      real.then((value) => {
        order.settle(() => {
          if (order.over) {
            if (call.filled !== undefined) lent.fill(own.subarray(0, Math.max(0, filledBy(call.filled, value, own.length))))
            return resolve(value)
          }
          const log = order.note(entry.settled)
          log.count(id)
          const { logged, given } = this.#fromOutside(call.answer, value, part)
          log.u8(1)
          log.value(logged)
          if (call.filled !== undefined) this.#fill(call.filled, value, lent, own)
          resolve(given)
        })
      }, (error: unknown) => {
        order.settle(() => {
          if (!order.over) {
            const log = order.note(entry.settled)
            log.count(id)
            log.u8(0)
            log.value(errorOf(error))
          }
          reject(error instanceof Error ? error : new Error(String(error)))
        })
      })
    })
  }

  /** Gives the part what was filled, and writes it down. */
  #fill(filling: Filling, answer: unknown, lent: Lent, own: Uint8Array): void {
    const filled = own.subarray(0, Math.max(0, filledBy(filling, answer, own.length)))
    lent.fill(filled)
    this.#order.log.bytes(filled)
  }
}
