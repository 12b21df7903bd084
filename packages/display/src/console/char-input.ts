/** Input that waits for the guest; beyond it the source is told to stop. */
const INPUT_LIMIT = 65536

/** Input on its way to the guest. */
export class CharInput {
  readonly #chunks: Uint8Array[] = []
  readonly #hold: (hold: boolean) => void
  #length = 0
  ended = false
  onReadable: () => void = () => {}

  constructor(hold: (hold: boolean) => void = () => {}) {
    this.#hold = hold
  }

  get waiting(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#length += bytes.length
    if (this.#length > INPUT_LIMIT) this.#hold(true)
    this.onReadable()
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    this.onReadable()
  }

  /** All that waits, which goes on waiting. */
  peek(): Uint8Array {
    const all = new Uint8Array(this.#length)
    let at = 0
    for (const chunk of this.#chunks) {
      all.set(chunk, at)
      at += chunk.length
    }
    return all
  }

  /** Input that comes before all that waits. */
  putBack(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.unshift(bytes)
    this.#length += bytes.length
  }

  read(into: Uint8Array): number {
    let done = 0
    while (done < into.length) {
      const first = this.#chunks[0]
      if (first === undefined) break
      const part = first.subarray(0, into.length - done)
      into.set(part, done)
      done += part.length
      if (part.length === first.length) this.#chunks.shift()
      else this.#chunks[0] = first.subarray(part.length)
    }
    const was = this.#length
    this.#length -= done
    if (was > INPUT_LIMIT && this.#length <= INPUT_LIMIT) this.#hold(false)
    return done
  }
}
