import type { Device, DeviceContext, Width } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { FIRST, PIRQS, piix3Registers, routable } from './registers.ts'
import type { Piix3Irq } from './spec.ts'

/** Saved state of the bridge. */
export interface Piix3State {
  readonly registers: RegisterState
  /** Levels of PIRQA to PIRQD, one bit each. */
  readonly levels: number
}

type NoBackends = Readonly<Record<never, never>>
const pirqs = Array.from({ length: PIRQS }, (_, index) => index)

/** Routes the four interrupts of PCI to those of ISA. */
export class Piix3 implements Device<Piix3State> {
  readonly #context: DeviceContext<Piix3Irq, NoBackends>
  readonly #registers: RegisterBlock<typeof piix3Registers>
  #levels = 0

  constructor(context: DeviceContext<Piix3Irq, NoBackends>) {
    this.#context = context
    this.#registers = new RegisterBlock(piix3Registers, {
      name: context.name, trace: { ...context.trace, warn() {} },
      write: { PIRQRC: () => { this.#drive() } },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(FIRST + offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(FIRST + offset, width, value)
  }

  input(line: number, level: boolean): void {
    this.#levels = level ? this.#levels | 1 << line : this.#levels & ~(1 << line)
    this.#drive()
  }

  reset(): void {
    this.#registers.reset()
    this.#drive()
  }

  save(): Piix3State {
    return { registers: this.#registers.save(), levels: this.#levels }
  }

  restore(state: Piix3State): void {
    const data = plainData(this.#context.name, state, 'state')
    const registers = data.unknown('registers')
    const levels = data.integer('levels', 0, 2 ** PIRQS - 1)
    data.done()
    this.#registers.restore(registers)
    this.#levels = levels
    this.#drive()
  }

  #drive(): void {
    let asserted = 0
    for (const pirq of pirqs) {
      if ((this.#levels >>> pirq & 1) !== 0 && this.#registers.field('PIRQRC', 'DISABLED', pirq) === 0) asserted |= 1 << this.#registers.field('PIRQRC', 'ROUTE', pirq)
    }
    for (const line of routable) this.#context.irq[`irq${line}`].set((asserted >>> line & 1) !== 0)
  }
}
