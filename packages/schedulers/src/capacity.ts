/** How much of what was learnt from the last run counts for the next. */
const LEARNING = 1 / 16

/**
 * The clock of promises: the CPU time that the processors gave away or had to spare, for each of them. On a host that has its processors for
 * itself it goes with the time; where the host takes two thirds of the CPU for something else, it goes at a third. A promise of 30 % by the time would then be
 * nearly all there is; by this clock it is 30 % of what there is.
 *
 * What a run took is known when it ends. Until then it is taken to go at the speed of those before it. When it took less, the clock stands still until it is right again.
 */
export class CapacityClock {
  /** What it shows: nanoseconds of CPU time, of each processor. */
  now: number = 0
  /** What it should show. */
  #true = 0
  #mark = -Infinity
  #processors: number
  #idle = 0
  #running = 0
  /** CPU time in a nanosecond of a run, and what a run that goes on for ever would have got. */
  #speed = 1
  #run = 0

  constructor(processors: number) {
    this.#processors = processors
  }

  /** The last time of the host's clock. */
  get time(): number {
    return this.#mark
  }

  /** The host's clock shows `time`. A time before the last one counts as the last one. */
  advance(time: number): void {
    if (!(time > this.#mark)) return
    const passed = this.#mark === -Infinity ? 0 : time - this.#mark
    this.#run += passed * this.#speed
    this.#add((passed * (this.#idle + this.#running * this.#speed)) / this.#processors)
    this.#mark = time
  }

  /** One more (1) or one less (−1) processor has nobody to run. */
  idle(change: 1 | -1): void {
    this.#idle += change
  }

  /** A run begins. What is returned is for its {@link end}. */
  begin(): number {
    this.#running += 1
    return this.#run
  }

  /** A run ends, which took `ran` of CPU time in `elapsed`. */
  end(begun: number, ran: number, elapsed: number): void {
    this.#running -= 1
    this.#add((ran - (this.#run - begun)) / this.#processors)
    if (elapsed > 0) this.#speed += (Math.min(1, ran / elapsed) - this.#speed) * LEARNING
  }

  resize(processors: number): void {
    this.#processors = processors
  }

  #add(time: number): void {
    this.#true += time
    if (this.#true > this.now) this.now = this.#true
  }
}
