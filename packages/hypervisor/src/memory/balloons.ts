import { PAGE_SIZE } from '@machinist/memory'
import type { Tenant } from './tenant.ts'

/** How often guests are asked, and balloons change, in nanoseconds. A guest takes its time. */
const STEP = 1e9
/** Bytes by which a balloon changes at once. */
const STEP_BYTES = 32 * 2 ** 20
/** The part of its memory that a guest keeps available for itself. */
const KEPT = 0.1

/** Asks guests to give up what they have available, while there is too little, and gives it back. */
export class Balloons {
  #next = -Infinity

  /** @param short - whether there is too little; else what balloons hold goes back, a step at a time */
  work(now: number, short: boolean, tenants: readonly Tenant[]): void {
    if (now < this.#next) return
    this.#next = now + STEP
    for (const { balloon, balloonBefore, resident, target, reserved } of tenants) {
      if (balloon === null) continue
      const { available = 0, total = 0 } = balloon.statistics
      const excess = Math.floor((resident - Math.max(target, reserved)) * PAGE_SIZE)
      if (short && excess > 0) {
        const more = Math.min(excess, STEP_BYTES, available - total * KEPT)
        if (more >= PAGE_SIZE) balloon.target = pages(balloon.size + more)
      } else if (!short && balloon.target > balloonBefore) balloon.target = pages(Math.max(balloonBefore, balloon.target - STEP_BYTES))
      if (short) balloon.askStats()
    }
  }
}

function pages(bytes: number): number {
  return Math.floor(bytes / PAGE_SIZE) * PAGE_SIZE
}
