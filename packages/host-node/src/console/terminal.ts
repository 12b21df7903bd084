import type { Readable } from 'node:stream'
import type { ReadStream, WriteStream } from 'node:tty'
import { type CharBackend, stream } from './char-stream.ts'
import { escapeParser } from './escape.ts'

/** What users are shown for Ctrl-A H. */
export const TERMINAL_HELP: string = [
  'Ctrl-A X  leave the machine (as pulling the plug)',
  'Ctrl-A H  this help',
  'Ctrl-A A  send Ctrl-A to the guest',
  'Everything else, Ctrl-C included, goes to the guest.',
].map((line) => `${line}\r\n`).join('')

/** How {@link terminal} behaves. */
export interface TerminalOptions {
  /** Called for Ctrl-A X, with the terminal still raw. */
  readonly onLeave?: () => void
  /** Asked about any other `Ctrl-A key` (lower case) before help; returns whether it was a command. */
  readonly onCommand?: (key: string) => boolean
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
  const backend = stream({
    ...(input === undefined ? {} : { input }),
    output: output as import('node:stream').Writable,
    ...(raw === null ? {} : { filter: (bytes: Uint8Array) => escape.feed(bytes) }),
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
    connect(deliver, clock) {
      if (raw !== null) {
        process.on('exit', restore)
        process.on('SIGCONT', again)
        for (const signal of SIGNALS) process.on(signal, onSignal)
        take()
      }
      return backend.connect(deliver, clock)
    },
    close() {
      backend.close()
      release()
      if (input !== undefined && 'unref' in input && typeof input.unref === 'function') input.unref()
    },
  }
}
