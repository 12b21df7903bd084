import { machinistError } from '@machinist/api'
import { decodeUtf8, encodeUtf8 } from '@machinist/boot'

/** Deeper data is refused. */
const MOST_DEPTH = 64
/** Most values in one message, so that few bytes do not become a lot of memory. */
const MOST_VALUES: number = 1 << 20
/** Most bytes of a bigint: more would take long to convert. */
const MOST_BIGINT = 1024
/** Characters that are put together at once. */
const PIECE = 1024
/** Major types of CBOR (RFC 8949, 3.1), and simple values (3.3). */
const major = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const
const simple = { false: 20, true: 21, null: 22, undefined: 23, float16: 25, float32: 26, float64: 27 } as const
/** Tags of bignums (RFC 8949, 3.4.3). */
const bignum = { positive: 2, negative: 3 } as const

function refuse(problem: string, value?: string | number): never {
  throw machinistError({ code: 'message', part: 'message', value, remedy: 'Send plain data: numbers, bigints, texts, bytes, lists and objects.' }, problem)
}

class Writer {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #length = 0
  #values = 0

  get result(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Makes room; returns where it is. */
  #take(length: number): number {
    const at = this.#length
    if (at + length > this.#bytes.length) {
      const more = new Uint8Array(Math.max(2 * this.#bytes.length, at + length))
      more.set(this.result)
      this.#bytes = more
      this.#view = new DataView(more.buffer)
    }
    this.#length += length
    return at
  }

  /** The first byte, and an argument (RFC 8949, 3). */
  #head(type: number, argument: number): void {
    const first = type << 5
    if (argument < 24) {
      const at = this.#take(1)
      this.#view.setUint8(at, first | argument)
    } else if (argument < 2 ** 8) {
      const at = this.#take(2)
      this.#view.setUint16(at, (first | 24) << 8 | argument)
    } else if (argument < 2 ** 16) {
      const at = this.#take(3)
      this.#view.setUint8(at, first | 25)
      this.#view.setUint16(at + 1, argument)
    } else if (argument < 2 ** 32) {
      const at = this.#take(5)
      this.#view.setUint8(at, first | 26)
      this.#view.setUint32(at + 1, argument)
    } else {
      const at = this.#take(9)
      this.#view.setUint8(at, first | 27)
      this.#view.setBigUint64(at + 1, BigInt(argument))
    }
  }

  #put(type: number, bytes: Uint8Array): void {
    this.#head(type, bytes.length)
    const at = this.#take(bytes.length)
    this.#bytes.set(bytes, at)
  }

  /** Most texts are ASCII, whose bytes are known at once. */
  #text(text: string): void {
    const start = this.#length
    this.#head(major.text, text.length)
    const at = this.#take(text.length)
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (unit >= 0x80) {
        this.#length = start
        this.#put(major.text, encodeUtf8(text))
        return
      }
      this.#bytes[at + index] = unit
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0) this.#head(major.unsigned, value)
      else this.#head(major.negative, -1 - value)
      return
    }
    const at = this.#take(9)
    this.#view.setUint8(at, major.simple << 5 | simple.float64)
    this.#view.setFloat64(at + 1, value)
  }

  #bigint(value: bigint): void {
    const digits = (value >= 0n ? value : -1n - value).toString(16)
    const even = digits.length % 2 === 0 ? digits : `0${digits}`
    if (even.length / 2 > MOST_BIGINT) refuse('a bigint is too long', even.length / 2)
    this.#head(major.tag, value >= 0n ? bignum.positive : bignum.negative)
    this.#put(major.bytes, Uint8Array.from({ length: even.length / 2 }, (_, index) => parseInt(even.slice(2 * index, 2 * index + 2), 16)))
  }

  value(value: unknown, depth: number = 0): void {
    if (depth > MOST_DEPTH) refuse('it is too deep', MOST_DEPTH)
    if (++this.#values > MOST_VALUES) refuse('it has too many values', MOST_VALUES)
    switch (typeof value) {
      case 'number': return this.#number(value)
      case 'bigint': return this.#bigint(value)
      case 'string': return this.#text(value)
      case 'boolean': return this.#head(major.simple, value ? simple.true : simple.false)
      case 'undefined': return this.#head(major.simple, simple.undefined)
      case 'object': break
      default: refuse('it is no plain data', typeof value)
    }
    if (value === null) return this.#head(major.simple, simple.null)
    if (value instanceof Uint8Array) return this.#put(major.bytes, value)
    if (Array.isArray(value)) {
      this.#head(major.array, value.length)
      for (const each of value as readonly unknown[]) this.value(each, depth + 1)
      return
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) refuse('it is no plain data', Object.prototype.toString.call(value))
    const entries: [string, unknown][] = Object.entries(value as Readonly<Record<string, unknown>>)
    this.#head(major.map, entries.length)
    for (const [key, each] of entries) {
      this.#text(key)
      this.value(each, depth + 1)
    }
  }
}

/**
 * Plain data as bytes: the part of CBOR (RFC 8949) that it needs. Numbers that are safe integers are integers there, others floating point of 64 bits; a bigint is always a bignum, so that it comes
 * back as one.
 *
 * @throws a typed error `'message'` for what is not plain data, or is too deep or has too many values
 */
export function encodeCbor(value: unknown): Uint8Array {
  const writer = new Writer()
  writer.value(value)
  return writer.result
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #values = 0

  constructor(bytes: Uint8Array) {
    // Whatever class it is of: that of Node.js cuts without copying.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get rest(): number {
    return this.#bytes.length - this.#at
  }

  #take(length: number): number {
    if (length > this.rest) refuse('it ends too early', this.#bytes.length)
    const at = this.#at
    this.#at += length
    return at
  }

  /** The argument behind the first byte (RFC 8949, 3); a bigint when it is no safe integer. */
  #argument(info: number): number | bigint {
    if (info < 24) return info
    switch (info) {
      case 24: return this.#view.getUint8(this.#take(1))
      case 25: return this.#view.getUint16(this.#take(2))
      case 26: return this.#view.getUint32(this.#take(4))
      case 27: {
        const value = this.#view.getBigUint64(this.#take(8))
        return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
      }
      default: return refuse('it has a length that is not known before', info)
    }
  }

  /** Each byte or value takes at least a byte, so that nobody is told of more than came. */
  #length(info: number, least: number): number {
    const length = this.#argument(info)
    return typeof length === 'number' && length * least <= this.rest ? length : refuse('it ends too early', String(length))
  }

  #slice(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.slice(at, at + length)
  }

  #text(length: number): string {
    const bytes = this.#slice(length)
    if (!bytes.every((byte) => byte < 0x80)) return decodeUtf8(bytes)
    let text = ''
    for (let at = 0; at < length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE))
    return text
  }

  #simple(info: number): unknown {
    switch (info) {
      case simple.false: return false
      case simple.true: return true
      case simple.null: return null
      case simple.undefined: return undefined
      case simple.float16: return half(this.#view.getUint16(this.#take(2)))
      case simple.float32: return this.#view.getFloat32(this.#take(4))
      case simple.float64: return this.#view.getFloat64(this.#take(8))
      default: return refuse('it has a value that is not known', info)
    }
  }

  #bigint(tag: number | bigint): bigint {
    if (tag !== bignum.positive && tag !== bignum.negative) refuse('it has a tag that is not known', String(tag))
    const first = this.#view.getUint8(this.#take(1))
    if (first >> 5 !== major.bytes) refuse('a bigint is no bytes')
    const bytes = this.#slice(this.#length(first & 31, 1))
    if (bytes.length > MOST_BIGINT) refuse('a bigint is too long', bytes.length)
    const value = BigInt(`0x0${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`)
    return tag === bignum.positive ? value : -1n - value
  }

  #key(): string {
    const first = this.#view.getUint8(this.#take(1))
    if (first >> 5 !== major.text) refuse('a key is no text')
    return this.#text(this.#length(first & 31, 1))
  }

  #map(length: number, depth: number): unknown {
    const entries: [string, unknown][] = []
    for (let index = 0; index < length; index++) entries.push([this.#key(), this.value(depth + 1)])
    // `__proto__` becomes a key like others.
    const object = Object.fromEntries(entries)
    return Object.keys(object).length === length ? object : refuse('a key stands there twice')
  }

  value(depth: number = 0): unknown {
    if (depth > MOST_DEPTH) refuse('it is too deep', MOST_DEPTH)
    if (++this.#values > MOST_VALUES) refuse('it has too many values', MOST_VALUES)
    const first = this.#view.getUint8(this.#take(1))
    const info = first & 31
    switch (first >> 5) {
      case major.unsigned: return this.#argument(info)
      case major.negative: {
        const argument = this.#argument(info)
        return argument === Number.MAX_SAFE_INTEGER || typeof argument === 'bigint' ? -1n - BigInt(argument) : -1 - argument
      }
      case major.bytes: return this.#slice(this.#length(info, 1))
      case major.text: return this.#text(this.#length(info, 1))
      case major.array: {
        const length = this.#length(info, 1)
        const list: unknown[] = []
        for (let index = 0; index < length; index++) list.push(this.value(depth + 1))
        return list
      }
      case major.map: return this.#map(this.#length(info, 2), depth)
      case major.tag: return this.#bigint(this.#argument(info))
      default: return this.#simple(info)
    }
  }
}

/** A floating point number of 16 bits (IEEE 754). */
function half(bits: number): number {
  const exponent = bits >> 10 & 31
  const fraction = bits & 1023
  const size = exponent === 31 ? fraction === 0 ? Infinity : NaN : exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits >> 15 === 1 ? -size : size
}

/**
 * What {@link encodeCbor} was given, or another program's CBOR that has nothing else. Lengths must be known before (no indefinite ones), keys be texts that stand there once.
 *
 * @param bytes - from anywhere
 * @throws a typed error `'message'`
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value()
  return reader.rest === 0 ? value : refuse('something stands behind it', reader.rest)
}
