/** A queue of bytes in a ring of fixed size. */
export class Fifo {
  readonly #bytes: Uint8Array
  #first = 0
  #length = 0

  constructor(size: number) {
    this.#bytes = new Uint8Array(size)
  }

  get length(): number {
    return this.#length
  }

  /** Adds a byte at the end; there must be room. */
  push(byte: number): void {
    this.#bytes[(this.#first + this.#length) % this.#bytes.length] = byte
    this.#length = Math.min(this.#length + 1, this.#bytes.length)
  }

  /** Takes the first byte; 0 when there is none. */
  shift(): number {
    if (this.#length === 0) return 0
    const byte = this.peek()
    this.#first = (this.#first + 1) % this.#bytes.length
    this.#length--
    return byte
  }

  /** The first byte, which stays; 0 when there is none. */
  peek(): number {
    return this.#length === 0 ? 0 : this.#bytes[this.#first] ?? 0
  }

  /** Drops everything past the first `length` bytes. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length)
  }

  toArray(): number[] {
    return Array.from({ length: this.#length }, (_, i) => this.#bytes[(this.#first + i) % this.#bytes.length] ?? 0)
  }

  /** Replaces the content. */
  fill(bytes: readonly number[]): void {
    this.#first = 0
    this.#length = 0
    for (const byte of bytes) this.push(byte)
  }
}
