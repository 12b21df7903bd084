/** Numbers by chance for tests: the same seed gives the same numbers everywhere. */
export class FuzzRandom {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e37_79b1) >>> 0
  }

  /** 32 random bits. */
  u32(): number {
    // A counter through a mixing function: each bit of the counter reaches each bit of the result.
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor(this.u32() / 2 ** 32 * limit)
  }

  chance(probability: number): boolean {
    return this.u32() < probability * 2 ** 32
  }

  /** One of `items`, of which there is at least one. */
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }

  /** `length` random bytes. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }
}
