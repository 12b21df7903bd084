import type { Frame } from '@machinist/api'

/** What a frame counts at least, in bytes: what it costs to keep an empty one. */
const leastCost = 256

/** Frames that wait, bounded in number and bytes. */
export class FrameQueue {
  readonly #frames: number
  readonly #bytes: number
  #list: (Frame | undefined)[] = []
  #head = 0
  #held = 0

  constructor(frames: number, bytes: number) {
    this.#frames = frames
    this.#bytes = bytes
  }

  get length(): number {
    return this.#list.length - this.#head
  }

  /** False when there is no room. A frame always has room in an empty queue. */
  push(frame: Frame): boolean {
    const cost = Math.max(frame.bytes.length, leastCost)
    if (this.length > 0 && (this.length >= this.#frames || this.#held + cost > this.#bytes)) return false
    this.#held += cost
    this.#list.push(frame)
    return true
  }

  /** The frame that is next to be taken. */
  peek(): Frame | null {
    return this.#list[this.#head] ?? null
  }

  shift(): Frame | null {
    const frame = this.#list[this.#head]
    if (frame === undefined) return null
    this.#list[this.#head] = undefined
    this.#head++
    this.#held -= Math.max(frame.bytes.length, leastCost)
    // Moved seldom, so that a long queue costs no more than a short one.
    if (this.#head === this.#list.length || this.#head >= 1024) {
      this.#list = this.#list.slice(this.#head)
      this.#head = 0
    }
    return frame
  }

  clear(): void {
    this.#list = []
    this.#head = this.#held = 0
  }
}
