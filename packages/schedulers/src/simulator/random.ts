/** Pseudo-random numbers: the same seed gives the same on every host. (Steele, Lea, Flood, SplitMix, with the 32-bit finaliser of MurmurHash3.) */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A number from 0 up to, but not, 1. */
  next(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0
    let bits = this.#state
    bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b)
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35)
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** One of these. */
  of<T>(items: readonly [T, ...T[]]): T {
    return items[this.between(0, items.length - 1)] ?? items[0]
  }

  /** A number with an exponential distribution, as gaps between independent events have. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }
}
