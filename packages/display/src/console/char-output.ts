/** Output that waits for the host; beyond it the guest is told to wait. */
const OUTPUT_LIMIT = 65536
/** Room for output at first. */
const OUTPUT_LEAST = 1024

/** Takes output of a machine, bytes that are its own. False: they are taken, but no more until `drain` of the stream that it belongs to. */
export type OutputSink = (bytes: Uint8Array) => boolean | void

/** Output on its way to a sink: gathered over a turn of the event loop, since guests write byte by byte. */
export class CharOutput {
  readonly #soon: (callback: () => void) => void
  readonly #sink: OutputSink
  /** Grows up to the limit: of many machines, most say little. */
  #pending: Uint8Array = new Uint8Array(0)
  #length = 0
  #scheduled = false
  /** The sink asked to wait. */
  #full = false
  #broken = false
  #starved = false
  written = 0
  onWritable: () => void = () => {}

  constructor(soon: (callback: () => void) => void, sink: OutputSink = () => {}) {
    this.#soon = soon
    this.#sink = sink
  }

  write(bytes: Uint8Array): number {
    const taken = this.#broken ? bytes.length : Math.min(bytes.length, OUTPUT_LIMIT - this.#length)
    this.written += taken
    if (this.#broken) return taken
    const length = this.#length + taken
    if (length > this.#pending.length) {
      const larger = new Uint8Array(Math.min(OUTPUT_LIMIT, Math.max(OUTPUT_LEAST, 2 * length)))
      larger.set(this.#pending.subarray(0, this.#length))
      this.#pending = larger
    }
    this.#pending.set(bytes.subarray(0, taken), this.#length)
    this.#length = length
    if (taken < bytes.length) this.#starved = true
    if (!this.#scheduled && !this.#full && this.#length > 0) {
      this.#scheduled = true
      this.#soon(() => { this.flush() })
    }
    return taken
  }

  flush(): void {
    this.#scheduled = false
    if (this.#full || this.#length === 0) return
    const bytes = this.#pending.slice(0, this.#length)
    this.#length = 0
    this.#full = this.#sink(bytes) === false && !this.#broken
    this.#wake()
  }

  drain(): void {
    this.#full = false
    this.flush()
  }

  /** Whoever read it went away, which ends the output, not the machine. */
  breakOff(): void {
    this.#broken = true
    this.#full = false
    this.#length = 0
    this.#wake()
  }

  #wake(): void {
    if (!this.#starved) return
    this.#starved = false
    this.onWritable()
  }

  close(): void {
    this.#full = false
    this.flush()
  }
}
