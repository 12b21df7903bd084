const HALF_BITS = 32

/** Reads the bytes of one instruction. Past their end it reads zeros, and says so. */
export class Cursor {
  readonly #bytes: Uint8Array
  readonly #from: number
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, from: number, end: number) {
    this.#bytes = bytes
    this.#from = from
    this.#end = end
    this.#at = from
  }

  /** Bytes that were read. */
  get position(): number {
    return this.#at - this.#from
  }

  /** Whether more was read than there is. */
  get over(): boolean {
    return this.#at > this.#end
  }

  peek(): number {
    if (this.#at < this.#end) return this.#bytes[this.#at] ?? 0
    this.#at = this.#end + 1
    return 0
  }

  byte(): number {
    const at = this.#at++
    return at < this.#end ? this.#bytes[at] ?? 0 : 0
  }

  /** Up to 4 bytes, as a number with a sign. */
  #word(size: number): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= this.byte() << 8 * i
    return value
  }

  unsigned(size: number): bigint {
    const low = BigInt(this.#word(Math.min(size, 4)) >>> 0)
    return size <= 4 ? low : low | BigInt(this.#word(size - 4) >>> 0) << BigInt(HALF_BITS)
  }

  signed(size: number): bigint {
    if (size > 4) return BigInt.asIntN(size * 8, this.unsigned(size))
    const unused = HALF_BITS - 8 * size
    return size === 0 ? 0n : BigInt(this.#word(size) << unused >> unused)
  }
}
