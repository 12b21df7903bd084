import type { Device, DeviceContext, IrqLine, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { hartLines, type NoBackends } from '../harts.ts'
import { filePage, imsicRegisters } from './registers.ts'
import type { ImsicConfig, ImsicIrq } from './spec.ts'

/** An IMSIC keeps nothing: what has arrived is in the harts' interrupt files, and saved with the harts. */
export type ImsicState = Readonly<Record<never, never>>

/** Messages of harts that may be on their way at once: as many as a host likes. */
const MOST_WAITING = 0xffff_ffff

/** The memory side of IMSICs: a write to a hart's page, by a hart or a device, is a message to that hart's interrupt file. */
export class Imsic implements Device<ImsicState> {
  readonly #name: string
  readonly #harts: readonly IrqLine[]
  readonly #registers: RegisterBlock<typeof imsicRegisters>

  constructor(config: ImsicConfig, { name, irq, trace, shortcuts }: DeviceContext<ImsicIrq, NoBackends>) {
    this.#name = name
    this.#harts = hartLines(name, irq, config.harts, 'simsic')
    this.#registers = new RegisterBlock(imsicRegisters, {
      name, trace,
      count: { seteipnum_le: config.harts },
      write: { seteipnum_le: (identity, _, hart) => { this.#harts[hart]?.send(identity) } },
    })
    // A hart that interrupts another need not wait for the message to arrive.
    for (const each of shortcuts ?? []) each.set(MOST_WAITING)
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  message(_region: number, offset: number, data: number): void {
    if (offset % filePage === 0) this.#harts[offset / filePage]?.send(data)
  }

  reset(): void {}

  save(): ImsicState {
    return {}
  }

  restore(state: ImsicState): void {
    plainData(this.#name, state, 'state').done()
  }
}
