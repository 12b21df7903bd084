import type { Readable, Writable } from 'node:stream'
import { type Backend, badBackendState, backendStateFields, type CharPort, type Deliver } from '@machinist/api'

/** Input that waits for the guest; beyond it the source is told to stop. */
const INPUT_LIMIT = 65536
/** Output that waits for the host; beyond it the guest is told to wait. */
const OUTPUT_LIMIT = 65536
/** Most bytes of typed-ahead input that come back. */
const MOST_SAVED = 16 * 2 ** 20
/** Room for output at first. */
const OUTPUT_LEAST = 1024

/** Output of a machine that goes to a function. */
export type OutputSink = (bytes: Uint8Array) => void

/** Where bytes come from and go to. */
export interface StreamOptions {
  /** Bytes for the guest. Without it the guest gets no input. */
  readonly input?: Readable
  /** Bytes of the guest. Without it they are dropped. */
  readonly output?: Writable | OutputSink
  /** Changes input on its way to the guest. */
  readonly filter?: (bytes: Uint8Array) => Uint8Array
  /** Told when the input has come to its end. */
  readonly onEnd?: () => void
  readonly size?: () => { readonly columns: number; readonly rows: number } | undefined
  /** Registers who is told that {@link StreamOptions.size} has changed; returns how to end that. */
  readonly onResize?: (listener: () => void) => () => void
}

/** A character backend whose bytes can also come from the program itself. */
export interface CharBackend extends Backend<CharPort> {
  readonly kind: 'char'
  /** Bytes for the guest, as if typed. */
  type(bytes: Uint8Array | string): void
  /** Bytes that the guest has not taken. */
  readonly waiting: number
  /** Bytes of the guest so far. */
  readonly written: number
  /** Hands what waits to the output stream, now. */
  flush(): void
  close(): void
}

/** Output on its way to a stream: gathered over a turn of the event loop, since guests write byte by byte. */
class Output {
  readonly #stream: Writable | null
  readonly #sink: OutputSink
  /** Grows up to the limit: of many machines, most say little. */
  #pending: Uint8Array = new Uint8Array(0)
  #length = 0
  #scheduled = false
  /** The stream asked to wait. */
  #full = false
  #broken = false
  #starved = false
  written = 0
  onWritable: () => void = () => {}
  readonly #onDrain = (): void => {
    this.#full = false
    this.flush()
  }
  // A reader that went away (EPIPE) ends the output, not the machine.
  readonly #onError = (): void => {
    this.#broken = true
    this.#full = false
    this.#length = 0
    this.#wake()
  }

  constructor(output: Writable | OutputSink | undefined) {
    this.#stream = typeof output === 'function' || output === undefined ? null : output
    this.#sink = typeof output === 'function' ? output : () => {}
    this.#stream?.on('drain', this.#onDrain)
    this.#stream?.on('error', this.#onError)
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
      setImmediate(() => { this.flush() })
    }
    return taken
  }

  flush(): void {
    this.#scheduled = false
    if (this.#full || this.#length === 0) return
    const bytes = this.#pending.slice(0, this.#length)
    this.#length = 0
    if (this.#stream === null) this.#sink(bytes)
    else if (!this.#stream.writable) this.#broken = true
    else this.#full = !this.#stream.write(bytes)
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
    this.#stream?.off('drain', this.#onDrain)
    // The error listener stays: what was written last may still fail, and nobody else listens.
  }
}

/** Input on its way to the guest. */
class Input {
  readonly #chunks: Uint8Array[] = []
  #length = 0
  readonly #source: Readable | null
  readonly #filter: (bytes: Uint8Array) => Uint8Array
  ended = false
  onReadable: () => void = () => {}
  readonly #onData = (chunk: Uint8Array | string): void => {
    this.push(this.#filter(typeof chunk === 'string' ? Buffer.from(chunk) : chunk))
  }
  readonly #onEnd: () => void

  constructor(options: StreamOptions) {
    this.#onEnd = () => {
      if (this.ended) return
      this.ended = true
      options.onEnd?.()
      this.onReadable()
    }
    this.#source = options.input ?? null
    this.#filter = options.filter ?? ((bytes) => bytes)
  }

  open(): void {
    this.#source?.on('data', this.#onData)
    // A source that fails gives no more, too.
    this.#source?.on('error', this.#onEnd)
    this.#source?.on('end', this.#onEnd)
    if (this.#source?.readableEnded === true) this.#onEnd()
  }

  get waiting(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#length += bytes.length
    if (this.#length > INPUT_LIMIT) this.#source?.pause()
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
    if (this.#length > INPUT_LIMIT && this.#length - done <= INPUT_LIMIT) this.#source?.resume()
    this.#length -= done
    return done
  }

  close(): void {
    this.#source?.off('data', this.#onData)
    this.#source?.off('end', this.#onEnd)
    this.#source?.pause()
  }
}

/**
 * A byte stream over Node streams, or to a function. Input is read from its source only as fast as the guest takes
 * it; output that the host does not take makes the guest wait. Snapshots of the machine have the input that waits for the guest.
 */
export function stream(options: StreamOptions = {}): CharBackend {
  const input = new Input(options)
  const output = new Output(options.output)
  let deliver: Deliver | null = null
  let stopResize: (() => void) | null = null
  return {
    kind: 'char',
    connect(through): CharPort {
      deliver = through
      input.open()
      return {
        write: (bytes) => output.write(bytes),
        read: (into) => input.read(into),
        get ended() { return input.ended },
        listen(listener) {
          input.onReadable = () => { deliver?.(() => { listener.readable() }) }
          output.onWritable = () => { deliver?.(() => { listener.writable() }) }
          // What was typed before anybody listened.
          input.onReadable()
        },
        get size() { return options.size?.() },
        ...(options.onResize && {
          onResize(listener: () => void) {
            stopResize?.()
            stopResize = options.onResize?.(() => { deliver?.(listener) }) ?? null
          },
        }),
      }
    },
    save: () => input.waiting === 0 ? [] : [{ kind: 'typed', version: 1, state: { bytes: input.peek() } }],
    restore(saved, part) {
      if (saved.kind !== 'typed') return false
      const { bytes } = backendStateFields(saved, 1, part)
      if (!(bytes instanceof Uint8Array) || bytes.length > MOST_SAVED) throw badBackendState(part, 'the saved input is none')
      input.putBack(bytes)
      return true
    },
    type(bytes) { input.push(typeof bytes === 'string' ? Buffer.from(bytes) : bytes) },
    get waiting() { return input.waiting },
    get written() { return output.written },
    flush() { output.flush() },
    close() {
      deliver = null
      stopResize?.()
      input.close()
      output.close()
    },
  }
}

/** A stream that keeps what a machine writes: for tests and for programs that read the answer. */
export interface Collector extends CharBackend {
  /** Everything so far. */
  bytes(): Uint8Array
  /** The same as text, UTF-8. */
  text(): string
}

/**
 * Makes a {@link Collector}.
 *
 * @param limit - bytes to keep, the last ones; 16 MiB unless given
 */
export function collector(limit: number = 16 * 2 ** 20): Collector {
  let chunks: Uint8Array[] = []
  let length = 0
  const backend = stream({
    output(bytes) {
      chunks.push(bytes)
      length += bytes.length
      while (length - (chunks[0]?.length ?? 0) >= limit && chunks.length > 1) length -= chunks.shift()?.length ?? 0
    },
  })
  const bytes = (): Uint8Array => {
    backend.flush()
    const all = Buffer.concat(chunks)
    chunks = [all]
    return all.subarray(Math.max(0, all.length - limit))
  }
  return { ...backend, get waiting() { return backend.waiting }, get written() { return backend.written }, bytes, text: () => Buffer.from(bytes()).toString() }
}
