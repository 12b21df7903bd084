/** Host time that is remembered, about: what was measured longer ago counts less and less. */
const MEMORY = 2_000_000
/** Most host time that one measurement counts for: the host may have been elsewhere meanwhile. */
const MOST = 1_000_000
/** Least host time that says anything. */
const LEAST = 50_000
/** Instructions per nanosecond, before anything is known. */
const FIRST_GUESS = 0.05
/** The part of a step of the host's clock that a turn takes at least. */
const PART_OF_STEP = 1 / 8

/**
 * How fast harts are, in instructions per nanosecond of host time, and what that means for the length of turns. A host's clock may be
 * coarse (a millisecond in browsers, where it may jitter too), so most turns seem to take no time and a few take a whole step. So turns are
 * added up until some time has passed: as many steps fall into turns as turns are long.
 */
export class Speed {
  #instructions: number = FIRST_GUESS * MEMORY
  #time: number = MEMORY
  #newInstructions = 0
  #newTime = 0
  /** The shortest time, not zero, that a turn seemed to take. */
  #step = Infinity

  /** Notes what a turn was. */
  add(instructions: number, nanoseconds: number): void {
    this.#newInstructions += instructions
    this.#newTime += Math.max(0, nanoseconds)
    if (nanoseconds > 0) this.#step = Math.min(this.#step, nanoseconds)
    if (this.#newTime < LEAST) return
    const weight = Math.min(1, MOST / this.#newTime)
    this.#instructions += this.#newInstructions * weight
    this.#time += this.#newTime * weight
    const kept = MEMORY / this.#time
    this.#instructions *= kept
    this.#time *= kept
    this.#newInstructions = this.#newTime = 0
  }

  /**
   * Instructions that take about so many nanoseconds. A deadline that is closer than the clock can tell is no reason for many turns until
   * the clock moves on.
   */
  instructionsIn(nanoseconds: number): number {
    const least = this.#step === Infinity ? 0 : this.#step * PART_OF_STEP
    return Math.ceil(Math.max(nanoseconds, least) * this.#instructions / this.#time)
  }
}
