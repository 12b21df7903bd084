const second = 1e9

/**
 * So many tokens a second, up to a capacity. Whoever needs more than the capacity waits for a full one, and leaves a debt. It keeps
 * the time at which it will be full, not a level: nothing has to be added up as time passes, so nothing is rounded.
 */
export class Bucket {
  #capacity: number
  /** Nanoseconds that a token takes. */
  #period: number
  #fullAt: number

  /** @param fullAt - nanoseconds; that of another bucket makes one that is as full */
  constructor(rate: number, capacity: number, fullAt: number) {
    this.#capacity = capacity
    this.#period = second / rate
    this.#fullAt = fullAt
  }

  get fullAt(): number {
    return this.#fullAt
  }

  /** When there will be enough, in nanoseconds: `now` when there is. */
  ready(cost: number, now: number): number {
    return Math.max(now, Math.ceil(this.#fullAt - Math.max(0, this.#capacity - cost) * this.#period))
  }

  take(cost: number, now: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + cost * this.#period
  }

  /** Another rate and capacity, from now on: what is left stays, as far as it fits, and so does what is owed. */
  change(rate: number, capacity: number, now: number): void {
    const period = second / rate
    if (period === this.#period && capacity === this.#capacity) return
    const left = Math.min(capacity, this.#capacity - Math.max(0, this.#fullAt - now) / this.#period)
    this.#fullAt = now + (capacity - left) * period
    this.#period = period
    this.#capacity = capacity
  }
}
