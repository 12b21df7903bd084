import type { HostLoop } from '@machinist/machine'

/** An event loop whose time goes from event to event. */
export interface VirtualLoop extends HostLoop {
  /** Runs all that is due until `time`, in nanoseconds. */
  runUntil(time: number): void
}

interface Event {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

export function virtualLoop(): VirtualLoop {
  let now = 0
  let order = 0
  const cancelled = new Set<Event>()
  /** A binary heap: each is due no later than those at twice its place, and one and two on. */
  const heap: Event[] = []
  const before = (one: Event | undefined, other: Event | undefined): boolean =>
    one !== undefined && (other === undefined || one.at < other.at || (one.at === other.at && one.order < other.order))
  const swap = (one: number, other: number): void => {
    const [first, second] = [heap[one], heap[other]]
    if (first === undefined || second === undefined) return
    heap[one] = second
    heap[other] = first
  }
  const pop = (): Event | undefined => {
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return last
    heap[0] = last
    for (let at = 0; ;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) if (before(heap[child], heap[least])) least = child
      if (least === at) return top
      swap(at, least)
      at = least
    }
  }
  const after = (ns: number, callback: () => void): (() => void) => {
    const event = { at: now + Math.max(0, ns), order: order++, callback }
    heap.push(event)
    for (let at = heap.length - 1; at > 0;) {
      const parent = (at - 1) >>> 1
      if (!before(heap[at], heap[parent])) break
      swap(at, parent)
      at = parent
    }
    return () => { cancelled.add(event) }
  }
  return {
    now: () => now,
    soon(callback) { after(0, callback) },
    after,
    runUntil(time) {
      while ((heap[0]?.at ?? Infinity) <= time) {
        const event = pop()
        if (event === undefined || cancelled.delete(event)) continue
        now = Math.max(now, event.at)
        event.callback()
      }
      now = time
    },
  }
}

/** A number from 0 to 1, from a seed. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
