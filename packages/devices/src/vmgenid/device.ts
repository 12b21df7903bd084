import type { Device, DeviceContext, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { vmgenidRegisters } from './registers.ts'
import type { VmgenidBackends } from './spec.ts'

/** The device's saved state. */
export interface VmgenidState {
  readonly registers: Readonly<Record<string, number | readonly number[]>>
  /** The generation ID is new and nobody has read it. */
  readonly changed: boolean
}

/** Words of a generation ID. */
const words = 4

/** A generation ID: random at power-on, kept over resets, and another one in a copy of the machine. */
export class Vmgenid implements Device<VmgenidState> {
  readonly #context: DeviceContext<'changed', VmgenidBackends>
  readonly #registers: RegisterBlock<typeof vmgenidRegisters>
  #changed = false

  constructor(context: DeviceContext<'changed', VmgenidBackends>) {
    this.#context = context
    this.#registers = new RegisterBlock(vmgenidRegisters, { name: context.name, trace: context.trace })
  }

  /** Reading acknowledges the interrupt, so that it works for controllers of edges and of levels. */
  read(_region: number, offset: number, width: Width): number {
    this.#setChanged(false)
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  reset(kind: 'cold' | 'warm'): void {
    if (kind === 'cold') this.#generate()
    this.#setChanged(false)
  }

  forked(): void {
    this.#generate()
    this.#setChanged(true)
  }

  save(): VmgenidState {
    return { registers: this.#registers.save(), changed: this.#changed }
  }

  restore(state: VmgenidState): void {
    const data = plainData(this.#context.name, state, 'state')
    const changed = data.boolean('changed')
    const registers = data.unknown('registers')
    data.done()
    this.#registers.restore(registers)
    this.#setChanged(changed)
  }

  #generate(): void {
    const id = new Uint8Array(words * 4)
    this.#context.backends.entropy.fill(id)
    const view = new DataView(id.buffer)
    for (let word = 0; word < words; word++) this.#registers.set('ID', view.getUint32(word * 4, true), word)
  }

  #setChanged(changed: boolean): void {
    this.#changed = changed
    this.#context.irq.changed.set(changed)
  }
}
