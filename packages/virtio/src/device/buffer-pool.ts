const smallest = 4096

/** Buffers used again, by powers of two, so that a busy disk makes no garbage. */
export class BufferPool {
  /** By the logarithm of their size. */
  readonly #free: Uint8Array[][] = Array.from({ length: 32 }, () => [])
  readonly #limit: number
  #held = 0

  /** @param limit - most bytes of unused buffers to keep */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** A buffer of at least `length` bytes, below 2^31, with any content. */
  take(length: number): Uint8Array {
    const order = length <= smallest ? 12 : 32 - Math.clz32(length - 1)
    const found = this.#free[order]?.pop()
    if (found === undefined) return new Uint8Array(2 ** order)
    this.#held -= found.length
    return found
  }

  /** Gives back what {@link take} returned, or the beginning of it. */
  give(piece: Uint8Array): void {
    const size = piece.buffer.byteLength
    if (this.#held + size > this.#limit) return
    this.#held += size
    this.#free[31 - Math.clz32(size)]?.push(piece.length === size ? piece : new Uint8Array(piece.buffer))
  }
}
