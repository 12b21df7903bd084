import { badBackendState, type BackendClock, type Timer } from '@machinist/api'

const second = 1e9

/** How full a bucket was. */
export interface Level {
  /** Bytes that might pass, below zero when more did. */
  readonly tokens: number
  /** When, in the machine's time. */
  readonly at: number
}

/** What a snapshot says of a bucket. @throws a typed error `'state'` */
export function levelOf(value: unknown, part: string): Level {
  const { tokens, at } = typeof value === 'object' && value !== null ? value as Partial<Record<keyof Level, unknown>> : {}
  if (typeof tokens !== 'number' || typeof at !== 'number' || !(Math.abs(tokens) <= Number.MAX_SAFE_INTEGER) || !(at >= 0 && at <= Number.MAX_SAFE_INTEGER)) throw badBackendState(part, 'the saved limits of bandwidth are none')
  return { tokens, at }
}

/** Lets through so many bytes a second, and a burst at once. A frame may pass while anything is left; the next one waits for longer. */
export class TokenBucket {
  #rate: number
  #burst: number
  readonly #clock: BackendClock
  readonly #timer: Timer
  #tokens: number
  #last: number

  /**
   * @param rate - bytes a second
   * @param expired - called some time after {@link open} was false, when it is worth asking again
   */
  constructor(rate: number, burst: number, clock: BackendClock, expired: () => void) {
    this.#rate = rate
    this.#burst = this.#tokens = burst
    this.#clock = clock
    this.#last = clock.now()
    this.#timer = clock.timer(expired)
  }

  /** Whether the next frame may pass now. If not, `expired` is called when it may. */
  open(): boolean {
    const now = this.#clock.now()
    this.#tokens = this.#at(now)
    this.#last = now
    if (this.#tokens > 0) return true
    this.#timer.arm(now + Math.ceil((1 - this.#tokens) * second / this.#rate))
    return false
  }

  #at(now: number): number {
    return Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#last) * this.#rate / second)
  }

  get level(): Level {
    return { tokens: this.#tokens, at: this.#last }
  }
  set level({ tokens, at }: Level) {
    this.#tokens = Math.min(this.#burst, tokens)
    this.#last = at
  }

  /** Another rate and burst, from now on: what is left stays, as far as it fits, and so does what is owed. */
  change(rate: number, burst: number): void {
    const now = this.#clock.now()
    this.#tokens = Math.min(burst, this.#at(now))
    this.#last = now
    this.#rate = rate
    this.#burst = burst
  }

  /** A frame of so many bytes passed. */
  take(bytes: number): void {
    this.#tokens -= bytes
  }

  stop(): void {
    this.#timer.cancel()
  }
}
