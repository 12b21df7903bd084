/** Reads the bytes of one instruction. Past their end it reads zeros, and says so. */
export class Cursor {
  readonly #bytes: Uint8Array
  position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether more was read than there is. */
  get over(): boolean {
    return this.position > this.#bytes.length
  }

  peek(): number {
    if (this.position >= this.#bytes.length) this.position = this.#bytes.length + 1
    return this.#bytes[this.position] ?? 0
  }

  byte(): number {
    return this.#bytes[this.position++] ?? 0
  }

  unsigned(size: number): bigint {
    let value = 0n
    for (let i = 0; i < size; i++) value |= BigInt(this.byte()) << BigInt(8 * i)
    return value
  }

  signed(size: number): bigint {
    return BigInt.asIntN(size * 8, this.unsigned(size))
  }
}
