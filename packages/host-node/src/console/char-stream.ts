import type { Readable, Writable } from 'node:stream'
import { type CharBackend, type CharStream, charStream, type CharStreamOptions, type OutputSink } from '@machinist/display'

/** Where bytes come from and go to. */
export interface StreamOptions extends Pick<CharStreamOptions, 'size' | 'onResize'> {
  /** Bytes for the guest. Without it the guest gets no input. */
  readonly input?: Readable
  /** Bytes of the guest. Without it they are dropped. */
  readonly output?: Writable | OutputSink
  /** Changes input on its way to the guest. */
  readonly filter?: (bytes: Uint8Array) => Uint8Array
  /** Told when the input has come to its end. */
  readonly onEnd?: () => void
}

/** Has a Node stream take output; returns what ends that. */
function sinkOf(output: Writable, through: () => CharStream): { readonly sink: OutputSink; readonly end: () => void } {
  const onDrain = (): void => { through().drain() }
  // A reader that went away (EPIPE) ends the output, not the machine.
  output.on('error', () => { through().breakOff() })
  output.on('drain', onDrain)
  return {
    sink: (bytes) => {
      if (output.writable) return output.write(bytes)
      through().breakOff()
      return true
    },
    // The error listener stays: what was written last may still fail, and nobody else listens.
    end: () => { output.off('drain', onDrain) },
  }
}

/** Has a Node stream give input; returns what begins that, and what ends it. */
function sourceOf(input: Readable, options: StreamOptions, through: () => CharStream): { readonly open: () => void; readonly close: () => void } {
  const { filter = (bytes) => bytes, onEnd } = options
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    onEnd?.()
    through().end()
  }
  const data = (chunk: Uint8Array | string): void => { through().type(filter(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) }
  return {
    open() {
      input.on('data', data)
      // A source that fails gives no more, too.
      input.on('error', end)
      input.on('end', end)
      if (input.readableEnded) end()
    },
    close() {
      input.off('data', data)
      input.off('end', end)
      input.pause()
    },
  }
}

/**
 * A byte stream over Node streams, or to a function. Input is read from its source only as fast as the guest takes
 * it; output that the host does not take makes the guest wait. Snapshots of the machine have the input that waits for the guest.
 */
export function stream(options: StreamOptions = {}): CharBackend {
  const { input, output } = options
  const source = input === undefined ? null : sourceOf(input, options, () => made)
  const target = output === undefined || typeof output === 'function' ? null : sinkOf(output, () => made)
  const sink = target?.sink ?? (typeof output === 'function' ? output : undefined)
  const made = charStream({
    soon: (callback) => { setImmediate(callback) },
    ...(sink && { output: sink }),
    ...(input && { onHold: (hold: boolean) => { if (hold) input.pause(); else input.resume() } }),
    ...(options.size && { size: options.size }),
    ...(options.onResize && { onResize: options.onResize }),
  })
  return {
    kind: 'char',
    connect(deliver, clock) {
      const port = made.connect(deliver, clock)
      source?.open()
      return port
    },
    save: () => made.save?.() ?? [],
    restore: (saved, part) => made.restore?.(saved, part) ?? false,
    type(bytes) { made.type(bytes) },
    get waiting() { return made.waiting },
    get written() { return made.written },
    flush() { made.flush() },
    close() {
      source?.close()
      made.close()
      target?.end()
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
