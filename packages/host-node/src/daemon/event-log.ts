import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs'
import type { HypervisorEvent } from '@machinist/hypervisor'

/** Bytes of the file, over which it becomes the old one. */
const MOST_BYTES: number = 1 << 20
/** Events that are kept in memory, and answered. */
const KEPT = 2000

function eventOf(line: string): HypervisorEvent[] {
  try {
    const { at, kind, name, text } = JSON.parse(line) as Readonly<Record<string, unknown>>
    const known = typeof at === 'string' && /^[0-9]{1,30}$/.test(at) && typeof kind === 'string' && typeof name === 'string' && typeof text === 'string'
    return known ? [{ at: BigInt(at), kind, name, text }] : []
  } catch {
    // The last line of a process that was killed.
    return []
  }
}

/** The last events, in a file too: a line of JSON each. There are two files, of which one has the older. */
export class EventLog {
  readonly #path: string
  readonly #events: HypervisorEvent[] = []
  #bytes = 0

  constructor(path: string) {
    this.#path = path
    for (const file of [`${path}.old`, path]) {
      try {
        for (const line of readFileSync(file, 'utf8').split('\n')) this.#events.push(...eventOf(line))
        this.#bytes = statSync(file).size
      } catch {
        this.#bytes = 0
      }
    }
    this.#events.splice(0, this.#events.length - KEPT)
    // Whatever a process that was killed left behind ends here.
    if (this.#bytes > 0) this.#append('\n')
  }

  #append(text: string): void {
    try {
      if (this.#bytes > MOST_BYTES) {
        renameSync(this.#path, `${this.#path}.old`)
        this.#bytes = 0
      }
      appendFileSync(this.#path, text, { mode: 0o600 })
      this.#bytes += Buffer.byteLength(text)
    } catch {
      // A full disk ends no hypervisor: the events are in memory.
    }
  }

  push({ at, kind, name, text }: HypervisorEvent): void {
    if (this.#events.push({ at, kind, name, text }) > 2 * KEPT) this.#events.splice(0, KEPT)
    this.#append(`${JSON.stringify({ at: String(at), kind, name, text })}\n`)
  }

  last(name?: string): readonly HypervisorEvent[] {
    return this.#events.slice(-KEPT).filter((event) => name === undefined || event.name === name)
  }
}
