/** Buckets for each doubling. */
const FINENESS = 16

/** Many times, of which little is kept: how many, the sum, the greatest, and quantiles that are exact within 1/16 of a doubling (4.4 %). */
export class Samples {
  count: number = 0
  sum: number = 0
  max: number = 0
  readonly #buckets = new Map<number, number>()

  add(value: number): void {
    this.count += 1
    this.sum += value
    if (value > this.max) this.max = value
    const bucket = value < 1 ? 0 : 1 + Math.floor(Math.log2(value) * FINENESS)
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1)
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count
  }

  /** A time that the given part of all (0 to 1) do not exceed. */
  quantile(part: number): number {
    let left = Math.ceil(part * this.count)
    if (left <= 0) return 0
    for (const [bucket, count] of [...this.#buckets].sort(([one], [other]) => one - other)) {
      left -= count
      if (left <= 0) return Math.min(this.max, bucket === 0 ? 1 : 2 ** (bucket / FINENESS))
    }
    return this.max
  }
}
