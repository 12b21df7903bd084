/** Numbers that a seed decides, the same in every engine. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e37_79b9) >>> 0
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let value = Math.imul(this.#state ^ this.#state >>> 15, this.#state | 1)
    value ^= value + Math.imul(value ^ value >>> 7, value | 61)
    return (value ^ value >>> 14) >>> 0
  }

  below(limit: number): number {
    return this.next() % limit
  }

  chance(of: number): boolean {
    return this.next() < of * 2 ** 32
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** 64 bits that mean something now and then. */
  wide(): bigint {
    const any = BigInt(this.next()) << 32n | BigInt(this.next())
    return this.pick([any, any, 0n, 1n, 0xffff_ffff_ffff_ffffn, 1n << 63n, BigInt(this.below(64)), 0xffff_ffff_8000_0000n])
  }
}
