import { machinistError } from '@machinist/api'
import type { HostLoop } from '../assembly/host.ts'
import type { Parts } from '../assembly/parts.ts'
import type { RunLoop } from '../running/run-loop.ts'

/** For how long requests may be under way, in nanoseconds of the host's time. */
const PATIENCE = 60e9

/** What a machine says of itself to whoever wants it to stand still. */
export interface Standing {
  /** Whether a slice is in progress, further down the stack. */
  readonly slicing: boolean
  /** Whether it goes on at all: it runs or is paused. */
  readonly alive: boolean
  /** Told when the first one wants it to stand still, and when the last one does no more. */
  held(is: boolean): void
}

/** Has a machine stand still between two instructions, with nothing under way, for as long as it takes to copy it. */
export class Stillness {
  readonly #parts: Parts
  readonly #loop: RunLoop
  readonly #hostLoop: HostLoop
  readonly #machine: Standing

  constructor(parts: Parts, loop: RunLoop, hostLoop: HostLoop, machine: Standing) {
    this.#parts = parts
    this.#loop = loop
    this.#hostLoop = hostLoop
    this.#machine = machine
  }

  /**
   * Does something, at once, when no hart runs, no disk writes into RAM, and nothing waits to be delivered. Or when the machine has come to an end
   * meanwhile: `work` must look. When it is a promise that comes of it, no hart runs until that is settled.
   *
   * @throws a typed error `'not-still'` when a request has been under way for a minute
   */
  async during<T>(work: () => T | Promise<T>): Promise<T> {
    // Several may want it at a time.
    if (this.#loop.copying++ === 0) this.#machine.held(true)
    const { connector, resolved: { definition } } = this.#parts
    const end = this.#hostLoop.now() + PATIENCE
    try {
      while (this.#machine.alive && this.#busy) {
        if (this.#hostLoop.now() > end) {
          throw machinistError(
            { code: 'not-still', part: definition.name, value: connector.due, remedy: 'See what its disks and folders wait for, and try again.' },
            'requests to its disks or folders do not come back')
        }
        for (const backend of connector.connected.values()) backend.quiesce?.()
        if (this.#machine.slicing || this.#parts.gate.pending === 0 || !this.#loop.deliver()) await new Promise<void>((resolved) => { this.#hostLoop.soon(resolved) })
      }
      const result = work()
      return result instanceof Promise ? await result : result
    } finally {
      if (--this.#loop.copying === 0) this.#machine.held(false)
    }
  }

  get #busy(): boolean {
    const { connector, gate } = this.#parts
    // What harts do before they come back may begin requests.
    if (!this.#machine.slicing) this.#loop.settle()
    return this.#machine.slicing || connector.due > 0 || gate.pending > 0
  }
}
