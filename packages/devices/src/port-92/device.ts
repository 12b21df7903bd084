import type { Device, DeviceContext, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { Port92 as Bits, port92Registers } from './registers.ts'
import type { Port92Backends } from './spec.ts'

/** Saved state of the port. */
export interface Port92State {
  readonly value: number
  /** Whether a keyboard controller asks for A20 to be masked. */
  readonly masked: boolean
}

/** A reset of the machine, and the mask of A20: the line is low only while neither this port nor a keyboard controller lets it be. */
export class Port92 implements Device<Port92State> {
  readonly #context: DeviceContext<'a20m', Port92Backends>
  readonly #registers: RegisterBlock<typeof port92Registers>
  #masked = false

  constructor(context: DeviceContext<'a20m', Port92Backends>) {
    this.#context = context
    this.#registers = new RegisterBlock(port92Registers, {
      name: context.name, trace: context.trace,
      write: {
        PORT_92: (value, old) => {
          if ((value & ~old & Bits.fastInit) !== 0) context.backends.power.reset()
          this.#drive()
        },
      },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  /** A keyboard controller masks A20, or not. */
  input(_line: number, level: boolean): void {
    this.#masked = level
    this.#drive()
  }

  reset(): void {
    this.#registers.reset()
    this.#drive()
  }

  save(): Port92State {
    return { value: this.#registers.get('PORT_92'), masked: this.#masked }
  }

  restore(state: Port92State): void {
    const data = plainData(this.#context.name, state, 'state')
    const value = data.integer('value', 0, port92Registers.PORT_92.writable)
    const masked = data.boolean('masked')
    data.done()
    this.#registers.set('PORT_92', value)
    this.#masked = masked
    this.#drive()
  }

  #drive(): void {
    this.#context.irq.a20m.set(this.#masked && (this.#registers.get('PORT_92') & Bits.fastA20) === 0)
  }
}
