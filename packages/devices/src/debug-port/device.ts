import type { Device, DeviceContext, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { debugPortRegisters } from './registers.ts'
import type { DebugPortBackends } from './spec.ts'

/** Its saved state: none. */
export type DebugPortState = Readonly<Record<never, never>>

/** A port that takes text, one byte at a time. */
export class DebugPort implements Device<DebugPortState> {
  readonly #context: DeviceContext<never, DebugPortBackends>
  readonly #registers: RegisterBlock<typeof debugPortRegisters>

  constructor(context: DeviceContext<never, DebugPortBackends>) {
    this.#context = context
    const { console } = context.backends
    this.#registers = new RegisterBlock(debugPortRegisters, { name: context.name, trace: context.trace, write: { OUT: (value) => { console.send(Uint8Array.of(value)) } } })
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  reset(): void {}

  save(): DebugPortState {
    return {}
  }

  restore(state: DebugPortState): void {
    plainData(this.#context.name, state, 'state').done()
  }
}
