/** Milliseconds that a call may take, and for each byte besides, without counting as one that waited for the disk: what the page cache takes. */
const PROMPT = 0.05
const PROMPT_PER_BYTE = 1e-6
/** Bytes above which another thread's copying is worth the way there. */
const LARGE = 131_072
/** Of all time, what may be spent waiting; and milliseconds that may be spent so in one go. */
const SHARE = 0.1
const MOST = 20

/**
 * Whether file system calls are made at once, on the machine's thread, or later, on another. For what is in the host's page cache, at once costs
 * a tenth of the time; but a call that has to wait for the disk holds up the machine. Nothing says beforehand which it
 * will be, so each call is timed. What it waited is taken from a budget, which fills with time; while that is used up, calls are made later.
 */
export class Patience {
  #left = MOST
  #at = -Infinity
  readonly #now: () => number

  /** @param now - milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Does `work`, which moves `bytes`, at once; null if it should be done later. */
  atOnce<T>(bytes: number, work: () => T): T | null {
    if (bytes > LARGE) return null
    const begin = this.#now()
    this.#left = Math.min(MOST, this.#left + (begin - this.#at) * SHARE)
    this.#at = begin
    if (this.#left <= 0) return null
    try {
      return work()
    } finally {
      const waited = this.#now() - begin - PROMPT - bytes * PROMPT_PER_BYTE
      if (waited > 0) this.#left -= waited
    }
  }
}
