import { type Backend, badBackendState, type BackendState, backendStateFields, type Deliver, type InputEvent, type InputPort } from '@machinist/api'

/** What a definition calls it: an input device that is connected to this is a power button of the machine. */
export const POWER_BUTTON = 'power-button'

/** Linux's `input-event-codes.h`. */
const EV_SYN = 0
const EV_KEY = 1
const KEY_POWER = 116

/** It goes down, and up again: each is a packet. */
const PRESS: readonly (readonly InputEvent[])[] = [1, 0].map((value) => [{ type: EV_KEY, code: KEY_POWER, value }, { type: EV_SYN, code: 0, value: 0 }])

/** The power button of a machine, which its host presses: `Machine.pressPowerButton`. */
export class PowerButton implements Backend<InputPort> {
  readonly kind = 'input'
  /** Packets of a press that the guest has not taken yet. */
  #left = 0
  #tell: () => void = () => {}

  /** Presses it, unless the guest has yet to take that it was pressed before. */
  press(): void {
    if (this.#left === 0) this.#left = PRESS.length
    this.#tell()
  }

  connect(deliver: Deliver): InputPort {
    return {
      receive: () => (this.#left === 0 ? null : PRESS[PRESS.length - this.#left--] ?? null),
      status() {},
      listen: ({ readable }) => {
        this.#tell = () => { deliver(readable) }
        if (this.#left > 0) this.#tell()
      },
    }
  }

  save(): readonly BackendState[] {
    return this.#left === 0 ? [] : [{ kind: POWER_BUTTON, version: 1, state: { left: this.#left } }]
  }

  restore(saved: BackendState, part: string): boolean {
    if (saved.kind !== POWER_BUTTON) return false
    const { left } = backendStateFields(saved, 1, part)
    const at = PRESS.findIndex((_, index) => index + 1 === left)
    if (at < 0) throw badBackendState(part, 'the saved power button is none', String(left).slice(0, 80))
    this.#left = at + 1
    return true
  }
}
