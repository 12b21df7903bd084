import { machinistError } from '@machinist/api'
import { LogObject, MOST_DEPTH, tag } from './log-writer.ts'

/** Gives the parts of a log, in order. */
export interface ReplaySource {
  /** Bytes of part `index`, from 0, each of which ends between two entries; null behind the last one. @throws typed errors for damaged ones */
  part(index: number): Uint8Array | null
}

/** An error for bytes that no recorder wrote. */
export function notALog(problem: string): Error {
  return machinistError({ code: 'replay-log', part: 'recording', remedy: 'Use another copy of the file, or record again.' }, problem)
}

/** Where a reader is. */
export interface ReaderPlace {
  readonly part: number
  readonly at: number
}

/** Reads a log from one part after another. Nothing in it is believed: lengths are compared with what is there. */
export class LogReader {
  readonly #source: ReplaySource
  #part: number
  #bytes: Uint8Array
  #view: DataView
  #at: number

  constructor(source: ReplaySource, { part, at }: ReaderPlace = { part: 0, at: 0 }) {
    this.#source = source
    this.#part = part
    this.#bytes = source.part(part) ?? new Uint8Array()
    this.#view = viewOf(this.#bytes)
    this.#at = at
  }

  get place(): ReaderPlace {
    return { part: this.#part, at: this.#at }
  }

  /** The kind of the next entry, which is not taken; −1 when there is none. */
  peek(): number {
    while (this.#at >= this.#bytes.length) {
      const next = this.#source.part(this.#part + 1)
      if (next === null) return -1
      this.#part++
      this.#bytes = next
      this.#view = viewOf(next)
      this.#at = 0
    }
    return this.#bytes[this.#at] ?? -1
  }

  #need(count: number): number {
    const at = this.#at
    if (count > this.#bytes.length - at) throw notALog('an entry of the log ends too early')
    this.#at += count
    return at
  }

  u8(): number {
    return this.#bytes[this.#need(1)] ?? 0
  }

  u32(): number {
    return this.#view.getUint32(this.#need(4), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#need(8), true)
  }

  count(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8()
      value += (byte & 127) * scale
      if (!Number.isSafeInteger(value)) throw notALog('a number of the log is too large')
      if (byte < 128) return value
    }
  }

  bytes(): Uint8Array {
    const length = this.count()
    const at = this.#need(length)
    return this.#bytes.slice(at, at + length)
  }

  text(): string {
    const length = this.count()
    // Each of them takes a byte or more.
    if (length > this.#bytes.length - this.#at) throw notALog('a text of the log ends too early')
    let text = ''
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.count() & 0xffff)
    return text
  }

  value(depth: number = 0): unknown {
    if (depth > MOST_DEPTH) throw notALog('data of the log is too deep')
    switch (this.u8()) {
      case tag.undefined:
        return undefined
      case tag.null:
        return null
      case tag.false:
        return false
      case tag.true:
        return true
      case tag.positive:
        return this.count()
      case tag.negative:
        return -this.count()
      case tag.number:
        return this.f64()
      case tag.bigint: {
        const text = this.text()
        if (!/^-?[0-9]{1,1000}$/.test(text)) throw notALog('a bigint of the log is none')
        return BigInt(text)
      }
      case tag.text:
        return this.text()
      case tag.bytes:
        return this.bytes()
      case tag.list:
        return Array.from({ length: this.#items() }, () => this.value(depth + 1))
      case tag.record: {
        const entries: [string, unknown][] = []
        for (let left = this.#items(); left > 0; left--) entries.push([this.text(), this.value(depth + 1)])
        return Object.fromEntries(entries)
      }
      case tag.object:
        return new LogObject(this.count(), this.count(), this.count())
      default:
        throw notALog('data of the log is of no kind')
    }
  }

  /** A number of things that take a byte each, or more. */
  #items(): number {
    const count = this.count()
    if (count > this.#bytes.length - this.#at) throw notALog('data of the log ends too early')
    return count
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
