import { BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE } from './page-size.ts'

/** Gives back to the host what lies behind bytes of a linear memory; afterwards they read as zeros. False when it did nothing. */
export type Discard = (offset: number, length: number) => boolean

/**
 * Frames that nobody has. Those that were used are taken before those that the host has back: the host would have to clear a page for them anew.
 */
export class FreeFrames {
  readonly #used: number[] = []
  /** They are zeros, and the host has what was behind them. */
  readonly #discarded: number[] = []
  /** Blocks of frames that came together, of any content: single frames are taken of one when there are no others. */
  readonly #blocks: number[] = []

  get length(): number {
    return this.#used.length + this.#discarded.length + this.#blocks.length * BLOCK_FRAMES
  }

  /** Those of which the host has nothing back. */
  get undiscarded(): number {
    return this.#used.length
  }

  put(frame: number): void {
    this.#used.push(frame)
  }

  /** Frames in any order, of which those that make a block stay together. */
  putAll(frames: readonly number[]): void {
    for (let first = 0; first < frames.length;) {
      const frame = frames[first] ?? 0
      const end = first + BLOCK_FRAMES
      if (frame % BLOCK_SIZE === 0 && frames[end - 1] === frame + BLOCK_SIZE - PAGE_SIZE && follows(frames, first, end)) {
        this.#blocks.push(frame)
        first = end
      } else {
        this.#used.push(frame)
        first++
      }
    }
  }

  /** The first frame of a block, of any content. */
  takeBlock(): number | undefined {
    return this.#blocks.pop()
  }

  /** A frame of any content. */
  take(): number | undefined {
    return this.#single() ?? this.#discarded.pop()
  }

  /** One of those that were used. */
  #single(): number | undefined {
    const block = this.#used.length === 0 ? this.#blocks.pop() : undefined
    // The last one first, so that they are taken in order.
    if (block !== undefined) for (let frame = block + BLOCK_SIZE - PAGE_SIZE; frame >= block; frame -= PAGE_SIZE) this.#used.push(frame)
    return this.#used.pop()
  }

  /** A frame, which `clear` makes zeros unless it is. */
  takeZeroed(clear: (frame: number) => void): number | undefined {
    const frame = this.#single()
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

function follows(frames: readonly number[], first: number, end: number): boolean {
  for (let at = first + 1; at < end; at++) if (frames[at] !== (frames[at - 1] ?? 0) + PAGE_SIZE) return false
  return true
}
