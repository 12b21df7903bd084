import { badBackendState, backendStateFields, machinistError } from '@machinist/api'
import type { BackendState, Deliver } from '@machinist/api'

/** What a program may tell the host's hand on a device's memory. */
export interface TargetOptions {
  /** Bytes to ask for from the start; 0 unless given, or in a machine that goes on what it was asked for before. */
  readonly target?: number
  /** The guest changed what there is: bytes, as the device says. */
  readonly onResize?: (bytes: number) => void
}

/** The device's end: what it is asked for, and who wants to hear of changes. */
interface TargetPort<Listener> {
  readonly target: number
  listen(listener: Listener): void
  resized(bytes: number): void
}

/** A machine that has the control. What the device sees changes through the gate, so later than what the program says. */
interface Connected<Listener> {
  readonly deliver: Deliver
  target: number
  listener: Listener | null
}

const mostTarget = 2 ** 44

/**
 * The host's hand on a device to which it names a target in bytes, and which comes to it as the guest pleases. Snapshots of the machine have the target; one
 * that the program has named is not changed by them.
 */
export class TargetControl<Listener extends { targetChanged(): void }> {
  readonly #part: string
  readonly #onResize: ((bytes: number) => void) | undefined
  #target: number
  /** The program has said what it wants. */
  #named: boolean
  #size = 0
  #connected: Connected<Listener> | null = null

  /**
   * @param part - named in errors; their code is `PART-target`
   * @throws a typed error
   */
  constructor(part: string, options: TargetOptions) {
    this.#part = part
    this.#onResize = options.onResize
    this.#target = this.#checked(options.target ?? 0)
    this.#named = options.target !== undefined
  }

  #checked(target: number): number {
    if (Number.isSafeInteger(target) && target >= 0 && target <= mostTarget) return target
    throw machinistError({ code: `${this.#part}-target`, part: this.#part, value: target, remedy: 'Use a whole number of bytes from 0 to 2^44.' }, `not a size for the ${this.#part}`)
  }

  get target(): number {
    return this.#target
  }
  set target(bytes: number) {
    this.#target = this.#checked(bytes)
    this.#named = true
    const to = this.#connected
    to?.deliver(() => {
      to.target = bytes
      to.listener?.targetChanged()
    })
  }

  get size(): number {
    return this.#size
  }

  save(): readonly BackendState[] {
    return [{ kind: `${this.#part}-target`, version: 1, state: { target: this.#target } }]
  }

  restore(saved: BackendState, part: string): boolean {
    if (saved.kind !== `${this.#part}-target`) return false
    const { target } = backendStateFields(saved, 1, part)
    if (typeof target !== 'number' || !Number.isSafeInteger(target) || target < 0 || target > mostTarget) throw badBackendState(part, 'the saved target is none', String(target).slice(0, 80))
    if (!this.#named) this.#target = target
    return true
  }

  /** Calls the device, when the machine can take it. */
  protected tell(say: (listener: Listener) => void): void {
    const to = this.#connected
    to?.deliver(() => {
      if (to.listener !== null) say(to.listener)
    })
  }

  /** @throws a typed error `'backend-busy'` */
  protected attach(deliver: Deliver): TargetPort<Listener> {
    if (this.#connected !== null) {
      throw machinistError({ code: 'backend-busy', part: this.#part, remedy: 'Make a control for each machine.' }, 'the control belongs to another machine')
    }
    const here: Connected<Listener> = { deliver, target: this.#target, listener: null }
    this.#connected = here
    return {
      get target() { return here.target },
      listen: (listener) => { here.listener = listener },
      resized: (bytes) => {
        this.#size = bytes
        this.#onResize?.(bytes)
      },
    }
  }

  close(): void {
    this.#connected = null
    this.#size = 0
  }
}
