/** One operation on a range of a disk, running or waiting. */
interface Entry {
  readonly start: number
  readonly end: number
  readonly exclusive: boolean
  /** Earlier operations that must finish first. */
  blockers: number
  /** Later operations that wait for this one. */
  readonly dependents: Entry[]
  readonly operation: (release: () => void) => void
  finished: boolean
  /** The list of all, oldest first. */
  previous: Entry | null
  next: Entry | null
}

/**
 * Lets operations on disjoint ranges overlap and orders the others: an operation begins when every earlier one that
 * touches a byte of its range has finished, unless both only read. So a read that follows a write sees what was
 * written, though the host may complete in any order.
 */
export class Sequencer {
  #newest: Entry | null = null
  #pending = 0
  /** Operations are being begun; those that may begin meanwhile are next. */
  #beginning = false
  readonly #ready: Entry[] = []
  readonly #idle: (() => void)[] = []

  /** Operations that have not finished. */
  get pending(): number {
    return this.#pending
  }

  /**
   * Runs `operation`, now or later. It must call `release` once when it has finished.
   *
   * @param start - first byte
   * @param end - one past the last byte
   * @param exclusive - true for anything that changes the range
   */
  run(start: number, end: number, exclusive: boolean, operation: (release: () => void) => void): void {
    const entry: Entry = { start, end, exclusive, blockers: 0, dependents: [], operation, finished: false, previous: this.#newest, next: null }
    for (let earlier = this.#newest; earlier !== null; earlier = earlier.previous) {
      if ((exclusive || earlier.exclusive) && earlier.start < end && start < earlier.end) {
        earlier.dependents.push(entry)
        entry.blockers += 1
        // It waits itself for everything older that we would wait for.
        if (earlier.exclusive && earlier.start <= start && end <= earlier.end) break
      }
    }
    if (this.#newest !== null) this.#newest.next = entry
    this.#newest = entry
    this.#pending += 1
    if (entry.blockers > 0) return
    if (this.#beginning) this.#start(entry)
    else this.#begin(entry)
  }

  /** Whether there is nothing that has not finished, and nothing is being begun. */
  get free(): boolean {
    return this.#pending === 0 && !this.#beginning
  }

  /** Whether nothing that has not finished changes a byte of a range. */
  readable(start: number, end: number): boolean {
    for (let entry = this.#newest; entry !== null; entry = entry.previous) {
      if (entry.exclusive && entry.start < end && start < entry.end) return false
    }
    return true
  }

  /** Calls `callback` when nothing is pending: at once if so already. */
  whenIdle(callback: () => void): void {
    if (this.#pending === 0) callback()
    else this.#idle.push(callback)
  }

  /** Begins an operation, and all that may begin meanwhile. */
  #begin(first: Entry | undefined): void {
    this.#beginning = true
    try {
      // A list and not recursion: operations that finish at once would otherwise nest as deep as the queue is long.
      for (let next = first; next !== undefined; next = this.#ready.shift()) this.#start(next)
    } finally {
      this.#beginning = false
      // One threw. The others are not to blame.
      if (this.#ready.length > 0) this.#begin(this.#ready.shift())
    }
  }

  #start(entry: Entry): void {
    entry.operation(() => { this.#finish(entry) })
  }

  #finish(entry: Entry): void {
    if (entry.finished) return
    entry.finished = true
    this.#remove(entry)
    for (let index = 0; index < entry.dependents.length; index++) {
      const dependent = entry.dependents[index]
      if (dependent !== undefined && --dependent.blockers === 0) this.#ready.push(dependent)
    }
    if (!this.#beginning && this.#ready.length > 0) this.#begin(this.#ready.shift())
    if (this.#pending === 0 && this.#idle.length > 0) for (const callback of this.#idle.splice(0)) callback()
  }

  #remove(entry: Entry): void {
    this.#pending -= 1
    if (entry.previous !== null) entry.previous.next = entry.next
    if (entry.next !== null) entry.next.previous = entry.previous
    else this.#newest = entry.previous
  }
}
