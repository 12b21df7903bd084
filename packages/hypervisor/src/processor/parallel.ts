import type { Machine } from '@machinist/machine'

/** What a runner needs of a machine whose harts can run on other processors than that of this thread. */
export type Lendable = Pick<Machine, 'parallel' | 'wanting' | 'lend' | 'takeBack'> & Partial<Pick<Machine, 'restless'>>

/**
 * Processors of the host besides the one that this thread has, on which harts of machines run: see `Machine.lend`. They are numbered from 1; number 0 is this thread's.
 */
export interface OtherProcessors {
  readonly count: number
  /** On how many of them a hart runs, as far as is known: of one that has come back after the last look. */
  readonly running: number
  /** Looks which harts have come back; their machines are woken. */
  poll(): void
  /** Waits until a hart has come back, the host wants something else, or a time of the host. */
  wait(until: number): void
  /**
   * Set by who shares the processors out. To be called when harts have come back while one of another machine runs on this thread: it does what they came for and goes on with that one, whose time this is not.
   * False: the hart that runs here should leave.
   */
  attend: (() => boolean) | null
  /**
   * For how long, in nanoseconds, the host looked what it was interrupted for while a machine's hart ran on this thread, which `cpuTime` does not count. Who shares processors out takes it, and charges it to those for whom something came in; if there are none, to
   * nobody.
   */
  found: number
}
