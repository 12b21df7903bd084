/** Who of several has how many of something of which there are only so many for all of them, each oldest first. */
export class Holders<T> {
  readonly #held = new Map<unknown, Set<T>>()
  readonly #whose = new Map<T, unknown>()

  /** It is the newest of its owner's. */
  add(owner: unknown, item: T): void {
    this.delete(item)
    const held = this.#held.get(owner)
    if (held === undefined) this.#held.set(owner, new Set([item]))
    else held.add(item)
    this.#whose.set(item, owner)
  }

  delete(item: T): void {
    const owner = this.#whose.get(item)
    const held = this.#held.get(owner)
    this.#whose.delete(item)
    if (held?.delete(item) === true && held.size === 0) this.#held.delete(owner)
  }

  /** It is the newest of its owner's again. */
  touch(item: T): void {
    if (this.#whose.has(item)) this.add(this.#whose.get(item), item)
  }

  /** Who is to give one away for one more of another's: who has most; that other itself, if it would have no less then. */
  giver(owner: unknown): unknown {
    let [who, most] = [owner, (this.#held.get(owner)?.size ?? 0) + 1]
    for (const [each, { size }] of this.#held) if (size > most) [who, most] = [each, size]
    return who
  }

  oldest(owner: unknown): T | undefined {
    const [first] = this.#held.get(owner) ?? []
    return first
  }
}
