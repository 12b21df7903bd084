import type { Machine } from '../life/machine.ts'

/** A moment of a machine that replays a recording, to which it can go back. */
export interface Checkpoint {
  /** Instructions retired by all harts; steps of all, and of each. */
  readonly retired: number
  readonly steps: number
  readonly harts: readonly number[]
  /** A machine that goes on from there, paused. As often as wanted. */
  restore(): Machine
  /** Gives its memory back. */
  dispose(): void
}

/** What is kept besides: how much had been said by then. */
export interface Kept {
  readonly checkpoint: Checkpoint
  readonly said: number
}

/** Checkpoints of one recording, in order. Of too many, those are given up that are missed least: far from where the machine is, and close to others. */
export class Checkpoints {
  readonly #most: number
  #kept: Kept[] = []

  constructor(most: number) {
    this.#most = most
  }

  /** The last one at which `fits`, or null for the beginning. */
  last(fits: (checkpoint: Checkpoint) => boolean): Kept | null {
    return this.#kept.findLast(({ checkpoint }) => fits(checkpoint)) ?? null
  }

  add(kept: Kept): void {
    const { steps } = kept.checkpoint
    const at = this.#kept.findLastIndex(({ checkpoint }) => checkpoint.steps < steps) + 1
    this.#kept.splice(at, 0, kept)
    if (this.#kept.length > this.#most) this.#thin(steps)
  }

  #thin(present: number): void {
    let least = Infinity
    let which = 0
    for (const [index, { checkpoint: { steps } }] of this.#kept.entries()) {
      if (steps === present) continue
      const before = this.#kept[index - 1]?.checkpoint.steps ?? 0
      const after = this.#kept[index + 1]?.checkpoint.steps ?? steps
      const missed = (after - before) / (1 + Math.abs(present - steps))
      if (missed < least) [least, which] = [missed, index]
    }
    for (const { checkpoint } of this.#kept.splice(which, 1)) checkpoint.dispose()
  }

  dispose(): void {
    for (const { checkpoint } of this.#kept.splice(0)) checkpoint.dispose()
  }
}
