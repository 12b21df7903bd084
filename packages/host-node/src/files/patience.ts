/** Milliseconds that a call may take, and for each byte besides, without counting as one that waited for the disk: what the page cache takes. */
const PROMPT = 0.05
const PROMPT_PER_BYTE = 1e-6
/** Bytes above which another thread's copying is worth the way there. */
const LARGE = 131_072
/** Of all time, what may be spent waiting; and milliseconds that may be spent so in one go. */
const SHARE = 0.1
const MOST = 20
/** Milliseconds of a turn in which calls are made at once. */
const TURN = 4

/**
 * A turn of a thread's event loop, from the first call on: after some milliseconds, whatever they went by with, no further calls are made at once. So
 * thousands of requests, or one in thousands of pieces, leave time for all else.
 */
export class Turn {
  #begin = NaN
  readonly #next: (callback: () => void) => void

  /** @param next - calls back in the loop's next turn */
  constructor(next: (callback: () => void) => void = setImmediate) {
    this.#next = next
  }

  /** Whether there is time left for calls at once. */
  open(now: number): boolean {
    if (Number.isNaN(this.#begin)) {
      this.#begin = now
      this.#next(() => { this.#begin = NaN })
    }
    return now - this.#begin < TURN
  }
}

const ours = new Turn()

/**
 * Whether file system calls are made at once, on the machine's thread, or later, on another. For what is in the host's page cache, at once costs
 * a tenth of the time; but a call that has to wait for the disk holds up the machine. Nothing says beforehand which it
 * will be, so each call is timed. What it waited is taken from a budget, which fills with time; while that is used up, calls are made later.
 */
export class Patience {
  #left = MOST
  #at = -Infinity
  readonly #now: () => number
  readonly #turn: Pick<Turn, 'open'>

  /**
   * @param now - milliseconds
   * @param turn - that of all files of a thread
   */
  constructor(now: () => number = () => performance.now(), turn: Pick<Turn, 'open'> = ours) {
    this.#now = now
    this.#turn = turn
  }

  /**
   * Does `work`, which moves `bytes`, at once; null if it should be done later.
   *
   * @param most - more bytes than these are moved later
   */
  atOnce<T>(bytes: number, work: () => T, most: number = LARGE): T | null {
    if (bytes > most) return null
    const begin = this.#now()
    this.#left = Math.min(MOST, this.#left + (begin - this.#at) * SHARE)
    this.#at = begin
    if (this.#left <= 0 || !this.#turn.open(begin)) return null
    try {
      return work()
    } finally {
      const waited = this.#now() - begin - PROMPT - bytes * PROMPT_PER_BYTE
      if (waited > 0) this.#left -= waited
    }
  }
}
