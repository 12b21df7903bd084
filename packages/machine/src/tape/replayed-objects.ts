import { filledBy, type Lent, lentIn } from './buffers.ts'
import { errorFrom, say } from './crossing.ts'
import { Checksum } from './digest.ts'
import { notALog } from './log-reader.ts'
import { LogObject } from './log-writer.ts'
import type { ReplayedOrder } from './replayed-order.ts'
import { type Answer, type Call, type Callbacks, type Filling, membersOf, type ShapeName, shapeNames, shapes } from './shapes.ts'
import { entry } from './tape.ts'

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

/** What there is of objects at a place. */
export interface ObjectsPlace {
  /** How many have been given. */
  readonly objects: number
  readonly callbacks: number
  readonly promises: number
  readonly known: readonly Known[]
  /** By the call that gave it, the number of what a part gave to be called again and again, since it was made. */
  readonly given: ReadonlyMap<string, number>
  readonly said: Checksum
  readonly values: ReadonlyMap<string, unknown>
}

/** An object: the part that has it, what it is, and which members it has. */
interface Known {
  readonly part: string
  readonly shape: ShapeName
  readonly members: number
}

/** The number of each object, whichever replay it stands for it in. */
const numbers = new WeakMap<object, number>()

type Method = (...args: readonly unknown[]) => unknown

/** What an object answers that has nothing to say. `taken`: bytes that it takes, where it is given some. */
function silence(call: Call, member: string, taken: number): unknown {
  if (call.promise) return new Promise(() => {})
  if (call.filled === 'count') return 0
  return member === 'write' ? taken : member === 'receive' ? null : undefined
}

/** What a part gave to be called. */
interface Given {
  /** The call that gave it. */
  readonly by: string
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

/** What of the outside crosses into a machine that is replayed, and back, though nobody is there: objects, calls, callbacks, promises and buffers. */
export class ReplayedObjects {
  readonly #order: ReplayedOrder
  readonly #onSay: ((saying: Saying) => void) | undefined
  #said = new Checksum()
  #objects = 0
  #callbacks = 0
  #promises = 0
  /** Each object that was ever given. */
  #known: Known[] = []
  /** Those that there are when the machine is made, and those that were made anew at a place. */
  readonly #standing = new Map<number, object>()
  /** Values of objects, as `id.member`. */
  readonly #values = new Map<string, unknown>()
  readonly #given = new Map<number, Given>()
  readonly #promised = new Map<number, Promised>()
  /** Callbacks that there are as soon as the machine is made; null before that. */
  #made: number | null = null
  #thrown: Error | null = null
  /** The machine gets the state that it has at a place, and what it gave to be called by then: what parts do to ports is none of the run. */
  #resuming: ReadonlyMap<string, number> | null = null

  constructor(order: ReplayedOrder, onSay?: (saying: Saying) => void) {
    this.#order = order
    this.#onSay = onSay
  }

  /** What parts have said. */
  get said(): Checksum {
    return this.#said
  }

  /** The parts are made. */
  assembled(): void {
    this.#made = this.#callbacks
  }

  /** What there is; null while something is under way. */
  get place(): ObjectsPlace | null {
    if (this.#promised.size > 0 || [...this.#given.values()].some(({ callbacks: { once } }) => once)) return null
    const later = [...this.#given].filter(([id]) => id >= (this.#made ?? 0))
    return {
      objects: this.#objects, callbacks: this.#callbacks, promises: this.#promises, known: this.#known, given: new Map(later.map(([id, { by }]) => [by, id])), said: this.#said.copy(), values: new Map(this.#values),
    }
  }

  /** Goes on from a place; `restore` gives the machine its state, and parts what they had. */
  resume(place: ObjectsPlace, restore: (standsFor: <T extends object>(object: T) => T) => void): void {
    // It is only ever added to.
    this.#known = place.known.slice(0, place.objects)
    this.#objects = place.objects
    this.#values.clear()
    for (const [key, value] of place.values) this.#values.set(key, this.#inValue(value))
    this.#resuming = place.given
    restore((object) => this.#standsFor(object))
    this.#resuming = null
    this.#callbacks = place.callbacks
    this.#promises = place.promises
    this.#said = place.said.copy()
  }

  /** An object or function that stands for one of the outside. */
  object(name: ShapeName, described: unknown, part: string): object {
    const id = this.#objects++
    if (!(described instanceof LogObject) || shapeNames[described.shape] !== name || described.id !== id) throw notALog('it has another thing than can be')
    this.#known.push({ part, shape: name, members: described.members })
    return this.#make(id)
  }

  /** What stands here for what stood for an object in another replay. */
  #standsFor<T extends object>(object: T): T {
    const id = numbers.get(object)
    return id === undefined || id >= this.#objects ? object : (this.#standing.get(id) ?? this.#make(id)) as T
  }

  #inValue(value: unknown): unknown {
    return typeof value === 'object' && value !== null || typeof value === 'function' ? this.#standsFor(value) : value
  }

  #make(id: number): object {
    const known = this.#known[id]
    if (known === undefined) throw notALog('it has no such object')
    const object = this.#objectOf(id, known)
    numbers.set(object, id)
    // Others are made again where a part still has them.
    if (this.#made === null || this.#resuming !== null) this.#standing.set(id, object)
    return object
  }

  #objectOf(id: number, { part, shape: name, members }: Known): object {
    const shape = shapes[name]
    const whole = shape.calls['']
    if (whole !== undefined) return (...args: readonly unknown[]) => this.#call(id, 0, name, '', whole, args, part)
    const object = {}
    for (const [index, member] of membersOf(shape).entries()) {
      if (Math.floor(members / 2 ** index) % 2 === 0) continue
      const call = shape.calls[member]
      if (call === undefined) Object.defineProperty(object, member, { enumerable: true, get: () => this.#value(id, index, part) })
      else Object.defineProperty(object, member, { enumerable: true, value: (...args: readonly unknown[]) => this.#call(id, index, name, member, call, args, part) })
    }
    if (name === 'files') {
      Object.defineProperty(object, 'settle', { value: (work: Promise<unknown>, done: (outcome: unknown) => void) => { this.#order.drain.settle(this.#order.machine, part, work, done) } })
    }
    return object
  }

  /** A value from outside, as the log has it. */
  #fromOutside(answer: Answer, value: unknown, part: string): unknown {
    if (answer === 'plain' || value === null || value === undefined) return value
    if ('object' in answer) return this.object(answer.object, value, part)
    if (typeof value !== 'object') return value
    return { ...value, ...Object.fromEntries(Object.entries(answer.fields).map(([field, name]) => [field, this.object(name, (value as Readonly<Record<string, unknown>>)[field], part)])) }
  }

  #value(id: number, index: number, part: string): unknown {
    // A change is written down when somebody looks: that may be now.
    if (!this.#order.over && this.#resuming === null) this.#order.reading(part, () => { this.#changed() })
    return this.#values.get(`${id}.${index}`)
  }

  /** Takes changes of values that are due. */
  #changed(): void {
    while (this.#order.next() === entry.value) this.#order.apply(entry.value)
  }

  /** Entry `value`: a value is another one. */
  change(): void {
    const { log } = this.#order
    const id = log.count()
    const index = log.count()
    const known = this.#known[id]
    const answer = known === undefined ? undefined : Object.values(shapes[known.shape].values)[index]
    if (known === undefined || answer === undefined) throw notALog('it has no such value')
    this.#values.set(`${id}.${index}`, this.#fromOutside(answer, log.value(), known.part))
  }

  #call(id: number, index: number, shape: ShapeName, member: string, call: Call, args: readonly unknown[], part: string): unknown {
    if (this.#resuming !== null) this.#giveAgain(`${id}.${index}`, call, args, part)
    if (this.#order.over || this.#resuming !== null) return silence(call, member, this.#resuming === null ? (args[0] as Uint8Array | undefined)?.length ?? 0 : 0)
    return this.#order.reading(part, () => {
      this.#changed()
      const got = `${member} of ${part}`
      const log = this.#order.expect(part, entry.call, () => got)
      const [recorded, number] = [log.count(), log.count()]
      if (recorded !== id || number !== index) throw this.#order.differs(part, this.callOf(recorded, () => number), got)
      const lent = lentIn(call, args)
      for (const [place, value] of args.entries()) {
        const callbacks = call.args[place]
        if (typeof callbacks === 'object') this.#given.set(this.#callbacks++, { by: `${id}.${index}`, callbacks, value, call, lent, part })
      }
      say(this.#said, id, index, call, args)
      if (this.#order.until(entry.answer, entry.thrown) === entry.thrown) throw errorFrom(log.value())
      if (call.promise) return this.#promise(call, lent, part)
      const answer = this.#fromOutside(call.answer, log.value(), part)
      if (call.filled !== undefined && call.filled !== 'ok') this.#fill(call.filled, answer, lent)
      this.#onSay?.({ part, kind: shape, member, args, answer })
      return answer
    })
  }

  /** A part goes on with what it had, and gives again what is to be called. */
  #giveAgain(by: string, call: Call, args: readonly unknown[], part: string): void {
    const number = this.#resuming?.get(by)
    if (number === undefined) return
    for (const [place, value] of args.entries()) {
      const callbacks = call.args[place]
      if (typeof callbacks === 'object') this.#given.set(number, { by, callbacks, value, call, lent: lentIn(call, args), part })
    }
  }

  /** A promise that settles when the log says so. */
  #promise(call: Call, lent: Lent, part: string): Promise<unknown> {
    return new Promise((resolve, reject) => { this.#promised.set(this.#promises++, { call, lent, part, resolve, reject }) })
  }

  /** What is called, for people. `member` is asked for only where there is such an object. */
  callOf(id: number, member: () => number): string {
    const known = this.#known[id]
    return known === undefined ? 'nothing' : `${membersOf(shapes[known.shape])[member()] ?? '?'} of ${known.part}`
  }

  /** Entry `told`: what a part gave is called. */
  tell(): void {
    const { log } = this.#order
    const id = log.count()
    const index = log.count()
    const given = this.#given.get(id)
    const [name, answers] = Object.entries(given?.callbacks.members ?? {})[index] ?? []
    if (given === undefined || name === undefined || answers === undefined) throw notALog('it calls what is not there')
    const { part, callbacks, call, lent } = given
    const args = answers.map((answer) => this.#fromOutside(answer, log.value(), part))
    if (call.filled === 'ok') this.#fill('ok', args[0], lent)
    if (callbacks.once) this.#given.delete(id)
    const method = (name === '' ? given.value : (given.value as Readonly<Record<string, unknown>>)[name]) as Method | undefined
    this.#order.within(() => {
      try {
        method?.call(given.value, ...args)
      } catch (error) {
        if (this.#order.over) throw error
        this.#thrown = error instanceof Error ? error : new Error(String(error))
      }
    })
    this.#order.until(entry.toldEnd)
  }

  /** What a part threw when it was called, unless somebody has taken it. Whether the delivery ended with it, the log says. */
  takeThrown(): Error | null {
    const thrown = this.#thrown
    this.#thrown = null
    return thrown
  }

  /** Entry `settled`: a promise has its value, or its error. */
  settle(): void {
    const { log } = this.#order
    const id = log.count()
    const promised = this.#promised.get(id)
    if (promised === undefined) throw notALog('it has no such promise')
    this.#promised.delete(id)
    const { call, lent, part, resolve, reject } = promised
    if (log.u8() === 1) {
      const value = this.#fromOutside(call.answer, log.value(), part)
      if (call.filled !== undefined) this.#fill(call.filled, value, lent)
      resolve(value)
    } else reject(errorFrom(log.value()))
    this.#order.drain.begin(this.#order.machine)
  }

  /** Gives the part what was filled. */
  #fill(filling: Filling, answer: unknown, lent: Lent): void {
    const bytes = this.#order.log.bytes()
    if (bytes.length !== filledBy(filling, answer, lent.length)) throw notALog('it fills a buffer that has another size')
    lent.fill(bytes)
  }
}
