/**
 * What tests use of a host, by themselves, and packages do not have: only test files see these. Time passes when nothing else is to be done.
 */
interface Waiting {
  readonly at: number
  readonly order: number
  readonly call: () => void
}

let now = 0
let order = 0
let waiting: Waiting[] = []

/** Goes on to the next thing that waits for time to pass; false when there is none. */
export function due(): boolean {
  const [first] = waiting
  if (first === undefined) return false
  const next = waiting.reduce((best, each) => (each.at < best.at || (each.at === best.at && each.order < best.order) ? each : best), first)
  waiting = waiting.filter((each) => each !== next)
  now = Math.max(now, next.at)
  next.call()
  return true
}

type Call = (...values: unknown[]) => void

export function setTimeout(call: Call, ms: number = 0, ...values: unknown[]): Waiting {
  const entry = { at: now + Math.max(ms, 0), order: order++, call: () => { call(...values) } }
  waiting.push(entry)
  return entry
}

export function clearTimeout(entry: Waiting | undefined): void {
  waiting = waiting.filter((each) => each !== entry)
}

export const setImmediate = (call: Call, ...values: unknown[]): Waiting => setTimeout(call, 0, ...values)
export const clearImmediate: typeof clearTimeout = clearTimeout
export const queueMicrotask = (call: () => void): void => { void Promise.resolve().then(call) }
export const performance: { now(): number } = { now: (): number => now }
const silent = (): void => {}
export const console: Readonly<Record<'log' | 'error' | 'warn', () => void>> = { log: silent, error: silent, warn: silent }
export const process: Readonly<Record<string, unknown>> = { env: {} as Record<string, string | undefined>, platform: 'none', memoryUsage: () => ({ rss: 0, heapUsed: 0 }), hrtime: { bigint: () => BigInt(now) * 1_000_000n } }

/** Plain data, and what the structured clone algorithm copies of it. */
export function structuredClone<T>(value: T): T {
  const seen = new Map<unknown, unknown>()
  const copy = (of: unknown): unknown => {
    if (typeof of === 'function' || typeof of === 'symbol') throw new TypeError('cannot be cloned')
    if (typeof of !== 'object' || of === null) return of
    const known = seen.get(of)
    if (known !== undefined) return known
    const note = <O>(made: O): O => {
      seen.set(of, made)
      return made
    }
    if (of instanceof ArrayBuffer) return note(of.slice(0))
    if (ArrayBuffer.isView(of)) {
      const buffer = copy(of.buffer) as ArrayBuffer
      return note(of instanceof DataView ? new DataView(buffer, of.byteOffset, of.byteLength) : new (of.constructor as Uint8ArrayConstructor)(buffer, of.byteOffset, (of as Uint8Array).length))
    }
    if (of instanceof Date) return note(new Date(of))
    if (of instanceof Map) {
      const made = note(new Map<unknown, unknown>())
      for (const [key, each] of of) made.set(copy(key), copy(each))
      return made
    }
    if (of instanceof Set) {
      const made = note(new Set<unknown>())
      for (const each of of) made.add(copy(each))
      return made
    }
    if (of instanceof Error) return note(Object.assign(new Error(of.message), { name: of.name }))
    const made = note(Array.isArray(of) ? new Array<unknown>(of.length) : {})
    for (const key of Object.keys(of)) (made as Record<string, unknown>)[key] = copy((of as Record<string, unknown>)[key])
    return made
  }
  return copy(value) as T
}

export class TextEncoder {
  encode(text: string = ''): Uint8Array {
    const escaped = encodeURIComponent(text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd'))
    const bytes: number[] = []
    for (let at = 0; at < escaped.length; at++) {
      if (escaped[at] === '%') {
        bytes.push(Number.parseInt(escaped.slice(at + 1, at + 3), 16))
        at += 2
      } else bytes.push(escaped.charCodeAt(at))
    }
    return Uint8Array.from(bytes)
  }
}

export class TextDecoder {
  decode(bytes: Uint8Array = new Uint8Array()): string {
    let text = ''
    for (const byte of bytes) text += `%${byte.toString(16).padStart(2, '0')}`
    return decodeURIComponent(text)
  }
}

export class Event {
  readonly type: string
  constructor(type: string) {
    this.type = type
  }
}

export class EventTarget {
  readonly #listeners = new Map<string, Set<(event: Event) => void>>()
  addEventListener(type: string, listener: (event: Event) => void): void {
    const known = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, known.add(listener))
  }
  removeEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.get(type)?.delete(listener)
  }
  dispatchEvent(event: Event): boolean {
    for (const each of this.#listeners.get(event.type) ?? []) each(event)
    return true
  }
}

type Encoding = 'utf8' | 'utf16le' | 'utf-8' | 'latin1' | 'ascii' | 'binary' | 'hex' | 'base64'

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function encoded(text: string, encoding: Encoding): ArrayLike<number> {
  if (encoding === 'hex') return Array.from({ length: text.length >> 1 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16))
  if (encoding === 'base64') {
    const digits = Array.from(text.replace(/=+$/, ''), (letter) => DIGITS.indexOf(letter))
    const bit = (at: number): number => (digits[Math.floor(at / 6)] ?? 0) >> 5 - at % 6 & 1
    return Array.from({ length: digits.length * 6 >> 3 }, (_, byte) => Array.from({ length: 8 }, (_, at) => bit(8 * byte + at)).reduce((sum, each) => 2 * sum + each, 0))
  }
  if (encoding === 'utf8' || encoding === 'utf-8') return new TextEncoder().encode(text)
  if (encoding === 'utf16le') return Array.from({ length: 2 * text.length }, (_, at) => text.charCodeAt(at >> 1) >> 8 * (at & 1) & 0xff)
  return Array.from(text, (letter) => letter.charCodeAt(0) & 0xff)
}

class Bytes extends Uint8Array {
  static alloc(length: number, fill: number | string = 0): Bytes {
    const made = new Bytes(length)
    return typeof fill === 'number' ? made.fill(fill) : made.fill(fill.charCodeAt(0))
  }

  static concat(list: readonly Uint8Array[]): Bytes {
    const made = new Bytes(list.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const each of list) {
      made.set(each, at)
      at += each.length
    }
    return made
  }

  static compare(a: Uint8Array, b: Uint8Array): number {
    for (let at = 0; at < a.length && at < b.length; at++) if (a[at] !== b[at]) return (a[at] ?? 0) < (b[at] ?? 0) ? -1 : 1
    return Math.sign(a.length - b.length)
  }

  static byteLength(text: string): number {
    return new TextEncoder().encode(text).length
  }

  readUInt8(at: number = 0): number { return this.#view.getUint8(at) }
  readUInt16LE(at: number = 0): number { return this.#view.getUint16(at, true) }
  readUInt32LE(at: number = 0): number { return this.#view.getUint32(at, true) }
  readUInt16BE(at: number = 0): number { return this.#view.getUint16(at) }
  readUInt32BE(at: number = 0): number { return this.#view.getUint32(at) }
  readBigUInt64LE(at: number = 0): bigint { return this.#view.getBigUint64(at, true) }
  readBigUInt64BE(at: number = 0): bigint { return this.#view.getBigUint64(at) }
  writeUInt8(value: number, at: number = 0): void { this.#view.setUint8(at, value) }
  writeUInt16LE(value: number, at: number = 0): void { this.#view.setUint16(at, value, true) }
  writeUInt32LE(value: number, at: number = 0): void { this.#view.setUint32(at, value, true) }
  writeUInt16BE(value: number, at: number = 0): void { this.#view.setUint16(at, value) }
  writeUInt32BE(value: number, at: number = 0): void { this.#view.setUint32(at, value) }
  writeBigUInt64LE(value: bigint, at: number = 0): void { this.#view.setBigUint64(at, value, true) }
  writeBigUInt64BE(value: bigint, at: number = 0): void { this.#view.setBigUint64(at, value) }

  write(text: string, at: number = 0, encoding: Encoding = 'utf8'): void {
    this.set(Array.from(encoded(text, encoding)), at)
  }

  copy(to: Uint8Array, at: number = 0, from: number = 0, end: number = this.length): void {
    to.set(this.subarray(from, Math.min(end, from + to.length - at)), at)
  }

  get #view(): DataView {
    return new DataView(this.buffer, this.byteOffset, this.length)
  }

  equals(other: Uint8Array): boolean {
    return Bytes.compare(this, other) === 0
  }

  override toString(encoding: Encoding = 'utf8', from: number = 0, to: number = this.length): string {
    const bytes = this.subarray(from, to)
    if (encoding === 'hex') return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
    if (encoding === 'utf8' || encoding === 'utf-8') return new TextDecoder().decode(bytes)
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  }
}

/** As much of Node's as tests use to compare and to print. */
export const Buffer: unknown = Object.assign(Bytes, {
  from(what: unknown, encoding: unknown = 'utf8', length?: number): Bytes {
    if (what instanceof ArrayBuffer) return new Bytes(what, typeof encoding === 'number' ? encoding : 0, length)
    return new Bytes(typeof what === 'string' ? encoded(what, encoding as Encoding) : what as ArrayLike<number>)
  },
})
