import type { ConsoleConnection, ConsoleListener } from '../contract/hypervisor.ts'

/** Output of a console that is kept, in bytes. */
const KEPT = 65_536

/** What a machine said last, and who listens. It outlives the machine's runs. */
export class ConsoleLog {
  #chunks: Uint8Array[] = []
  #length = 0
  readonly #listeners = new Set<ConsoleListener>()
  readonly #type: (bytes: Uint8Array) => void
  readonly #broken: (error: unknown) => void

  /**
   * @param type - passes on what is typed
   * @param broken - told what listeners throw
   */
  constructor(type: (bytes: Uint8Array) => void, broken: (error: unknown) => void) {
    this.#type = type
    this.#broken = broken
  }

  output(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#length += bytes.length
    if (this.#length > 2 * KEPT) {
      this.#chunks = [this.last]
      this.#length = KEPT
    }
    for (const listener of [...this.#listeners]) this.#tell(() => { listener.output(bytes) })
  }

  /** The last output, at most 64 KiB. */
  get last(): Uint8Array {
    const all = new Uint8Array(this.#length)
    let at = 0
    for (const chunk of this.#chunks) {
      all.set(chunk, at)
      at += chunk.length
    }
    return all.slice(-KEPT)
  }

  connect(listener: ConsoleListener): ConsoleConnection {
    // The same object may listen twice.
    const own: ConsoleListener = { output: (bytes) => { listener.output(bytes) }, closed: () => { listener.closed() } }
    this.#listeners.add(own)
    const { last } = this
    if (last.length > 0) this.#tell(() => { listener.output(last) })
    return {
      write: (bytes) => { if (this.#listeners.has(own)) this.#type(bytes) },
      close: () => { this.#listeners.delete(own) },
    }
  }

  close(): void {
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    for (const listener of listeners) this.#tell(() => { listener.closed() })
  }

  #tell(say: () => void): void {
    try {
      say()
    } catch (error) {
      this.#broken(error)
    }
  }
}
