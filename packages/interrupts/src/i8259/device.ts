import type { Device, DeviceContext, IrqLine, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import type { NoBackends } from '../harts.ts'
import { I8259Chip, type I8259ChipState, readChipState } from './chip.ts'
import { elcrRegisters, levelCapable } from './registers.ts'
import type { I8259Config, I8259Irq } from './spec.ts'

/** Saved state of a pair. */
export interface I8259State {
  readonly master: I8259ChipState
  readonly slave: I8259ChipState
  /** ELCR1 and ELCR2; zeros where there are none. */
  readonly elcr: readonly number[]
}

/** The input of the master that the slave is at. */
export const CASCADE = 2
const LINES = 8
/** What a processor reads when no chip puts a vector on the bus. */
const NOBODY = 0xff

/** Two 8259A, the second behind input 2 of the first. */
export class I8259Pair implements Device<I8259State> {
  readonly #name: string
  readonly #output: IrqLine
  readonly #master: I8259Chip
  readonly #slave: I8259Chip
  readonly #hasElcr: boolean
  readonly #elcr: RegisterBlock<typeof elcrRegisters>
  readonly #regions: readonly { read(offset: number, width: Width): number; write(offset: number, width: Width, value: number): void }[]

  constructor(config: I8259Config, { name, irq, trace }: DeviceContext<I8259Irq, NoBackends>) {
    this.#name = name
    this.#output = irq.intr
    const elcr = config.elcr ? 0 : null
    this.#hasElcr = config.elcr
    this.#master = new I8259Chip(name, trace, 'master', elcr, (level) => { this.#output.set(level) })
    this.#slave = new I8259Chip(name, trace, 'slave', elcr, (level) => { this.#master.input(CASCADE, level) })
    this.#elcr = new RegisterBlock(elcrRegisters, {
      name, trace,
      write: {
        ELCR: (value, _, chip) => {
          this.#elcr.set('ELCR', value & (levelCapable[chip] ?? 0), chip)
          this.#applyElcr()
        },
      },
    })
    this.#regions = [this.#master.registers, this.#slave.registers, this.#elcr]
  }

  read(region: number, offset: number, width: Width): number {
    return this.#regions[region]?.read(offset, width) ?? 0
  }

  write(region: number, offset: number, width: Width, value: number): void {
    this.#regions[region]?.write(offset, width, value)
  }

  input(line: number, level: boolean): void {
    if (line >= LINES) this.#slave.input(line - LINES, level)
    else if (line !== CASCADE) this.#master.input(line, level)
  }

  /** Two INTA cycles: the master chooses, and lets a slave speak where there is one ("Interrupt Sequence"). */
  acknowledge(): number {
    const line = this.#master.acknowledge()
    if (!this.#master.cascaded(line)) return this.#master.vectorOf(line)
    if (line !== CASCADE || !this.#slave.identifiedBy(line)) return NOBODY
    return this.#slave.vectorOf(this.#slave.acknowledge())
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#elcr.reset()
    this.#applyElcr()
    this.#master.reset(kind)
    this.#slave.reset(kind)
  }

  save(): I8259State {
    return { master: this.#master.save(), slave: this.#slave.save(), elcr: [...this.#elcr.words('ELCR')] }
  }

  restore(state: I8259State): void {
    const data = plainData(this.#name, state, 'state')
    const elcr = data.integers('elcr', levelCapable.length, 0, 0xff)
    const master = readChipState(`${this.#name}.master`, data.unknown('master'))
    const slave = readChipState(`${this.#name}.slave`, data.unknown('slave'))
    data.done()
    elcr.forEach((bits, chip) => { this.#elcr.set('ELCR', bits & (levelCapable[chip] ?? 0), chip) })
    this.#master.restore(master)
    this.#slave.restore(slave)
    this.#applyElcr()
  }

  #applyElcr(): void {
    if (!this.#hasElcr) return
    for (const [chip, each] of [this.#master, this.#slave].entries()) each.elcr = this.#elcr.get('ELCR', chip)
  }
}
