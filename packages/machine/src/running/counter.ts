import type { TimeCounter } from '@machinist/api'
import { machinistError } from '@machinist/api'

const SECOND = 1_000_000_000
const MASK = (1n << 64n) - 1n
/** Counts up to here are numbers, and so are their differences. */
const FITS = BigInt(Number.MAX_SAFE_INTEGER)

/** What the views of one counter have in common. */
export interface CounterState {
  readonly frequency: number
  base: bigint
  readonly listeners: (() => void)[]
}

/**
 * Makes a machine's counter at zero.
 *
 * @param frequency - ticks per second: a divisor of 10^9, or at most 9 007 199, so that conversions are exact
 * @throws a typed error `'bad-frequency'`
 */
export function counterState(frequency: number, part: string): CounterState {
  if (!Number.isInteger(frequency) || frequency < 1 || (SECOND % frequency !== 0 && frequency > Number.MAX_SAFE_INTEGER / SECOND)) {
    throw machinistError(
      { code: 'bad-frequency', part, value: frequency, remedy: 'Use a divisor of 1000000000, or an integer up to 9007199.' },
      'the time frequency cannot be kept exactly')
  }
  return { frequency, base: 0n, listeners: [] }
}

/**
 * A view of the counter by one idea of `now` (nanoseconds): the CPU's is true to the instruction, a device's stands
 * still within an access.
 */
export function counterView(state: CounterState, now: () => number): TimeCounter {
  const { frequency } = state
  const tick = SECOND % frequency === 0 ? SECOND / frequency : 0
  const elapsed = tick !== 0
    ? (): number => Math.floor(now() / tick)
    : (): number => {
        const at = now()
        const seconds = Math.floor(at / SECOND)
        return seconds * frequency + Math.floor((at - seconds * SECOND) * frequency / SECOND)
      }
  /** The first nanosecond at which `elapsed` is `ticks`. */
  const timeOfElapsed = (ticks: bigint): number => {
    if (ticks <= 0n) return 0
    const at = (ticks * BigInt(SECOND) + BigInt(frequency) - 1n) / BigInt(frequency)
    return at > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(at)
  }
  const timeOfFew = (ticks: number): number => ticks * tick > Number.MAX_SAFE_INTEGER ? Infinity : ticks * tick
  const read = (): bigint => (state.base + BigInt(elapsed())) & MASK
  return {
    frequency,
    get base() { return state.base },
    elapsed,
    read,
    onWrite(listener) { state.listeners.push(listener) },
    write(ticks) {
      state.base = (ticks - BigInt(elapsed())) & MASK
      for (const listener of state.listeners) listener()
    },
    timeOf(ticks) {
      // Nearly always all of it fits into numbers, which engines are quick with.
      if (tick !== 0 && ticks >= 0n && ticks <= FITS && state.base <= FITS) return Math.max(0, timeOfFew(Number(ticks) - Number(state.base)))
      // One look at the time: between two of them a tick may pass, and the answer would be early by it.
      const passed = BigInt(elapsed())
      return timeOfElapsed(passed + (ticks & MASK) - ((state.base + passed) & MASK))
    },
  }
}
