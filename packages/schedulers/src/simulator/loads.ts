import { notNegative, positive } from '../refuse.ts'
import type { Random } from './random.ts'

/** What an entity does after it woke: it needs CPU time, then it sleeps. */
export interface Job {
  /** CPU time, ns; `Infinity`: it never ends. */
  readonly run: number
  /** When it wakes again, by when it has finished; now and earlier: it goes on at once. */
  readonly wake: (finished: number) => number
}

/** What an entity does. A load belongs to one entity. */
export interface Load {
  /** When it wakes first, ns. */
  readonly start: number
  /** What it does when it wakes, or goes on, at `now`. */
  next(now: number, random: Random): Job
}

/** Computes without an end. */
export function busy(start: number = 0): Load {
  return { start: notNegative('the start', start), next: () => ({ run: Infinity, wake: () => Infinity }) }
}

/** Needs `run` ns of CPU time every `period` ns, such as sound and video; when it is late, it catches up. */
export function periodic(run: number, period: number, start: number = 0): Load {
  positive('the CPU time', run)
  positive('the period', period)
  let released = notNegative('the start', start) - period
  return {
    start,
    next() {
      released += period
      const next = released + period
      return { run, wake: () => next }
    },
  }
}

/** Needs about `run` ns of CPU time, sleeps for about `sleep` ns, and so on; both have an exponential distribution. Key strokes, requests. */
export function bursts(run: number, sleep: number, start: number = 0): Load {
  positive('the CPU time', run)
  positive('the sleep', sleep)
  return {
    start: notNegative('the start', start),
    next(_now, random) {
      const rest = random.exponential(sleep)
      return { run: Math.max(1, random.exponential(run)), wake: (finished) => finished + rest }
    },
  }
}
