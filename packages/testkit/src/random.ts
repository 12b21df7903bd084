/**
 * A small fast generator of pseudo-random numbers: the same seed gives the same numbers on every host. (Doty-Humphrey's
 * sfc32 construction: three words of chaotic state and a counter.)
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1
  /** Low and high word of the last 64-bit value made by a function that says so. */
  lo = 0
  hi = 0

  /** Two numbers, so that a batch and a case in it make a seed together. */
  constructor(seed: number, stream: number = 0) {
    this.#a = seed | 0
    this.#b = stream | 0
    this.#c = (Math.floor(seed / 2 ** 32) ^ 0x9e37_79b9) | 0
    for (let i = 0; i < 15; i++) this.u32()
  }

  /** 32 random bits, unsigned. */
  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t | 0
    return t >>> 0
  }

  /** An integer from 0 to `limit` − 1; `limit` at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit)
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  chance(probability: number): boolean {
    return this.u32() < probability * 2 ** 32
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }

  /** Sets `lo` and `hi`. */
  set(lo: number, hi: number): void {
    this.lo = lo >>> 0
    this.hi = hi >>> 0
  }

  /** 64 random bits into `lo` and `hi`. */
  u64(): void {
    this.lo = this.u32()
    this.hi = this.u32()
  }
}
