const smallest = 4096

/** Buffers used again, by powers of two, so that a busy disk makes no garbage. */
export class BufferPool {
  readonly #free = new Map<number, Uint8Array[]>()
  readonly #limit: number
  #held = 0

  /** @param limit - most bytes of unused buffers to keep */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** A buffer of at least `length` bytes, with any content. */
  take(length: number): Uint8Array {
    let size = smallest
    while (size < length) size *= 2
    const found = this.#free.get(size)?.pop()
    if (found === undefined) return new Uint8Array(size)
    this.#held -= size
    return found
  }

  /** Gives back what {@link take} returned. */
  give(buffer: Uint8Array): void {
    if (this.#held + buffer.length > this.#limit) return
    this.#held += buffer.length
    const list = this.#free.get(buffer.length)
    if (list === undefined) this.#free.set(buffer.length, [buffer])
    else list.push(buffer)
  }
}
