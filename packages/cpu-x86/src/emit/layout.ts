import { i32, i64, type Expr } from '@machinist/wasm'

/** Where a CPU's state lies in linear memory, in bytes from its start. */
export const stateLayout = {
  /** RAX to R15, eight bytes each, in the order of their numbers (SDM volume 2, table 3-1). */
  registers: 0,
  /** Reads as zero: the base and the index of addresses that have none, and segments that begin at zero. */
  zero: 128,
  rip: 136,
  /** The lazy flags: see flags.ts. */
  flagKind: 144,
  flagShift: 148,
  flagSource: 152,
  flagResult: 160,
  /** DF as 0 or 1, and the rest of RFLAGS as they stand there. */
  direction: 168,
  system: 172,
  /** A vector and one, or zero. */
  fault: 176,
  faultAddress: 184,
  /** ES, CS, SS, DS, FS, GS, and IDTR: a segmentLayout each. */
  segments: 192,
  size: 360,
} as const

/** A segment register with its hidden part (SDM volume 3, 3.4.3). */
export const segmentLayout = {
  base: 0,
  /** The offsets that it has, both inclusive: with an expand-down segment the lower one is not zero. */
  low: 8,
  high: 12,
  /** SegmentRight. */
  rights: 16,
  selector: 20,
  size: 24,
} as const

/** What a segment lets its accesses do; none when its selector is null. */
export const SegmentRight = { read: 1, write: 2 } as const

/** A decoded instruction as handlers read it. Registers are named by their addresses. */
export const opLayout = {
  operands: 0,
  base: 12,
  index: 16,
  scale: 20,
  /** The address of a segment register; or of a zero, as base, in 64-bit mode. */
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
    return this.at + stateLayout.segments + number * segmentLayout.size
  }
}
