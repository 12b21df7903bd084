import type { MachineState, MachineStats } from '@machinist/machine'
import type { MachineDescription } from './description.ts'
import type { RelayChoice } from './network/relay.ts'

/** What a page asks of the worker of its machine. Each is answered, by its number. */
export interface Asks {
  make: { readonly description: MachineDescription; readonly base: string; readonly files: Readonly<Record<string, Blob>>; readonly size: TerminalSize | null; readonly relay: RelayChoice | null }
  start: null
  pause: null
  resume: null
  reset: null
  powerOff: null
  pressPowerButton: null
  stats: null
  snapshot: { readonly compressed: boolean }
  dispose: null
}

/** What it answers. */
export interface Answers {
  make: { readonly name: string; readonly consoles: readonly string[]; readonly state: MachineState }
  start: null
  pause: null
  resume: null
  reset: null
  powerOff: null
  pressPowerButton: boolean
  stats: MachineStats
  snapshot: Blob
  dispose: null
}

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** An error as messages carry it: what is typed stays so. */
export interface PlainError {
  readonly name: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What happens to a machine, by name. */
export interface MachineNews {
  /** The guest wrote to a console, called by part and port: `'uart0.console'`. */
  readonly output: { readonly part: string; readonly bytes: Uint8Array }
  readonly state: { readonly from: MachineState; readonly to: MachineState }
  /** It was switched off. */
  readonly power: { readonly status: number; readonly by: 'guest' | 'host' }
  readonly reset: { readonly by: 'guest' | 'host' }
  /** A part failed, and the machine is off. */
  readonly error: { readonly error: Error }
  readonly warn: { readonly part: string; readonly message: string }
  /** An image is being loaded: bytes so far, and how many there are when the server says. */
  readonly progress: { readonly image: string; readonly loaded: number; readonly total: number | null }
}

/** To the worker. */
export type ToWorker =
  | { readonly type: 'ask'; readonly id: number; readonly what: keyof Asks; readonly with: unknown }
  | { readonly type: 'typed'; readonly part: string; readonly bytes: Uint8Array }
  /** So many bytes of output were shown. */
  | { readonly type: 'taken'; readonly part: string; readonly count: number }
  | { readonly type: 'resize'; readonly size: TerminalSize }

/** From the worker. */
export type ToPage =
  /** Its program runs, and takes messages. */
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'news'; readonly what: keyof MachineNews; readonly news: unknown }

/** An error for a message. */
export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} }
  const fields = Object.fromEntries(Object.entries(error).filter(([, value]) => typeof value === 'string' || typeof value === 'number'))
  return { name: error.name, message: error.message, fields }
}

/** The error of a message. */
export function errorOf({ name, message, fields }: PlainError): Error {
  return Object.assign(new Error(message), { name, ...fields })
}
