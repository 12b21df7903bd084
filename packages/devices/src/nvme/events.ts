import type { PlainData } from '@machinist/registers'
import { ASYNC_EVENTS } from './registers.ts'

/** Types of asynchronous events (NVMe 1.4, 5.2), each with the log page that tells more, and what is told of errors and health. */
export const EventType = { error: 0, health: 1 } as const
export const EventInfo = { unknownDoorbell: 0, doorbellValue: 1, temperature: 1 } as const
const pages = [1, 2] as const

/** Saved state of events. */
export interface NvmeEventState {
  /** Identifiers of commands that wait for an event. */
  readonly requests: readonly number[]
  /** What has yet to be told of each type; -1 when nothing. */
  readonly pending: readonly number[]
  /** Whether a type is silent until its page was read. */
  readonly masked: readonly number[]
}

/** Asynchronous events, one of each type at a time (NVMe 1.4, 5.2). */
export class Events {
  #requests: number[] = []
  readonly #pending: number[] = pages.map(() => -1)
  readonly #masked: number[] = pages.map(() => 0)

  reset(): void {
    this.#requests = []
    this.#pending.fill(-1)
    this.#masked.fill(0)
  }

  /** Whether one more may wait. */
  get room(): boolean {
    return this.#requests.length < ASYNC_EVENTS
  }

  request(command: number): void {
    this.#requests.push(command)
  }

  /** Takes a request back; false when none has that identifier. */
  abort(command: number): boolean {
    const at = this.#requests.indexOf(command)
    if (at >= 0) this.#requests.splice(at, 1)
    return at >= 0
  }

  raise(type: number, info: number): void {
    if (this.#masked[type] === 0 && (this.#pending[type] ?? 0) < 0) this.#pending[type] = info
  }

  /** A page of the log was read. */
  read(page: number): void {
    const type = pages.findIndex((each) => each === page)
    if (type >= 0) this.#masked[type] = 0
  }

  /** An event and the command that tells it, or null. */
  next(): { readonly command: number; readonly result: number } | null {
    const type = this.#pending.findIndex((info) => info >= 0)
    if (type < 0) return null
    const command = this.#requests.shift()
    if (command === undefined) return null
    const result = type | (this.#pending[type] ?? 0) << 8 | (pages[type] ?? 0) << 16
    this.#pending[type] = -1
    this.#masked[type] = 1
    return { command, result }
  }

  save(): NvmeEventState {
    return { requests: [...this.#requests], pending: [...this.#pending], masked: [...this.#masked] }
  }

  restore({ requests, pending, masked }: NvmeEventState): void {
    this.#requests = [...requests]
    pending.forEach((value, type) => { this.#pending[type] = value })
    masked.forEach((value, type) => { this.#masked[type] = value })
  }
}

/** Checks what {@link Events.save} gave. */
export function eventState(data: PlainData): NvmeEventState {
  const list = data.unknown('requests')
  return {
    requests: data.integers('requests', Array.isArray(list) ? Math.min(list.length, ASYNC_EVENTS) : 0, 0, 0xffff),
    pending: data.integers('pending', pages.length, -1, 1), masked: data.integers('masked', pages.length, 0, 1),
  }
}
