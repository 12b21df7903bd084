import type { HypervisorEvent } from '../contract/hypervisor.ts'

/** Events that are kept. */
const KEPT = 2000

/** The last events, and who is told of them. */
export class Journal {
  readonly #events: HypervisorEvent[] = []
  readonly #listeners = new Set<(event: HypervisorEvent) => void>()
  readonly #wallClock: () => bigint
  readonly #broken: (error: unknown) => void

  /** @param broken - told what listeners throw */
  constructor(wallClock: () => bigint, broken: (error: unknown) => void) {
    this.#wallClock = wallClock
    this.#broken = broken
  }

  tell(kind: string, name: string, text: string): void {
    const event: HypervisorEvent = { at: this.#wallClock(), kind, name, text }
    if (this.#events.push(event) > 2 * KEPT) this.#events.splice(0, KEPT)
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        this.#broken(error)
      }
    }
  }

  last(name?: string): readonly HypervisorEvent[] {
    return this.#events.slice(-KEPT).filter((event) => name === undefined || event.name === name)
  }

  on(listener: (event: HypervisorEvent) => void): () => void {
    // The same function may listen twice.
    const own = (event: HypervisorEvent): void => { listener(event) }
    this.#listeners.add(own)
    return () => { this.#listeners.delete(own) }
  }
}
