import { Drain, type Taped } from './tape.ts'

/** The order of a log, written or read: of which machine it is, and whether it is at its end. */
export abstract class Order {
  readonly drain: Drain = new Drain()
  #machine: Taped | null = null
  #over = false

  begin(machine: Taped): void {
    this.#machine = machine
  }

  get machine(): Taped {
    if (this.#machine === null) throw new Error('a tape without a machine')
    return this.#machine
  }

  /** Nothing more is written, or read. */
  get over(): boolean {
    return this.#over
  }

  end(): void {
    this.#over = true
  }
}
