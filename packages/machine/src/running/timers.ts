import type { Timer } from '@machinist/api'

interface Entry {
  readonly name: string
  readonly fire: () => void
  at: number
  /** Position in the heap, −1 when not armed. */
  index: number
  /** Order of arming, which breaks ties. */
  order: number
}

/** A timer that was armed. */
export interface SavedTimer {
  readonly name: string
  /** Virtual time, in nanoseconds. */
  readonly at: number
}

/**
 * All timers of a machine, in a binary heap with one place for each timer, so that arming over and over cannot make
 * it grow.
 */
export class Timers {
  readonly #heap: Entry[] = []
  #order = 0
  /** When the first timer expires; `Infinity` when none is armed. Kept, since it is asked for far more often than it changes. */
  next: number = Infinity
  /** Told when a timer is armed to expire before all others. */
  onEarlier: ((at: number) => void) | null = null

  /** Makes a timer, not armed. `name` is for records. */
  create(name: string, fire: () => void): Timer {
    const entry: Entry = { name, fire, at: Infinity, index: -1, order: 0 }
    return {
      arm: (at) => { this.#arm(entry, at) },
      cancel: () => { this.#remove(entry) },
    }
  }

  /** Disarms the timers that have expired at `now` and hands them over, in order of time, then of arming. */
  expire(now: number, take: (name: string, fire: () => void) => void): void {
    // Only those armed before: a timer armed again by what it does waits for the next time.
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.#remove(first)
      take(first.name, first.fire)
    }
  }

  /** What is armed, in the order in which it will expire. */
  save(): SavedTimer[] {
    return [...this.#heap].sort((a, b) => (before(a, b) ? -1 : 1)).map(({ name, at }) => ({ name, at }))
  }

  /** Disarms all. */
  clear(): void {
    for (const entry of this.#heap) entry.index = -1
    this.#heap.length = 0
    this.next = Infinity
  }

  #arm(entry: Entry, at: number): void {
    this.#remove(entry)
    // A device may compute any time from what a guest wrote; NaN and Infinity mean never.
    if (!(at < Infinity)) return
    entry.at = at
    entry.order = this.#order++
    entry.index = this.#heap.length
    this.#heap.push(entry)
    this.#up(entry)
    this.next = this.#heap[0]?.at ?? Infinity
    if (entry.index === 0) this.onEarlier?.(at)
  }

  #remove(entry: Entry): void {
    const { index } = entry
    if (index < 0) return
    entry.index = -1
    const last = this.#heap.pop()
    if (last !== undefined && last !== entry) {
      last.index = index
      this.#heap[index] = last
      this.#up(last)
      this.#down(last)
    }
    this.next = this.#heap[0]?.at ?? Infinity
  }

  #up(entry: Entry): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >> 1]
      if (parent === undefined || before(parent, entry)) return
      this.#swap(parent, entry)
    }
  }

  #down(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1]
      const right = this.#heap[2 * entry.index + 2]
      const child = left !== undefined && right !== undefined && before(right, left) ? right : left
      if (child === undefined || before(entry, child)) return
      this.#swap(entry, child)
    }
  }

  #swap(a: Entry, b: Entry): void {
    const { index } = a
    a.index = b.index
    b.index = index
    this.#heap[a.index] = a
    this.#heap[b.index] = b
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
