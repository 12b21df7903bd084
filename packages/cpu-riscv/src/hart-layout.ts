import { layout, type Layout } from '@machinist/memory'

/** The fields of a hart's record, in order. */
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
  /** What a debugger wants to be told of; see Debug of cpu-core. */
  debug: 'u32',
  /** In WFI. */
  waiting: 'u32',
  /** Not zero: other harts may be able to run, so PAUSE gives way to them. */
  others: 'u32',
  /** Interrupt lines driven from outside (bits of mip), and STIP when Sstc drives it. */
  lines: 'u32',
  /** Bank of the TLB for loads and stores, and for fetches; the privilege view that goes with the former. */
  dataBank: 'u32',
  fetchBank: 'u32',
  dataView: 'u32',
  /** Not zero when floating-point instructions may run without looking, because FS is dirty and frm valid: frm + 1. */
  floatReady: 'u32',
  fflags: 'u8',
  frm: 'u8',
  /** 1: ECALL from S-mode goes to the built-in SBI. */
  builtinSbi: 'u8',
  /** 1: some PMP entry is on. */
  pmpActive: 'u8',
  /** 1: the first entry that is on lets everything be read, written and executed. */
  pmpOpen: 'u8',
  /** Set when a translation from a non-global page entered the supervisor bank; when a superpage did, in any. */
  supervisorPrivatePages: 'u8',
  /** 1: it has an interrupt file for supervisor mode, and the registers of Ssaia. */
  ssaia: 'u8',

  /** LR/SC: the arena address reserved, or 0, and the value that was read. */
  reservation: 'u32',
  reservedValue: 'i64',
  /** Where translations from superpages may be in the TLB; see `superpageRegion`. */
  superpageRegions: 'i64',

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
  siselect: 'i64',
  pmpcfg: ['u8', 16],
  pmpaddr: ['i64', 16],
  /** Ranges in bytes, first and one past the last, worked out from the registers. */
  pmpLow: ['i64', 16],
  pmpHigh: ['i64', 16],

  /** Added to ticks since the machine was made to give `time`. */
  timeBase: 'i64',

  /** Banks: machine, supervisor, then for each slot supervisor with SUM, and user. */
  machineBank: 'u32',
  supervisorBank: 'u32',
  slotBanks: 'u32',
  slot: 'u32',
  /** For each slot its ASID, or −1, and when it was last used. */
  slotAsid: ['u32', 8],
  slotUsed: ['u32', 8],
  slotClock: 'u32',

  /** A copy of the machine's `ramTable`, while the hart is in the window. */
  ramTable: ['i64', 24],

  /** How a translated region was left; see `Exit` of the translator. */
  exitKind: 'u32',
  exitVa: 'i64',
  exitAccess: 'u32',
  /** Statistics. */
  tlbMisses: 'i64',
  slowSteps: 'i64',
  /** Times that translated code was entered, left because of a TLB miss or for an instruction it has no code for, and its steps. */
  regionEnters: 'i64',
  regionMisses: 'i64',
  regionEscapes: 'i64',
  regionSteps: 'i64',
} as const

/** A hart in linear memory. The running hart's record is at the engine's window; see `engine.ts`. */
export const hartLayout: Layout<typeof fields> = layout('riscv-hart', fields)

/** Names of the scalar and array fields. */
export type HartField = keyof typeof fields

/** Number of PMP entries that are implemented. */
export const PMP_ENTRIES: 16 = fields.pmpcfg[1]

/** Address spaces whose translations a hart keeps at a time. */
export const ASID_SLOTS: 8 = fields.slotAsid[1]
