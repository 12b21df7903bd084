const FIRST = 0x1_0000
/** Bytes up to which a loop is faster than a call. */
export const SHORT = 48

/** What has been unpacked, which later bytes repeat parts of. */
export class Output {
  readonly #limit: number
  #bytes: Uint8Array
  #length = 0

  /** @param expected - how many it will be, if that is known: then nothing need be moved */
  constructor(limit: number, expected: number = FIRST) {
    this.#limit = limit
    this.#bytes = new Uint8Array(Math.min(limit, expected))
  }

  get length(): number {
    return this.#length
  }

  /** The byte so far back, from 1 on; 0 before the beginning. */
  back(distance: number): number {
    return this.#bytes[this.#length - distance] ?? 0
  }

  push(byte: number): void {
    if (this.#length === this.#bytes.length) this.#room(1)
    this.#bytes[this.#length++] = byte
  }

  append(bytes: Uint8Array, from = 0, to: number = bytes.length): void {
    const count = to - from
    this.#room(count)
    // Most are short.
    if (count > SHORT) this.#bytes.set(bytes.subarray(from, to), this.#length)
    else for (let at = from, here = this.#length; at < to; at++, here++) this.#bytes[here] = bytes[at] ?? 0
    this.#length += count
  }

  fill(byte: number, count: number): void {
    this.#room(count)
    this.#bytes.fill(byte, this.#length, this.#length + count)
    this.#length += count
  }

  /** Repeats what began `distance` bytes ago; what it writes may be among that. @throws RangeError before the beginning */
  copy(distance: number, count: number): void {
    if (distance < 1 || distance > this.#length) throw new RangeError('a repetition of what is not there')
    this.#room(count)
    const bytes = this.#bytes
    let to = this.#length
    const from = to - distance
    this.#length += count
    if (distance >= count && count > SHORT) bytes.copyWithin(to, from, from + count)
    else for (let at = from; to < this.#length; at++, to++) bytes[to] = bytes[at] ?? 0
  }

  /** For whoever writes at `length` and says where it has ended (`close`): the bytes so far, and room for `most` more, or as many as may come. */
  open(most: number): Uint8Array {
    this.#room(Math.min(most, this.#limit - this.#length))
    return this.#bytes
  }

  close(length: number): void {
    this.#length = length
  }

  /** All of it; nothing may follow. */
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #room(count: number): void {
    const needed = this.#length + count
    if (needed > this.#limit) throw new RangeError('more comes out than there is room for')
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(needed, 2 * this.#bytes.length)))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}
