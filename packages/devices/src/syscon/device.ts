import type { Device, DeviceContext, Width } from '@machinist/api'
import { extract, plainData, RegisterBlock } from '@machinist/registers'
import { finish, sysconRegisters } from './registers.ts'
import type { SysconBackends } from './spec.ts'

/** It keeps nothing. */
export type SysconState = Readonly<Record<never, never>>

/** Exit status of a failure that gives none. */
const plainFailure = 1

/** The power switch. */
export class Syscon implements Device<SysconState> {
  readonly #name: string
  readonly #registers: RegisterBlock<typeof sysconRegisters>

  constructor(context: DeviceContext<never, SysconBackends>) {
    const { FINISHER: { fields } } = sysconRegisters
    const { power } = context.backends
    this.#name = context.name
    this.#registers = new RegisterBlock(sysconRegisters, {
      name: context.name,
      trace: context.trace,
      write: {
        FINISHER(value) {
          const status = extract(value, fields.STATUS)
          if (status === finish.pass) power.off(0)
          else if (status === finish.fail) power.off(extract(value, fields.CODE) || plainFailure)
          else if (status === finish.reset) power.reset()
          else context.trace.warn(`${context.name}: ignored 0x${value.toString(16)}, which means nothing`)
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

  reset(): void {
    this.#registers.reset()
  }

  save(): SysconState {
    return {}
  }

  restore(state: SysconState): void {
    plainData(this.#name, state, 'state').done()
  }
}
