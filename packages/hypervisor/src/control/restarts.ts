import type { HostLoop } from '@machinist/machine'
import type { MachineRecord } from './record.ts'

const SECOND = 1_000_000_000
/** A machine that ran for so long was well, in nanoseconds. */
const WELL = 60 * SECOND
const LONGEST_WAIT = 60 * SECOND

/** Starts machines again that have come to an end: at once, and when that happens again and again, after longer and longer waits. */
export class Restarts {
  readonly #loop: HostLoop
  readonly #again: (record: MachineRecord) => Promise<void>
  #closed = false

  /** @param again - starts one; if it cannot, it is tried again later */
  constructor(loop: HostLoop, again: (record: MachineRecord) => Promise<void>) {
    this.#loop = loop
    this.#again = again
  }

  /** A machine has come to its end. */
  after(record: MachineRecord, failed: boolean): void {
    const { restart = 'never' } = record.spec
    if (this.#closed || record.ending || record.removed || !(restart === 'always' || (restart === 'on-failure' && failed))) return
    if (this.#loop.now() - record.startedAt > WELL) record.restarts = 0
    const wait = record.restarts === 0 ? 0 : Math.min(LONGEST_WAIT, SECOND * 2 ** (record.restarts - 1))
    record.restarts += 1
    this.cancel(record)
    record.cancelRestart = this.#loop.after(wait, () => {
      record.cancelRestart = () => {}
      void this.#again(record).catch(() => { this.after(record, true) })
    })
  }

  cancel(record: MachineRecord): void {
    record.cancelRestart()
    record.cancelRestart = () => {}
  }

  close(): void {
    this.#closed = true
  }
}
