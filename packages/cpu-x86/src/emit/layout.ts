import { i32, i64, type Expr } from '@machinist/wasm'
import { FLOAT_AT, FloatState } from './float-state.ts'

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
  /** ES, CS, SS, DS, FS, GS, IDTR, GDTR, LDTR and TR: a segmentLayout each. */
  segments: 176,
  /** CPL; and the bits of code, 16, 32 or 64, by EFER.LMA, CS.L and CS.D. */
  cpl: 416,
  mode: 420,
  /** The walker's view but for the privilege level: see `updateView`. */
  view: 424,
  /** The EXT bit of error codes: 1 while an event is delivered that the program did not ask for (SDM volume 3, 7.13). */
  external: 428,
  cr0: 432,
  cr2: 440,
  cr3: 448,
  cr4: 456,
  efer: 464,
  /** The PDPTE registers of PAE paging. */
  pdptes: 472,
  /** Physical addresses are cut to these bits: those of A20. */
  a20: 504,
  /** Where the memory lies in linear memory, its physical address, and its size. */
  memoryAt: 512,
  memorySize: 516,
  memoryBase: 520,
  /** 1 after HLT, until an interrupt; and 1 when a task was entered whose TSS has T. */
  halted: 528,
  debugTrap: 532,
  /** 1 after STI, MOV SS and POP SS, until the next instruction has ended: 2 of those that put off single step as well. */
  shadow: 536,
  /** What ends here is saved at the start of instructions that change much, and comes back when they fault. */
  kept: 540,
  /** A vector and one, or zero: who takes it clears it. The error code, and the linear address of a page fault. */
  fault: 544,
  error: 548,
  faultAddress: 552,
  /** EventKind of what was raised. */
  event: 560,
  /** Whether there is a saved state, and that. */
  saved: 564,
  save: 568,
  /** An access that is not to one piece of RAM: its bytes, how many, how many of them are at the first address, and both. */
  bounce: 1112,
  bounceBytes: 1144,
  bounceFirst: 1148,
  bounceAt: 1152,
  bounceNext: 1160,
  /** Registers that no fault changes half way: CR8, the debug registers, and MSRs by their names (SDM volume 4, table 2-2). */
  cr8: 1168,
  debug: 1176,
  tsc: 1240,
  apicBase: 1248,
  sysenterCs: 1256,
  sysenterEsp: 1264,
  sysenterEip: 1272,
  pat: 1280,
  star: 1288,
  lstar: 1296,
  cstar: 1304,
  fmask: 1312,
  kernelGsBase: 1320,
  tscAux: 1328,
  size: 1336,
} as const

/** A segment register with its hidden part (SDM volume 3, 3.4.3). */
export const segmentLayout = {
  base: 0,
  /** The offsets that it has, both inclusive: with an expand-down segment the lower one is not zero. */
  low: 8,
  high: 12,
  /** SegmentRight, and the attributes of the descriptor where its second half has them: SegmentBit. */
  rights: 16,
  selector: 20,
  size: 24,
} as const

/** What a segment lets its accesses do; none when its selector is null. */
export const SegmentRight = { read: 1, write: 2 } as const

/** Bits of a descriptor's second half (SDM volume 3, 3.4.5). */
export const SegmentBit = { accessed: 0x100, writable: 0x200, readable: 0x200, conforming: 0x400, expandDown: 0x400, code: 0x800, notSystem: 0x1000, present: 0x8000, long: 0x20_0000, big: 0x40_0000, granular: 0x80_0000 } as const

/** Numbers of what has a segmentLayout. */
export const Register = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, idtr: 6, gdtr: 7, ldtr: 8, tr: 9 } as const

/** A decoded instruction as handlers read it. Registers are named by their addresses. */
export const opLayout = {
  operands: 0,
  base: 16,
  index: 20,
  scale: 24,
  /** The address of a segment register; or of a zero, as base, in 64-bit mode. */
  segment: 28,
  /** Whether the memory operand is in SS: then a bad address is #SS. */
  inStack: 32,
  displacement: 40,
  immediates: 48,
  /** The addresses of the instruction and of the one after it. */
  pc: 64,
  next: 72,
  size: 80,
} as const

/** Fields of the state that are numbers. */
export type Numbers = Exclude<keyof typeof stateLayout, 'size'>

/** Those that have 32 bits. */
export const narrow: ReadonlySet<Numbers> = new Set(['flagKind', 'flagShift', 'direction', 'system', 'cpl', 'mode', 'view', 'external', 'halted', 'shadow', 'fault', 'error', 'event'])

/** A state at a fixed address, to emitted code. */
export class State {
  readonly at: number
  readonly float: FloatState
  constructor(at: number) {
    this.at = at
    this.float = new FloatState(at + FLOAT_AT)
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
