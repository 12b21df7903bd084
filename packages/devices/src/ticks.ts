import type { Clock } from '@machinist/api'

const NANOSECONDS = 1_000_000_000

/** Pulses of an oscillator, counted from virtual time: nothing happens at a pulse. Exact for frequencies up to 2^53 / 10^9, 9 MHz. */
export class Ticks {
  readonly #clock: Clock
  readonly #frequency: number
  /** Virtual time of pulse 0. */
  #origin = 0

  constructor(clock: Clock, frequency: number) {
    this.#clock = clock
    this.#frequency = frequency
  }

  /** Pulses so far. */
  get now(): number {
    const elapsed = this.elapsed
    return Math.floor(elapsed / NANOSECONDS) * this.#frequency + Math.floor((elapsed % NANOSECONDS) * this.#frequency / NANOSECONDS)
  }

  /** Nanoseconds since pulse 0; for saved states. */
  get elapsed(): number {
    return this.#clock.now() - this.#origin
  }

  set elapsed(nanoseconds: number) {
    this.#origin = this.#clock.now() - nanoseconds
  }

  /** The virtual time of a pulse. */
  timeOf(tick: number): number {
    return this.#origin + Math.floor(tick / this.#frequency) * NANOSECONDS + Math.ceil((tick % this.#frequency) * NANOSECONDS / this.#frequency)
  }
}
