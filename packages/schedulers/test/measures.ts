import type { Load, Run } from '../src/index.ts'

/** A load that tells when it wakes and when it has finished. */
export function watched(load: Load, on: { woke?: (now: number) => void; slept?: (now: number) => void }): Load {
  return {
    start: load.start,
    next(now, random) {
      const job = load.next(now, random)
      on.woke?.(now)
      return {
        run: job.run,
        wake(finished) {
          const again = job.wake(finished)
          if (again > finished) on.slept?.(finished)
          return again
        },
      }
    },
  }
}

/**
 * How far two are apart while both want to run: the greatest change, within a time in which neither slept, of the difference of what they got divided by their shares.
 */
export class PairLag {
  worst = 0
  readonly #shares: readonly [number, number]
  readonly #got = [0, 0]
  readonly #awake = [false, false]
  #least = 0
  #most = 0

  constructor(one: number, other: number) {
    this.#shares = [one, other]
  }

  woke(which: 0 | 1): void {
    if (this.#awake[which]!) return
    this.#awake[which] = true
    this.#least = this.#most = this.#difference
  }

  slept(which: 0 | 1): void {
    this.#awake[which] = false
  }

  ran(which: 0 | 1, time: number): void {
    this.#got[which]! += time
    if (!this.#awake[0]! || !this.#awake[1]!) return
    this.#least = Math.min(this.#least, this.#difference)
    this.#most = Math.max(this.#most, this.#difference)
    this.worst = Math.max(this.worst, this.#most - this.#least)
  }

  get #difference(): number {
    return this.#got[0]! / this.#shares[0] - this.#got[1]! / this.#shares[1]
  }
}

/** How much less somebody got than `rate` of the time, in any piece of time in which it wanted to run (`short`), and how much more in any piece (`over`). */
export class RateWatch {
  short = 0
  over = 0
  readonly #rate: number
  #got = 0
  #most = -Infinity
  #least = Infinity
  #awake = false

  constructor(rate: number) {
    this.#rate = rate
  }

  woke(now: number): void {
    if (this.#awake) return
    this.#awake = true
    this.#most = this.#got - this.#rate * now
  }

  slept(now: number): void {
    this.#look(now)
    this.#awake = false
  }

  ran({ from, to, ran }: Run<unknown>): void {
    this.#look(from)
    this.#got += ran
    this.#look(to)
  }

  #look(now: number): void {
    const ahead = this.#got - this.#rate * now
    this.#least = Math.min(this.#least, ahead)
    this.over = Math.max(this.over, ahead - this.#least)
    if (!this.#awake) return
    this.#most = Math.max(this.#most, ahead)
    this.short = Math.max(this.short, this.#most - ahead)
  }
}
