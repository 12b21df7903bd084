import { type Backend, badBackendState, backendStateFields, type CharPort, type Deliver } from '@machinist/api'
import { encodeUtf8 } from '@machinist/boot'
import { CharInput } from './char-input.ts'
import { CharOutput, type OutputSink } from './char-output.ts'

/** Most bytes of typed-ahead input that come back. */
const MOST_SAVED = 16 * 2 ** 20

/** What {@link charStream} needs of whoever is at the other end. */
export interface CharStreamOptions {
  /** Calls back in a new turn of the host's event loop: guests write byte by byte, and what they wrote until then goes out at once. */
  readonly soon: (callback: () => void) => void
  /** Takes bytes of the guest. Without it they are dropped. */
  readonly output?: OutputSink
  /** Told to wait with input when much of it waits for the guest, and to go on when there is room. Whoever does not is not refused. */
  readonly onHold?: (hold: boolean) => void
  /** Size of the terminal, when it is one. */
  readonly size?: () => { readonly columns: number; readonly rows: number } | undefined
  /** Registers who is told that {@link CharStreamOptions.size} has changed; returns how to end that. */
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

/** A {@link CharBackend}, and what its other end says. */
export interface CharStream extends CharBackend {
  /** The output takes more again. */
  drain(): void
  /** Nobody takes output any more: what comes is dropped, and the guest does not wait. */
  breakOff(): void
  /** There will be no more input. */
  end(): void
}

/**
 * A byte stream between a guest and whoever is at the host's end. Output that is not taken makes the guest wait. Snapshots of the machine have the input that waits for
 * the guest.
 */
export function charStream(options: CharStreamOptions): CharStream {
  const input = new CharInput(options.onHold)
  const output = new CharOutput(options.soon, options.output)
  let deliver: Deliver | null = null
  let stopResize: (() => void) | null = null
  return {
    kind: 'char',
    connect(through): CharPort {
      deliver = through
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
    type(bytes) { input.push(typeof bytes === 'string' ? encodeUtf8(bytes) : bytes) },
    get waiting() { return input.waiting },
    get written() { return output.written },
    flush() { output.flush() },
    drain() { output.drain() },
    breakOff() { output.breakOff() },
    end() { input.end() },
    close() {
      deliver = null
      stopResize?.()
      output.close()
    },
  }
}
