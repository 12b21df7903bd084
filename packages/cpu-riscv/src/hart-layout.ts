import { layout, type Layout } from '@machinist/memory'

/** Number of PMP entries that are implemented. */
export const PMP_ENTRIES = 16

/** Address spaces whose translations a hart keeps at a time. */
export const ASID_SLOTS = 8

const fields = {
  x: ['i64', 32],
  f: ['i64', 32],
  pc: 'i64',
  /** Where `scratch` and MMIO results pass between generated code and TypeScript. */
  mailbox: 'i64',

  /** Steps before the current run; a step is an instruction or a trap. */
  steps: 'i64',
  /** Steps that did not retire an instruction. */
  unretired: 'i64',
  /** What `minstret` and `mcycle` differ from the number of retired instructions by. */
  instretOffset: 'i64',
  cycleOffset: 'i64',

  mode: 'u32',
  /** Budget of the current run, and what is left of it (kept in a local inside the interpreter). */
  budgetStart: 'u32',
  budget: 'u32',
  /** Not zero: look for interrupts before the next instruction. */
  attention: 'u32',
  /** Not zero: leave the run after this instruction, with this exit. */
  leave: 'u32',
  /** In WFI. */
  waiting: 'u32',
  /** Interrupt lines driven from outside (bits of mip), and STIP when Sstc drives it. */
  lines: 'u32',
  /** Bank of the TLB for loads and stores, and for fetches; the privilege view that goes with the former. */
  dataBank: 'u32',
  fetchBank: 'u32',
  dataView: 'u32',
  /** 1 when floating-point instructions may run without looking: FS is dirty and frm is valid. */
  floatReady: 'u32',
  fflags: 'u8',
  frm: 'u8',
  /** 1: ECALL from S-mode goes to the built-in SBI. */
  builtinSbi: 'u8',
  /** 1: some PMP entry is on. */
  pmpActive: 'u8',
  /** Set when a translation from a non-global page entered the supervisor bank; when a superpage did, in any. */
  supervisorPrivatePages: 'u8',
  superpages: 'u8',

  /** LR/SC: the arena address reserved, or 0, and the value that was read. */
  reservation: 'u32',
  reservedValue: 'i64',

  mhartid: 'i64',
  mstatus: 'i64',
  mie: 'i64',
  /** The bits of mip that software sets. */
  mip: 'i64',
  mideleg: 'i64',
  medeleg: 'i64',
  mtvec: 'i64',
  mscratch: 'i64',
  mepc: 'i64',
  mcause: 'i64',
  mtval: 'i64',
  mcounteren: 'i64',
  mcountinhibit: 'i64',
  menvcfg: 'i64',
  stvec: 'i64',
  sscratch: 'i64',
  sepc: 'i64',
  scause: 'i64',
  stval: 'i64',
  scounteren: 'i64',
  senvcfg: 'i64',
  satp: 'i64',
  stimecmp: 'i64',
  pmpcfg: ['u8', PMP_ENTRIES],
  pmpaddr: ['i64', PMP_ENTRIES],
  /** Ranges in bytes, first and one past the last, worked out from the registers. */
  pmpLow: ['i64', PMP_ENTRIES],
  pmpHigh: ['i64', PMP_ENTRIES],

  /** Added to ticks since the machine was made to give `time`. */
  timeBase: 'i64',

  /** Banks: machine, supervisor, then for each slot supervisor with SUM, and user. */
  machineBank: 'u32',
  supervisorBank: 'u32',
  slotBanks: 'u32',
  slot: 'u32',
  /** For each slot its ASID, or −1, and when it was last used. */
  slotAsid: ['u32', ASID_SLOTS],
  slotUsed: ['u32', ASID_SLOTS],
  slotClock: 'u32',

  /** A pre-decoded op for an instruction that crosses a page. */
  crossOp: 'i64',
  /** Statistics. */
  tlbMisses: 'i64',
  slowSteps: 'i64',
} as const

/** A hart in linear memory. The running hart's record is at the engine's window; see `engine.ts`. */
export const hartLayout: Layout<typeof fields> = layout('riscv-hart', fields)

/** Names of the scalar and array fields. */
export type HartField = keyof typeof fields
export const hartFields: typeof fields = fields

/** `leave` codes and results of a run. */
export const Leave = { none: 0, budget: 1, halt: 2, yield: 3, debug: 4 } as const
