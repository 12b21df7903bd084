import { isMachinistError } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import type { MachineRecord } from './record.ts'

const MS = 1e6
/** A guest that begins just now may not look at its power button yet: it is pressed again after so long, in nanoseconds. */
const AGAIN = 3e9

/** Asks guests to switch themselves off. */
export class Stopping {
  readonly #loop: HostLoop

  constructor(loop: HostLoop) {
    this.#loop = loop
  }

  /**
   * Presses the power button of a machine until it is off, or time has run out.
   *
   * @param within - milliseconds
   * @param inTurn - does something with it when what was asked before is done
   * @returns null when it is off; or why its plug is to be pulled
   */
  async ask(record: MachineRecord, within: number, inTurn: (work: () => Promise<string | null>) => Promise<string | null>): Promise<string | null> {
    const end = this.#loop.now() + within * MS
    let off = false
    const gone = record.whenOff().then(() => { off = true })
    for (;;) {
      const refused = await inTurn(async () => (off || record.link === null ? null : this.#press(record)))
      if (refused !== null) return refused
      const left = end - this.#loop.now()
      if (!off && left > 0) await this.#wait(gone, Math.min(AGAIN, left))
      // What else was done with it meanwhile is done with another life of it.
      if (off || record.link === null) return null
      if (this.#loop.now() >= end) return `as its guest did not switch it off within ${String(within / 1000)} s`
    }
  }

  async #press(record: MachineRecord): Promise<string | null> {
    if (record.state === 'paused') return 'as its guest was paused'
    record.ending = true
    try {
      await record.link?.ask({ do: 'press', name: record.spec.name })
      record.pressed = true
      return null
    } catch (error) {
      if (!record.alive) return null
      if (isMachinistError(error) && error.code === 'no-power-button') return 'as it has no power button'
      throw error
    }
  }

  async #wait(gone: Promise<void>, ns: number): Promise<void> {
    let cancel = (): void => {}
    await Promise.race([gone, new Promise<void>((resolve) => { cancel = this.#loop.after(ns, resolve) })])
    cancel()
  }
}

/** What the event tells of the end of a machine. */
export function endOf({ pressed, pulled }: MachineRecord, by: 'guest' | 'host', status: number): string {
  if (by === 'host') return `its plug was pulled${pulled === '' ? '' : `, ${pulled}`}`
  return `its guest switched it off with status ${String(status)}${pressed ? ', as its power button was pressed' : ''}`
}
