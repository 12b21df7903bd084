/**
 * The machine's virtual time. It stands still within one guest access to a device, so that two reads of one
 * register agree, and it never goes back.
 */
export interface Clock {
  /** Virtual nanoseconds since the machine was made. Integer, below 2^53. */
  now(): number
  /**
   * The timer behind a port. When it expires the device gets `event(port, undefined)`; a timer armed in the
   * past expires at the next opportunity.
   */
  timer(port: string): Timer
}

/**
 * The machine's virtual time for a backend that limits, delays or shapes what passes through it. It stands still
 * while the machine is paused or off, and timers with it.
 */
export interface BackendClock {
  /**
   * Virtual nanoseconds since the machine was made, as of the last thing that happened in it: right in calls from
   * devices, in callbacks of `deliver` and in those of timers; elsewhere it may lag behind.
   */
  now(): number
  /**
   * Virtual nanoseconds for which all harts have waited for something to happen, in all: for who wants to know whether a guest is busy or has nothing to do, however slow its host is. Absent where nobody knows. To be asked between
   * slices, not in calls from devices.
   */
  idle?(): number
  /** A new timer. `expired` runs through the gate, as callbacks of `deliver` do. A reset of the machine leaves it armed. */
  timer(expired: () => void): Timer
}

/** A one-shot timer. */
export interface Timer {
  /** Arms, or arms again, for virtual time `at` (nanoseconds). `Infinity` disarms. */
  arm(at: number): void
  cancel(): void
}

/** The counter that RISC-V calls `mtime`: one for the machine, behind the `time` CSR and the ACLINT MTIMER. */
export interface TimeCounter {
  /** Ticks per second of virtual time. */
  readonly frequency: number
  /** The current 64-bit count, as an unsigned BigInt: `base + elapsed()`, modulo 2^64. Not for hot paths. */
  read(): bigint
  /** What the count was when {@link TimeCounter.elapsed} was zero. Changes only by `write`. */
  readonly base: bigint
  /** Ticks since the machine was made, an integer. Cheap. */
  elapsed(): number
  /** Tells when `base` has changed. */
  onWrite(listener: () => void): void
  /** Sets the count; it goes on from there. */
  write(ticks: bigint): void
  /** Virtual time (nanoseconds) at which the count reaches `ticks`; in the past if it already has, `Infinity` if it never will. */
  timeOf(ticks: bigint): number
}
