import type { Work } from './scheduler.ts'

/** A place in a {@link Heap}: what stands there, by which key. It is in one heap at a time. */
export class Slot<T> {
  readonly item: T
  key: number = 0
  /** Where among equals: who came first is first. */
  order: number = 0
  /** Which heap it is in, and its position there; −1: it is in none. */
  heap: Heap<T> | null = null
  at: number = -1

  constructor(item: T) {
    this.item = item
  }
}

/** A priority queue (binary heap) whose members can be moved and taken out: the least key first; of equal keys, who came first. */
export class Heap<T> {
  readonly #slots: Slot<T>[] = []
  readonly #work: Work
  #order = 0

  constructor(work: Work) {
    this.#work = work
  }

  get size(): number {
    return this.#slots.length
  }

  get first(): Slot<T> | undefined {
    return this.#slots[0]
  }

  /** Puts a slot in, out of another heap or of another place in this one; it goes behind those that have the same key. */
  put(slot: Slot<T>, key: number): void {
    if (slot.heap === this && slot.key === key) return
    if (slot.heap !== this) slot.heap?.remove(slot)
    slot.key = key
    slot.order = this.#order++
    if (slot.heap === null) {
      slot.heap = this
      slot.at = this.#slots.length
      this.#slots.push(slot)
    }
    this.#settle(slot)
  }

  /** Takes a slot out, if it is in this heap. */
  remove(slot: Slot<T>): void {
    if (slot.heap !== this) return
    const at = slot.at
    slot.heap = null
    slot.at = -1
    const last = this.#slots.pop()
    if (last === undefined || last === slot) return
    last.at = at
    this.#slots[at] = last
    this.#settle(last)
  }

  #settle(slot: Slot<T>): void {
    const slots = this.#slots
    let at = slot.at
    for (;;) {
      const up = (at - 1) >> 1
      const above = slots[up]
      if (at === 0 || above === undefined || !this.#before(slot, above)) break
      slots[at] = above
      above.at = at
      at = up
    }
    for (;;) {
      let down = 2 * at + 1
      let below = slots[down]
      if (below === undefined) break
      const other = slots[down + 1]
      if (other !== undefined && this.#before(other, below)) {
        down += 1
        below = other
      }
      if (!this.#before(below, slot)) break
      slots[at] = below
      below.at = at
      at = down
    }
    slots[at] = slot
    slot.at = at
  }

  #before(one: Slot<T>, other: Slot<T>): boolean {
    this.#work.steps += 1
    return one.key < other.key || (one.key === other.key && one.order < other.order)
  }
}
