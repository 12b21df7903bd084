/** Told that somebody is about to take frames, and that there would be more than may be; `memory` is whose they will be. */
export type ShortListener = (frames: number, memory: object) => void

/**
 * How many frames there may be, in one arena or in several of one thread together. It refuses nothing: who listens makes room beforehand, as far as that can be done, and is asked again the next time.
 */
export class FrameBudget {
  /** Frames that there may be. */
  limit: number
  /** Frames in use, and what else counts as such: 4096 bytes are one. */
  used = 0
  /** Makes room, at once. In the middle of whatever a guest does: pages of `memory` itself must stay where they are, in frames, and translations of its machine must stay. */
  onShort: ShortListener | null = null

  /** @param limit - frames; no limit unless given */
  constructor(limit: number = Infinity) {
    this.limit = limit
  }

  /** Asks for room for so many more frames of `memory`, if they would be too many. */
  want(frames: number, memory: object): void {
    if (this.used + frames > this.limit) this.onShort?.(frames, memory)
  }
}
