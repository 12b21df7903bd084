import { layout, type Layout } from '@machinist/memory'
import { i32, i64, type Expr } from '@machinist/wasm'
import { FloatState, floatLayout } from './float-state.ts'

const fields = {
  /** RAX to R15, in the order of their numbers (SDM volume 2, table 3-1). */
  registers: ['i64', 16],
  /** Reads as zero: the base and the index of addresses that have none, and segments that begin at zero. */
  zero: 'i64',
  /** rIP; and while an instruction runs, the address behind it. */
  pc: 'i64',
  next: 'i64',
  /** In `run`: the linear address of the page that executes. */
  page: 'i64',
  /** The lazy flags: see flags.ts. */
  flagKind: 'u32',
  flagShift: 'u32',
  flagSource: 'i64',
  flagResult: 'i64',
  /** DF as 0 or 1, and the rest of RFLAGS as they stand there. */
  direction: 'u32',
  system: 'u32',
  /** ES, CS, SS, DS, FS, GS, IDTR, GDTR, LDTR and TR: a segmentLayout each. */
  segments: ['i64', 30],
  /** CPL; and the bits of code, 16, 32 or 64, by EFER.LMA, CS.L and CS.D. */
  cpl: 'u32',
  mode: 'u32',
  /** The walker's view but for the privilege level: see `updateView`. */
  view: 'u32',
  /** The EXT bit of error codes: 1 while an event is delivered that the program did not ask for (SDM volume 3, 7.13). */
  external: 'u32',
  cr0: 'i64',
  cr2: 'i64',
  cr3: 'i64',
  cr4: 'i64',
  efer: 'i64',
  /** The PDPTE registers of PAE paging. */
  pdptes: ['i64', 4],
  /** Physical addresses are cut to these bits: those of A20. */
  a20: 'i64',
  // What ends here is saved at the start of instructions that change much, and comes back when they fault: see `atomic` in system/functions.ts.
  /** A vector and one, or zero: who takes it clears it. The error code, and the linear address of a page fault. */
  fault: 'u32',
  error: 'u32',
  faultAddress: 'i64',
  /** EventKind of what was raised; of instructions that raise what is no fault also where they are. */
  event: 'u32',
  from: 'i64',
  /** Whether there is a saved state. */
  saved: 'u32',
  /** An access that is not to one page of RAM: its bytes, how many, how many of them are on the first page, and their physical addresses. */
  bounce: ['u8', 32],
  bounceBytes: 'u32',
  /** 1 during an access whose alignment is not checked. */
  unaligned: 'u32',
  bounceFirst: 'u32',
  bounceAt: 'i64',
  bounceNext: 'i64',
  /** The bytes of an instruction that does not lie in one piece, or near its end. */
  fetched: ['u8', 16],
  /** Registers that no fault changes half way: CR8, the debug registers, and MSRs by their names (SDM volume 4, table 2-2). */
  cr8: 'i64',
  dr: ['i64', 8],
  apicBase: 'i64',
  sysenterCs: 'i64',
  sysenterEsp: 'i64',
  sysenterEip: 'i64',
  pat: 'i64',
  star: 'i64',
  lstar: 'i64',
  cstar: 'i64',
  fmask: 'i64',
  kernelGsBase: 'i64',
  tscAux: 'i64',
  xcr0: 'i64',
  specCtrl: 'i64',
  mcgStatus: 'i64',
  miscEnable: 'i64',
  debugCtl: 'i64',
  mtrrDefault: 'i64',
  mtrrFixed: ['i64', 11],
  mtrrVariable: ['i64', 16],
  /** The time-stamp counter is the machine's count and both of these: where the machine's began, and what the guest has added. */
  timeBase: 'i64',
  tscAdjust: 'i64',
  /** By the model: bits that CR4, EFER and XCR0 may have, and which MSRs there are (MsrGroup). */
  cr4Bits: 'i64',
  eferBits: 'i64',
  xcr0Bits: 'i64',
  msrGroups: 'u32',

  /** Where an access to a device passes between generated code and TypeScript. */
  mailbox: 'i64',
  /** Steps before the current run, and those that did not retire an instruction. A step is an instruction, one iteration of REP, or an event in the place of one. */
  steps: 'i64',
  unretired: 'i64',
  /** Budget of the current run, and what is left of it. */
  budgetStart: 'u32',
  budget: 'u32',
  /** Not zero: look for events before the next instruction. */
  attention: 'u32',
  /** Not zero: leave the run after this instruction, for this reason; see `Leave`. */
  leave: 'u32',
  /** What a debugger wants to be told of; see Debug of cpu-core. */
  debug: 'u32',
  /** Not zero: other processors may be able to run, so PAUSE gives way to them. */
  others: 'u32',
  /** What comes from outside: 1: INTR, as its line is; 2: NMI, 4: INIT, 8: SIPI, 16: SMI, until they are taken. The vector of the SIPI. */
  lines: 'u32',
  sipi: 'u32',
  /** What it does: see Activity. */
  waiting: 'u32',
  /** What puts events off until the next instruction has ended: see Shadow. And 1 while NMI waits for IRET. */
  shadow: 'u32',
  nmiBlocked: 'u32',
  /** System-management mode: see `Managed` in smm.ts; where its area is, and debug exceptions that wait until it has ended. */
  managed: 'u32',
  smbase: 'u32',
  managedDebug: 'u32',
  /** 1 while an instruction is executed after which single step traps; and other debug exceptions that come after it, as bits of DR6. */
  single: 'u32',
  /** 1 after an iteration of REP that is not the last one. */
  repeating: 'u32',
  debugPending: 'u32',
  /** What DR7 has breakpoints for: see BreakpointKind. */
  watching: 'u32',
  /** A copy of the machine's `ramTable`, while the processor is in the engine's window. */
  ramTable: ['i64', 24],
  /** Banks of the TLB: that of accesses by CPL, and 4 more while EFLAGS.AC is set; the first of the processor's, where each slot's follow; see tlb.ts. */
  banks: ['u32', 8],
  firstBank: 'u32',
  /** The slot of the current PCID; of each slot its PCID, or −1, and when it was last entered. */
  slot: 'u32',
  slotPcid: ['u32', 4],
  slotUsed: ['u32', 4],
  slotClock: 'u32',
  /** Not zero: the supervisor's bank has pages that are not global. In which gigabytes any bank has pieces of large pages. */
  privatePages: 'u32',
  largeRegions: 'i64',
  /** How a region was left: `Exit` of translator; the address and kind of an access that missed. */
  exitKind: 'u32',
  exitAccess: 'u32',
  exitVa: 'i64',
  /** Not zero: only ops are executed, and no translated code is entered. */
  plain: 'u32',
  /** Not zero: translated code was dropped, since somebody looked. */
  dropped: 'u32',
  /** Statistics: steps of translated code; accesses that the TLB did not have. */
  regionSteps: 'i64',
  tlbMisses: 'i64',
} as const

/** PCIDs whose translations a processor keeps at a time. */
export const PCID_SLOTS: 4 = fields.slotPcid[1]

/** Where a processor's state lies in linear memory. */
export const x86Layout: Layout<typeof fields> = layout('x86-cpu', fields)

/** Bytes from its start that are saved at the start of instructions that change much. */
export const KEPT: number = x86Layout.offset.fault

/** From the start of a processor's state to that of its floating-point and vector registers, to what is saved, and to the end of all, in bytes. */
export const FLOAT_AT: number = x86Layout.size
export const SAVE_AT: number = FLOAT_AT + floatLayout.size
export const STATE_SIZE: number = SAVE_AT + Math.ceil(KEPT / 64) * 64

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

/** A decoded instruction as handlers read it: the same wherever it stands. Registers are named by their addresses; one relative to rIP has `next` as its base. */
export const opLayout = {
  /** The number of its function: see cold-functions.ts. And its bytes. */
  handler: 0,
  length: 4,
  operands: 8,
  base: 24,
  index: 28,
  scale: 32,
  /** The address of a segment register. */
  segment: 36,
  displacement: 40,
  immediates: 48,
  /** What an address is cut to, and rSP. */
  addressMask: 64,
  stackMask: 72,
  size: 80,
} as const

/** Fields of the state. */
export type StateField = keyof typeof fields

/** Those that are numbers. */
export type Numbers = { [Name in StateField]: (typeof fields)[Name] extends string ? Name : never }[StateField]

/** Whether a field has 32 bits, and not 64. */
export const isNarrow = (field: Numbers): boolean => fields[field] === 'u32'

/** A state at a fixed address, to emitted code. */
export class State {
  readonly at: number
  readonly float: FloatState
  constructor(at: number) {
    this.at = at
    this.float = new FloatState(at + FLOAT_AT)
  }

  /** The address of a field. */
  field(name: StateField): number {
    return this.at + x86Layout.offset[name]
  }

  get32(field: Numbers): Expr<'i32'> {
    return i32.load(this.field(field))
  }

  get64(field: Numbers): Expr<'i64'> {
    return i64.load(this.field(field))
  }

  set32(field: Numbers, value: Expr<'i32'> | number): Expr<'void'> {
    return i32.store(this.field(field), value)
  }

  set64(field: Numbers, value: Expr<'i64'> | number): Expr<'void'> {
    return i64.store(this.field(field), value)
  }

  /** The address of a general register's low byte. */
  register(number: number): number {
    return this.field('registers') + number * 8
  }

  segment(number: number): number {
    return this.field('segments') + number * segmentLayout.size
  }
}
