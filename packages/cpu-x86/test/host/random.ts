/** A generator of numbers that are the same for the same seed (xorshift). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761 + 1) >>> 0 || 1
    for (let i = 0; i < 8; i++) this.bits32()
  }

  bits32(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return Math.imul(this.#state, 0x9e37_79b1) >>> 0
  }

  bits64(): bigint {
    return BigInt(this.bits32()) << 32n | BigInt(this.bits32())
  }

  /** From 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.bits32() / 2 ** 32 * limit)
  }

  of<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('of nothing')
    return item
  }
}
