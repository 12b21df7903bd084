import type { HostLoop } from '../assembly/host.ts'
import type { SliceResult } from './run-loop.ts'

/** One turn of the host's event loop, in nanoseconds. */
const HOST_TURN = 1_000_000

/** What the host's event loop drives. */
export interface Driven {
  /** Runs for about so many nanoseconds. */
  slice(limit: number): SliceResult
  /** Whether events wait to be delivered. */
  readonly pending: boolean
  /** Virtual time, brought up to date. */
  now(): number
  /** It does not wait any more. */
  awake(): void
}

/** What can be taken back: then whoever still holds `call`, as the event loop does until its next turn, keeps nothing alive. */
function cancellable(work: (() => void) | null): { readonly call: () => void; readonly cancel: () => void } {
  return { call: () => { work?.() }, cancel: () => { work = null } }
}

/** Calls a machine from the host's event loop, a turn at a time, and lets the process sleep while it waits. */
export class Driver {
  readonly #loop: HostLoop
  readonly #driven: Driven
  #on = false
  /** Ends the wait of the event loop for the next turn. */
  #cancel: (() => void) | null = null
  #idleSince: number | null = null
  #idleTime = 0

  constructor(loop: HostLoop, driven: Driven) {
    this.#loop = loop
    this.#driven = driven
  }

  /** Host time spent waiting, in nanoseconds. */
  get idleTime(): number {
    return this.#idleTime + (this.#idleSince === null ? 0 : this.#loop.now() - this.#idleSince)
  }

  start(): void {
    this.#on = true
    this.#soon()
  }

  stop(): void {
    this.#on = false
    this.#cancel?.()
    this.#cancel = null
    this.#endIdle()
  }

  /** Something came in: a machine that waits must look at it. */
  wake(): void {
    if (this.#idleSince === null || !this.#on) return
    this.#endIdle()
    this.#cancel?.()
    this.#soon()
  }

  #soon(): void {
    const { call, cancel } = cancellable(() => { this.#turn() })
    this.#cancel = cancel
    this.#loop.soon(call)
  }

  #turn(): void {
    this.#cancel = null
    this.#endIdle()
    if (!this.#on) return
    const result = this.#driven.slice(HOST_TURN)
    // Whatever happened in the slice may have arranged the next turn already.
    if (result.kind === 'stopped' || this.#cancel !== null) return
    if (result.kind === 'runnable' || this.#driven.pending) {
      this.#soon()
      return
    }
    this.#idleSince = this.#loop.now()
    if (result.until === Infinity) this.#cancel = () => {}
    else this.#cancel = this.#loop.after(Math.max(0, result.until - this.#driven.now()), () => { this.#turn() })
  }

  #endIdle(): void {
    if (this.#idleSince !== null) this.#idleTime += this.#loop.now() - this.#idleSince
    this.#idleSince = null
    this.#driven.awake()
  }
}
