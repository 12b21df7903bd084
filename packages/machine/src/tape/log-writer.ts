import { machinistError } from '@machinist/api'

/** Kinds of values in a log. */
export const tag = {
  undefined: 0, null: 1, false: 2, true: 3, positive: 4, negative: 5, number: 6, bigint: 7, text: 8, bytes: 9, list: 10, record: 11, object: 12,
} as const

/** Deeper data is refused, by readers too. */
export const MOST_DEPTH = 32

const FIRST = 65536

/** Something outside, as a log has it: its shape, its number, and which of the shape's members it has, a bit for each. */
export class LogObject {
  readonly shape: number
  readonly id: number
  readonly members: number

  constructor(shape: number, id: number, members: number) {
    this.shape = shape
    this.id = id
    this.members = members
  }
}

/** Bytes that are appended to. */
export class LogWriter {
  #bytes: Uint8Array = new Uint8Array(FIRST)
  #view: DataView = new DataView(this.#bytes.buffer)
  length = 0

  /** What was written, which is forgotten. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.length)
    this.length = 0
    return bytes
  }

  #room(count: number): void {
    if (this.length + count <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count))
    larger.set(this.#bytes.subarray(0, this.length))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }

  u8(value: number): void {
    this.#room(1)
    this.#bytes[this.length++] = value
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.length, value, true)
    this.length += 4
  }

  f64(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  /** An integer from 0 to 2^53 − 1: seven bits in each byte, the lowest first, and 128 in all but the last (LEB128). */
  count(value: number): void {
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.u8((rest % 128) + 128)
    this.u8(rest)
  }

  bytes(bytes: Uint8Array): void {
    this.count(bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** In units of UTF-16. */
  text(text: string): void {
    this.count(text.length)
    for (let i = 0; i < text.length; i++) this.count(text.charCodeAt(i))
  }

  /** Plain data, and {@link LogObject}s. @throws a typed error `'record-data'` for other things */
  value(value: unknown, depth: number = 0): void {
    if (depth > MOST_DEPTH) throw notPlain('too deep')
    switch (typeof value) {
      case 'undefined':
        return this.u8(tag.undefined)
      case 'boolean':
        return this.u8(value ? tag.true : tag.false)
      case 'number':
        return this.#number(value)
      case 'bigint':
        this.u8(tag.bigint)
        return this.text(String(value))
      case 'string':
        this.u8(tag.text)
        return this.text(value)
      case 'object':
        return this.#object(value, depth)
      default:
        throw notPlain(typeof value)
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.u8(tag.number)
      this.f64(value)
    } else {
      this.u8(value < 0 ? tag.negative : tag.positive)
      this.count(Math.abs(value))
    }
  }

  #object(value: object | null, depth: number): void {
    if (value === null) return this.u8(tag.null)
    if (value instanceof Uint8Array) {
      this.u8(tag.bytes)
      return this.bytes(value)
    }
    if (value instanceof LogObject) {
      this.u8(tag.object)
      this.count(value.shape)
      this.count(value.id)
      return this.count(value.members)
    }
    if (Array.isArray(value)) {
      this.u8(tag.list)
      this.count(value.length)
      for (const each of value) this.value(each, depth + 1)
      return
    }
    const entries = Object.entries(value)
    this.u8(tag.record)
    this.count(entries.length)
    for (const [key, each] of entries) {
      this.text(key)
      this.value(each, depth + 1)
    }
  }
}

function notPlain(value: string): Error {
  return machinistError({ code: 'record-data', part: 'recording', value, remedy: 'Give plain data: numbers, bigints, texts, bytes, lists and objects.' }, 'a backend gave what cannot be recorded')
}
