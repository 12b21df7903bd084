import type { Readable } from 'node:stream'
import type { BackendClock } from '@machinist/api'
import type { ReadStream, WriteStream } from 'node:tty'
import { type CharBackend, escapeParser } from '@machinist/display'
import { stream } from './char-stream.ts'

/** What users are shown for Ctrl-A H. */
export const TERMINAL_HELP: string = [
  'Ctrl-A X  leave the machine (as pulling the plug)',
  'Ctrl-A H  this help',
  'Ctrl-A A  send Ctrl-A to the guest',
  'Everything else, Ctrl-C included, goes to the guest.',
].map((line) => `${line}\r\n`).join('')

/** What ends the input of a terminal: Ctrl-D, EOT. */
const END_OF_TRANSMISSION = '\x04'
/**
 * The same for a guest that was told before: what a terminal took for the end may have come to a line editor as a NUL, which Ctrl-U erases. On an empty
 * line it does nothing.
 */
const END_AGAIN = `\x15${END_OF_TRANSMISSION}`
/** For how long a guest has nothing to do and is silent, with all input taken, before it is told that there is no more: nanoseconds of its time in which all harts wait, however slow the host is. */
const IDLE = 250e6
/** For how long one that never waits is silent: on a slow host, a boot may be, too. */
const SILENT = 60e9
/** Milliseconds after which is looked again. */
const LOOK = 50

/** How {@link terminal} behaves. */
export interface TerminalOptions {
  /** Called for Ctrl-A X, with the terminal still raw. */
  readonly onLeave?: () => void
  /** Asked about any other `Ctrl-A key` (lower case) before help; returns whether it was a command. */
  readonly onCommand?: (key: string) => boolean
  /** What is written when a real terminal is given back, in whatever way, for those who draw on it; asked then. */
  readonly farewell?: () => string
  /**
   * What a guest is told when input that is no terminal ends. A serial line has no end: `'ignore'` (unless given) leaves it silent from then on.
   * `'eot'` types Ctrl-D, which a shell takes for the end, on a line of its own: when the guest has taken all input, is silent and has nothing to do, as a shell that waits for a line, or what it runs. And again when it has said something since,
   * and is silent: a pipe, too, is at its end for one reader after the other.
   */
  readonly endOfInput?: 'eot' | 'ignore'
  /** `process.stdin` and `process.stdout` unless given. */
  readonly input?: Readable & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode' | 'isRaw'>>
  readonly output?: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows'>>
}

/** Signals that end a process, after which its terminal must be as it was. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** Standard input, or nothing when it was closed before the process began. */
function standardInput(): TerminalOptions['input'] {
  try {
    return process.stdin
  } catch {
    return undefined
  }
}

/**
 * The terminal of this process as a byte stream. A real terminal is put into raw mode while a machine is connected,
 * so that every key reaches the guest, and is given back whatever way the process ends, short of SIGKILL. When
 * standard input is a pipe or a file, its bytes go to the guest as they are, without commands.
 */
export function terminal(options: TerminalOptions = {}): CharBackend {
  const input = options.input ?? standardInput()
  const output = options.output ?? process.stdout
  const raw = input?.isTTY === true && typeof input.setRawMode === 'function' ? input : null
  const escape = escapeParser((key) => {
    if (key === 'x') options.onLeave?.()
    else if (options.onCommand?.(key) === true) return true
    else if (key === 'h') output.write(TERMINAL_HELP)
    else return false
    return true
  })
  let ending: NodeJS.Timeout | undefined
  let lastByte = 0x0a
  let clock: BackendClock | undefined
  /** The machine's time; where nobody tells it, the host's. */
  const times = (): { readonly idle: number; readonly all: number } => {
    const idle = clock?.idle?.()
    const all = clock?.now() ?? performance.now() * 1e6
    return { idle: idle ?? all, all }
  }
  const endInput = (): void => {
    if (options.endOfInput !== 'eot' || raw !== null) return
    // The last line, too, is to be run before the end can be told to what it runs.
    if (lastByte !== 0x0a && lastByte !== 0x0d) backend.type('\n')
    let told = -1
    let before = -1
    let last = times()
    let [since, silent] = [last, last]
    ending = setInterval(() => {
      const { waiting, written } = backend
      const now = times()
      const all = now.all - last.all
      const busy = all - (now.idle - last.idle)
      last = now
      if (waiting > 0 || written !== before) {
        before = written
        since = silent = now
        return
      }
      if (busy > all / 2) since = now
      if (written !== told && (now.idle - since.idle >= IDLE || now.all - silent.all >= SILENT)) {
        backend.type(told >= 0 ? END_AGAIN : END_OF_TRANSMISSION)
        told = written
      }
    }, LOOK).unref()
  }
  const backend: CharBackend = stream({
    ...(input === undefined ? {} : { input }),
    output: output as import('node:stream').Writable,
    filter: (bytes) => {
      if (raw !== null) return escape.feed(bytes)
      lastByte = bytes.at(-1) ?? lastByte
      return bytes
    },
    onEnd: endInput,
    size: () => (output.columns !== undefined && output.rows !== undefined ? { columns: output.columns, rows: output.rows } : undefined),
    onResize(listener) {
      output.on('resize', listener)
      return () => { output.off('resize', listener) }
    },
  })

  let held = false
  const restore = (): void => {
    if (!held) return
    held = false
    try {
      const text = options.farewell?.() ?? ''
      if (text !== '') output.write(text)
      raw?.setRawMode?.(false)
    } catch {
      // The terminal is gone (its window was closed): there is nothing to restore.
    }
  }
  const take = (): void => {
    if (raw === null || held) return
    raw.setRawMode?.(true)
    held = true
  }
  const again = (): void => {
    // After a stop and `fg` the shell has set its own modes.
    if (!held) return
    held = false
    take()
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    release()
    // Now without a handler: the process ends as the signal has it, and whoever waits for it sees that.
    process.kill(process.pid, signal)
  }
  const release = (): void => {
    restore()
    process.off('exit', restore)
    process.off('SIGCONT', again)
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  return {
    ...backend,
    get waiting() { return backend.waiting },
    get written() { return backend.written },
    connect(deliver, given) {
      clock = given
      if (raw !== null) {
        process.on('exit', restore)
        process.on('SIGCONT', again)
        for (const signal of SIGNALS) process.on(signal, onSignal)
        take()
      }
      return backend.connect(deliver, given)
    },
    close() {
      backend.close()
      clearInterval(ending)
      release()
      if (input !== undefined && 'unref' in input && typeof input.unref === 'function') input.unref()
    },
  }
}
