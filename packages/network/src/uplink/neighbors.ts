/** Stations that are remembered, and of these those that did not answer yet. */
const MOST = 1024
const MOST_SOUGHT = 64
/** Frames that wait for one. */
const MOST_WAITING = 8
const TRIES = 3
/** Between questions, and from an answer to the next question; in milliseconds (RFC 1122, 2.3.2.1). */
const RETRY = 1000
const FRESH = 60_000
const STALE = 4 * FRESH

interface Neighbor {
  mac: number | null
  /** When it is asked again, at the earliest. */
  due: number
  tries: number
  until: number
  readonly waiting: Uint8Array[]
}

/** What {@link Neighbors} needs. */
export interface NeighborsOptions {
  now(): number
  ask(address: number): void
  /** Sends a frame that waited. */
  send(mac: number, frame: Uint8Array): void
  /** Frames for somebody who is not there. */
  lost(frame: Uint8Array): void
}

/** Where the stations of a link are (RFC 826), of those that somebody wants something of. */
export class Neighbors {
  readonly #options: NeighborsOptions
  /** The longest known first. */
  readonly #known = new Map<number, Neighbor>()
  #sought = 0

  constructor(options: NeighborsOptions) {
    this.#options = options
  }

  /** How many are asked for. */
  get sought(): number {
    return this.#sought
  }

  /** Where a station is; null when that is being found out, and the frame waits. */
  find(address: number, frame: Uint8Array): number | null {
    const now = this.#options.now()
    let neighbor = this.#known.get(address)
    if (neighbor === undefined) {
      // Who seeks the whole network keeps nobody from those that are known.
      if (this.#sought >= MOST_SOUGHT) {
        this.#options.lost(frame)
        return null
      }
      neighbor = { mac: null, due: now, tries: 0, until: 0, waiting: [] }
      this.#known.set(address, neighbor)
      this.#sought++
    }
    if (neighbor.mac !== null) {
      if (now >= neighbor.until) this.#forget(address, neighbor)
      else {
        if (now >= neighbor.due) this.#ask(address, neighbor, now)
        return neighbor.mac
      }
      return this.find(address, frame)
    }
    neighbor.waiting.push(frame)
    if (neighbor.waiting.length > MOST_WAITING) neighbor.waiting.shift()
    if (neighbor.tries === 0) this.#ask(address, neighbor, now)
    return null
  }

  /** A station said where it is. Of those that nobody wants anything of, nothing is kept. */
  heard(address: number, mac: number): void {
    const neighbor = this.#known.get(address)
    if (neighbor === undefined) return
    const now = this.#options.now()
    if (neighbor.mac === null) this.#sought--
    Object.assign(neighbor, { mac, tries: 0, due: now + FRESH, until: now + STALE })
    this.#known.delete(address)
    this.#known.set(address, neighbor)
    const [oldest] = this.#known.size > MOST ? this.#known : []
    if (oldest !== undefined) this.#forget(...oldest)
    for (const frame of neighbor.waiting.splice(0)) this.#options.send(mac, frame)
  }

  /** Asks again for those that have not answered; gives up those that do not. */
  poll(): void {
    const now = this.#options.now()
    for (const [address, neighbor] of [...this.#known]) {
      if (neighbor.mac !== null || neighbor.due > now) continue
      if (neighbor.tries < TRIES) {
        this.#ask(address, neighbor, now)
        continue
      }
      this.#forget(address, neighbor)
      for (const frame of neighbor.waiting) this.#options.lost(frame)
    }
  }

  /** The link is another. */
  clear(): void {
    this.#known.clear()
    this.#sought = 0
  }

  #ask(address: number, neighbor: Neighbor, now: number): void {
    neighbor.tries++
    neighbor.due = now + RETRY
    this.#options.ask(address)
  }

  #forget(address: number, neighbor: Neighbor): void {
    this.#known.delete(address)
    if (neighbor.mac === null) this.#sought--
  }
}
