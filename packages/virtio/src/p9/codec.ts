import { posixError } from '@machinist/api'

/** Longest string that a message may hold: a path of Linux. */
const longestString = 4096
/** Longest name. Linux has no longer ones. */
const longestName = 255

/** Reads the fields of a message, in order. What is not there is an error (`'EPROTO'`), which refuses the message. */
export class MessageReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number

  /** @param at - where the fields begin */
  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = at
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  /** A place in a file or its size: what is beyond 2^53 is too large. */
  offset(): number {
    const at = this.#take(8)
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32
    if (!Number.isSafeInteger(value)) throw posixError('EFBIG')
    return value
  }

  /** A string that is owned by nobody else. */
  string(): Uint8Array {
    const length = this.u16()
    if (length > longestString) throw posixError('ENAMETOOLONG')
    const at = this.#take(length)
    return this.#bytes.slice(at, at + length)
  }

  /** The name of an entry: one component that is not `.` or `..`. */
  name(): Uint8Array {
    const name = this.string()
    checkComponent(name)
    return name
  }

  /** The next `length` bytes of the message itself. */
  data(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  #take(length: number): number {
    const at = this.#at
    if (length > this.#bytes.length - at) throw posixError('EPROTO')
    this.#at = at + length
    return at
  }
}

/** Refuses what cannot be the name of an entry. */
export function checkComponent(name: Uint8Array): void {
  checkName(name)
  if (isDots(name)) throw posixError('EINVAL')
}

/** Refuses what cannot be one component of a path. */
export function checkName(name: Uint8Array): void {
  if (name.length > longestName) throw posixError('ENAMETOOLONG')
  if (name.length === 0 || name.includes(0) || name.includes(0x2f)) throw posixError('EINVAL')
}

/** Whether a name is `.` or `..`. */
export function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.every((byte) => byte === 0x2e)
}

/** Writes the fields of a message, in order, into a buffer that is large enough. */
export class MessageWriter {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = at
  }

  /** Bytes so far, from the start of the buffer. */
  get length(): number {
    return this.#at
  }

  /** Bytes that are left. */
  get room(): number {
    return this.#bytes.length - this.#at
  }

  u8(value: number): this {
    this.#view.setUint8(this.#take(1), value)
    return this
  }

  u16(value: number): this {
    this.#view.setUint16(this.#take(2), value, true)
    return this
  }

  u32(value: number): this {
    this.#view.setUint32(this.#take(4), value, true)
    return this
  }

  u64(value: bigint | number): this {
    this.#view.setBigUint64(this.#take(8), BigInt.asUintN(64, BigInt(value)), true)
    return this
  }

  string(value: Uint8Array): this {
    this.u16(value.length)
    this.#bytes.set(value, this.#take(value.length))
    return this
  }

  /** Counts bytes that are in their place already. */
  skip(length: number): this {
    this.#take(length)
    return this
  }

  #take(length: number): number {
    const at = this.#at
    if (length > this.room) throw posixError('EPROTO')
    this.#at = at + length
    return at
  }
}
