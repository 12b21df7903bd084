import { i32, i64, type Expr } from '@machinist/wasm'

/** Where a CPU's state lies in linear memory, in bytes from its start. */
export const stateLayout = {
  /** RAX to R15, eight bytes each, in the order of their numbers (SDM volume 2, table 3-1). */
  registers: 0,
  /** Reads as zero: the base and the index of addresses that have none, and segments that begin at zero. */
  zero: 128,
  rip: 136,
  /** ES, CS, SS, DS, FS, GS. */
  segmentBases: 144,
  /** The lazy flags: see flags.ts. */
  flagKind: 192,
  flagShift: 196,
  flagSource: 200,
  flagResult: 208,
  /** DF as 0 or 1, and the rest of RFLAGS as they stand there. */
  direction: 216,
  system: 220,
  /** A vector and one, or zero. */
  fault: 224,
  faultAddress: 232,
  size: 240,
} as const

/** A decoded instruction as handlers read it. Registers are named by their addresses. */
export const opLayout = {
  operands: 0,
  base: 12,
  index: 16,
  scale: 20,
  segment: 24,
  /** Whether the memory operand is in SS: then a bad address is #SS. */
  inStack: 28,
  displacement: 32,
  immediates: 40,
  /** The addresses of the instruction and of the one after it. */
  pc: 56,
  next: 64,
  size: 72,
} as const

type Numbers = Exclude<keyof typeof stateLayout, 'size'>

/** A state at a fixed address, to emitted code. */
export class State {
  readonly at: number
  constructor(at: number) {
    this.at = at
  }

  get32(field: Numbers): Expr<'i32'> {
    return i32.load(this.at + stateLayout[field])
  }

  get64(field: Numbers): Expr<'i64'> {
    return i64.load(this.at + stateLayout[field])
  }

  set32(field: Numbers, value: Expr<'i32'> | number): Expr<'void'> {
    return i32.store(this.at + stateLayout[field], value)
  }

  set64(field: Numbers, value: Expr<'i64'> | number): Expr<'void'> {
    return i64.store(this.at + stateLayout[field], value)
  }

  /** The address of a general register's low byte. */
  register(number: number): number {
    return this.at + stateLayout.registers + number * 8
  }

  segment(number: number): number {
    return this.at + stateLayout.segmentBases + number * 8
  }
}
