import type { TimeCounter } from '@machinist/api'
import type { Native } from '../native.ts'

const SECOND = 1_000_000_000

/** What a machine's `time` is, by the hardware's own counter: an offset against it, which all harts of the machine have. */
export class GuestTime {
  readonly #native: Native
  readonly #counter: TimeCounter
  #origin = 0
  /** Counts up when the offset changes. */
  version = 0
  /** The guest's time at time 0 of {@link Native.now}. */
  offset = 0n

  constructor(native: Native, counter: TimeCounter) {
    this.#native = native
    this.#counter = counter
    counter.onWrite(() => { this.#update() })
  }

  /** Time of the hardware at virtual time zero, in nanoseconds. */
  get origin(): number {
    return this.#origin
  }

  set origin(origin: number) {
    if (origin === this.#origin && this.version > 0) return
    this.#origin = origin
    this.#update()
  }

  #update(): void {
    this.offset = this.#counter.base - BigInt(this.#ticks(this.#origin))
    this.version++
  }

  /** Whole ticks in a time, which may be negative. */
  #ticks(time: number): number {
    const { frequency } = this.#native
    if (SECOND % frequency === 0) return Math.floor(time / (SECOND / frequency))
    const seconds = Math.floor(time / SECOND)
    return seconds * frequency + Math.floor((time - seconds * SECOND) * frequency / SECOND)
  }
}
