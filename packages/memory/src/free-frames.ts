import { PAGE_SIZE } from './page-size.ts'

/** Gives back to the host what lies behind bytes of a linear memory; afterwards they read as zeros. False when it did nothing. */
export type Discard = (offset: number, length: number) => boolean

/**
 * Frames that nobody has. Those that were used are taken before those that the host has back: the host would have to clear a page for them anew.
 */
export class FreeFrames {
  readonly #used: number[] = []
  /** They are zeros, and the host has what was behind them. */
  readonly #discarded: number[] = []

  get length(): number {
    return this.#used.length + this.#discarded.length
  }

  /** Those of which the host has nothing back. */
  get undiscarded(): number {
    return this.#used.length
  }

  put(frame: number): void {
    this.#used.push(frame)
  }

  /** A frame of any content. */
  take(): number | undefined {
    return this.#used.pop() ?? this.#discarded.pop()
  }

  /** A frame, which `clear` makes zeros unless it is. */
  takeZeroed(clear: (frame: number) => void): number | undefined {
    const frame = this.#used.pop()
    if (frame === undefined) return this.#discarded.pop()
    clear(frame)
    return frame
  }

  /**
   * Gives frames back to the host, neighbours at once: those that have been free for longest.
   *
   * @returns how many
   */
  discard(most: number, discard: Discard): number {
    const frames = this.#used.splice(0, most).sort((one, other) => one - other)
    let done = 0
    for (let first = 0, end = 0; first < frames.length; first = end) {
      const start = frames[first] ?? 0
      end = first + 1
      while (frames[end] === start + (end - first) * PAGE_SIZE) end++
      const given = discard(start, (end - first) * PAGE_SIZE)
      for (const frame of frames.slice(first, end)) (given ? this.#discarded : this.#used).push(frame)
      if (given) done += end - first
    }
    return done
  }
}
