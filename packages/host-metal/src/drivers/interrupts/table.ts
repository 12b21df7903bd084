import { machinistError } from '@machinist/api'
import type { InterruptController } from '../hardware.ts'

/** Interrupts that are served before somebody else has a turn. */
const TURN = 256
/** How often in a row a source may interrupt for nothing before it is switched off. */
const MOST_SPURIOUS = 1000

interface Source {
  /** Whether it was theirs. */
  readonly handlers: (() => boolean)[]
  spurious: number
}

/** Who serves which source of interrupts of the hardware. */
export class InterruptTable {
  readonly #controller: InterruptController
  readonly #warn: (text: string) => void
  readonly #sources = new Map<number, Source>()

  /** @param warn - told of sources that are switched off */
  constructor(controller: InterruptController, warn: (text: string) => void = () => {}) {
    this.#controller = controller
    this.#warn = warn
  }

  /**
   * Has a source served, and lets it interrupt. Several devices may share one.
   *
   * @param handler - whether the interrupt was its device's
   * @throws a typed error `'interrupt-source'` for what cannot be a source
   */
  attach(source: number, handler: () => boolean): void {
    if (!Number.isInteger(source) || source < 1 || source > 2047) throw machinistError({ code: 'interrupt-source', part: 'interrupts', value: source, remedy: 'Look at the device tree.' }, 'there is no such source')
    const known = this.#sources.get(source)
    if (known !== undefined) {
      known.handlers.push(handler)
      return
    }
    this.#sources.set(source, { handlers: [handler], spurious: 0 })
    this.#controller.enable(source, true)
  }

  /** Serves what is pending, as much as one turn holds. @returns how many interrupts there were */
  dispatch(): number {
    for (let count = 0; count < TURN; count++) {
      const number = this.#controller.claim()
      if (number === 0) return count
      const source = this.#sources.get(number)
      // All of them: a line that two devices share stays up for the second one.
      const served = source?.handlers.reduce((any, handler) => handler() || any, false) ?? false
      if (source === undefined) this.#silence(number, 'that nobody serves')
      else if (served) source.spurious = 0
      else if (++source.spurious === MOST_SPURIOUS) this.#silence(number, 'whose devices want nothing')
      this.#controller.complete(number)
    }
    return TURN
  }

  #silence(source: number, why: string): void {
    this.#controller.enable(source, false)
    this.#warn(`interrupts come from source ${source}, ${why}: it is switched off`)
  }
}
