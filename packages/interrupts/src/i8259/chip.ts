import type { Trace } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { i8259Registers, Icw1, Icw4, Ocw2, Ocw3 } from './registers.ts'

/** What a chip of a pair keeps. Levels of inputs are among it, for edges are told by them. */
export interface I8259ChipState {
  readonly mask: number
  readonly inService: number
  readonly levels: number
  /** Inputs that rose and were not served since. */
  readonly edges: number
  /** ICW1, 3 and 4, and the upper bits of ICW2. */
  readonly icw1: number
  readonly vector: number
  readonly cascade: number
  readonly icw4: number
  /** Which initialization command word comes next; 0 for none. */
  readonly next: number
  /** The input of lowest priority. */
  readonly lowest: number
  readonly readIsr: boolean
  readonly poll: boolean
  readonly specialMask: boolean
  readonly rotateOnEnd: boolean
}

/** After power on. The slave identity is that of ICW1 (data sheet, "Initialization Command Words 1 and 2"). */
const cold: I8259ChipState = {
  mask: 0, inService: 0, levels: 0, edges: 0, icw1: 0, vector: 0, cascade: 0, icw4: 0, next: 0, lowest: 7,
  readIsr: false, poll: false, specialMask: false, rotateOnEnd: false,
}

/** The input that a chip names when it is asked and none is there any more ("Interrupt Sequence"). */
const SPURIOUS = 7

/** One 8259A. What it drives is told to `onOutput`, each time it may have changed. */
export class I8259Chip {
  readonly #registers: RegisterBlock<typeof i8259Registers>
  readonly #master: boolean
  readonly #onOutput: (level: boolean) => void
  #state: { -readonly [Name in keyof I8259ChipState]: I8259ChipState[Name] } = { ...cold }
  /** Inputs that are level-sensitive by ELCR; null where there is none, and ICW1 decides. */
  #elcr: number | null

  constructor(name: string, trace: Trace, role: 'master' | 'slave', elcr: number | null, onOutput: (level: boolean) => void) {
    this.#master = role === 'master'
    this.#elcr = elcr
    this.#onOutput = onOutput
    this.#registers = new RegisterBlock(i8259Registers, {
      name, trace,
      write: { COMMAND: (value) => { this.#command(value) }, MASK: (value) => { this.#data(value) } },
      read: { STATUS: () => this.#read(this.#state.readIsr ? this.#state.inService : this.requests), MASK: () => this.#read(this.#state.mask) },
    })
  }

  get registers(): RegisterBlock<typeof i8259Registers> {
    return this.#registers
  }

  /** The interrupt request register. A request goes when its input does, before it is served ("Edge and Level Triggered Modes"). */
  get requests(): number {
    const { levels, edges, icw1 } = this.#state
    const sensitive = this.#elcr ?? ((icw1 & Icw1.level) !== 0 ? 0xff : 0)
    return levels & (sensitive | edges)
  }

  set elcr(bits: number) {
    this.#elcr = bits
    this.#update()
  }

  /** A wire at one of the inputs. */
  input(line: number, level: boolean): void {
    const bit = 1 << line
    const state = this.#state
    if (!level) {
      state.levels &= ~bit
      state.edges &= ~bit
    } else if ((state.levels & bit) === 0) {
      state.levels |= bit
      state.edges |= bit
    }
    this.#update()
  }

  /** Whether a slave is at an input (ICW3 of a master). */
  cascaded(line: number): boolean {
    return this.#master && (this.#state.icw1 & Icw1.single) === 0 && (this.#state.cascade >>> line & 1) === 1
  }

  /** Whether it answers for an input of its master (ICW3 of a slave). */
  identifiedBy(line: number): boolean {
    return (this.#state.icw1 & Icw1.single) === 0 && (this.#state.cascade & 7) === line
  }

  /** The vector of an input (ICW2). */
  vectorOf(line: number): number {
    return this.#state.vector | line
  }

  /** INTA: the input that is served from now on; the last one, of which nothing is kept, when none asks. */
  acknowledge(): number {
    const line = this.#highest()
    if (line < 0) return SPURIOUS
    this.#serve(line)
    return line
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#state = { ...cold, levels: kind === 'cold' ? 0 : this.#state.levels }
    this.#update()
  }

  save(): I8259ChipState {
    return { ...this.#state }
  }

  /** Takes over a state that {@link readChipState} has checked. */
  restore(state: I8259ChipState): void {
    this.#state = { ...state }
  }

  /** A read of either port: of a register, unless a poll was asked for ("Poll Command"). */
  #read(value: number): number {
    if (!this.#state.poll) return value
    this.#state.poll = false
    const line = this.#highest()
    if (line < 0) return 0
    this.#serve(line)
    return 0x80 | line
  }

  #command(value: number): void {
    const state = this.#state
    if ((value & Icw1.is) !== 0) {
      // The edge sense circuits are reset as well: inputs have to rise anew.
      this.#state = { ...cold, levels: state.levels, icw1: value, next: 2, cascade: this.#master ? 0 : 7, vector: state.vector }
    } else if ((value & Ocw3.is) !== 0) {
      if ((value & Ocw3.poll) !== 0) state.poll = true
      if ((value & Ocw3.read) !== 0) state.readIsr = (value & Ocw3.readIsr) !== 0
      if ((value & Ocw3.setSpecialMask) !== 0) state.specialMask = (value & Ocw3.specialMask) !== 0
    } else this.#endOrRotate(value)
    this.#update()
  }

  /** OCW2. */
  #endOrRotate(value: number): void {
    const state = this.#state
    const rotate = (value & Ocw2.rotate) !== 0
    if ((value & Ocw2.end) === 0) {
      if ((value & Ocw2.specific) === 0) state.rotateOnEnd = rotate
      else if (rotate) state.lowest = value & Ocw2.level
      return
    }
    // A masked one is passed over in special mask mode ("End of Interrupt").
    const line = (value & Ocw2.specific) !== 0 ? value & Ocw2.level : this.#first(this.#counting())
    if (line < 0) return
    state.inService &= ~(1 << line)
    if (rotate) state.lowest = line
  }

  /** The second port: ICW2 to ICW4 in their order, otherwise OCW1. */
  #data(value: number): void {
    const state = this.#state
    const single = (state.icw1 & Icw1.single) !== 0
    const last = (state.icw1 & Icw1.ic4) !== 0 ? 4 : 0
    switch (state.next) {
      case 2:
        state.vector = value & 0xf8
        state.next = single ? last : 3
        break
      case 3:
        state.cascade = this.#master ? value : value & 7
        state.next = last
        break
      case 4:
        state.icw4 = value
        state.next = 0
        break
      default:
        state.mask = value
    }
    this.#update()
  }

  /** Bits in service that count: in special mask mode those that are masked do not ("Special Mask Mode"). */
  #counting(): number {
    const { inService, mask, specialMask } = this.#state
    return specialMask ? inService & ~mask : inService
  }

  /** The first of some inputs in the order of priorities; −1 when there is none. */
  #first(lines: number): number {
    for (let place = 1; place <= 8; place++) {
      const line = (this.#state.lowest + place) & 7
      if ((lines >>> line & 1) === 1) return line
    }
    return -1
  }

  /** The input to be served next; −1 when none asks, or something is in service that comes before. */
  #highest(): number {
    const line = this.#first(this.requests & ~this.#state.mask)
    if (line < 0) return -1
    const served = this.#first(this.#counting())
    if (served < 0) return line
    // A slave may ask for more while it is served already ("The Special Fully Nested Mode").
    if (line === served) return (this.#state.icw4 & Icw4.specialFullyNested) !== 0 && this.cascaded(line) ? line : -1
    return this.#first(1 << line | 1 << served) === line ? line : -1
  }

  /** An input is served; with automatic end it is over at once. The output falls, so that a master sees it rise again. */
  #serve(line: number): void {
    const state = this.#state
    state.edges &= ~(1 << line)
    if ((state.icw4 & Icw4.autoEoi) === 0) state.inService |= 1 << line
    else if (state.rotateOnEnd) state.lowest = line
    this.#onOutput(false)
    this.#update()
  }

  #update(): void {
    this.#onOutput(this.#highest() >= 0)
  }
}

/** Checks the state of a chip. @throws a typed error when it is not one */
export function readChipState(part: string, given: unknown): I8259ChipState {
  const data = plainData(part, given, 'state')
  const byte = (field: keyof I8259ChipState): number => data.integer(field, 0, 0xff)
  const next = data.oneOf('next', [0, 2, 3, 4])
  const levels = byte('levels')
  const state: I8259ChipState = {
    mask: byte('mask'), inService: byte('inService'), levels, edges: byte('edges') & levels, icw1: byte('icw1'), vector: byte('vector') & 0xf8, cascade: byte('cascade'),
    icw4: byte('icw4'), next, lowest: data.integer('lowest', 0, 7), readIsr: data.boolean('readIsr'), poll: data.boolean('poll'), specialMask: data.boolean('specialMask'),
    rotateOnEnd: data.boolean('rotateOnEnd'),
  }
  data.done()
  return state
}
