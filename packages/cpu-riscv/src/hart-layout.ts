import { layout, type Layout } from '@machinist/memory'

/** Number of PMP entries that are implemented. */
export const PMP_ENTRIES = 16

/** Address spaces whose translations a hart keeps at a time. */
export const ASID_SLOTS = 8

/** The fields of a hart's record, in order. */
export type HartFields = {
  readonly x: readonly ['i64', 32]
  readonly f: readonly ['i64', 32]
  readonly pc: 'i64'
  /** Where `scratch` and MMIO results pass between generated code and TypeScript. */
  readonly mailbox: 'i64'

  /** Steps before the current run; a step is an instruction or a trap. */
  readonly steps: 'i64'
  /** Steps that did not retire an instruction. */
  readonly unretired: 'i64'
  /** What `minstret` and `mcycle` differ from the number of retired instructions by. */
  readonly instretOffset: 'i64'
  readonly cycleOffset: 'i64'

  readonly mode: 'u32'
  /** Budget of the current run, and what is left of it (kept in a local inside the interpreter). */
  readonly budgetStart: 'u32'
  readonly budget: 'u32'
  /** Not zero: look for interrupts before the next instruction. */
  readonly attention: 'u32'
  /** Not zero: leave the run after this instruction, with this exit. */
  readonly leave: 'u32'
  /** In WFI. */
  readonly waiting: 'u32'
  /** Not zero: other harts may be able to run, so PAUSE gives way to them. */
  readonly others: 'u32'
  /** Interrupt lines driven from outside (bits of mip), and STIP when Sstc drives it. */
  readonly lines: 'u32'
  /** Bank of the TLB for loads and stores, and for fetches; the privilege view that goes with the former. */
  readonly dataBank: 'u32'
  readonly fetchBank: 'u32'
  readonly dataView: 'u32'
  /** Not zero when floating-point instructions may run without looking, because FS is dirty and frm valid: frm + 1. */
  readonly floatReady: 'u32'
  readonly fflags: 'u8'
  readonly frm: 'u8'
  /** 1: ECALL from S-mode goes to the built-in SBI. */
  readonly builtinSbi: 'u8'
  /** 1: some PMP entry is on. */
  readonly pmpActive: 'u8'
  /** 1: the first entry that is on lets everything be read, written and executed. */
  readonly pmpOpen: 'u8'
  /** Set when a translation from a non-global page entered the supervisor bank; when a superpage did, in any. */
  readonly supervisorPrivatePages: 'u8'
  /** 1: it has an interrupt file for supervisor mode, and the registers of Ssaia. */
  readonly ssaia: 'u8'

  /** LR/SC: the arena address reserved, or 0, and the value that was read. */
  readonly reservation: 'u32'
  readonly reservedValue: 'i64'
  /** Where translations from superpages may be in the TLB; see `superpageRegion`. */
  readonly superpageRegions: 'i64'

  readonly mhartid: 'i64'
  readonly mstatus: 'i64'
  readonly mie: 'i64'
  /** The bits of mip that software sets. */
  readonly mip: 'i64'
  readonly mideleg: 'i64'
  readonly medeleg: 'i64'
  readonly mtvec: 'i64'
  readonly mscratch: 'i64'
  readonly mepc: 'i64'
  readonly mcause: 'i64'
  readonly mtval: 'i64'
  readonly mcounteren: 'i64'
  readonly mcountinhibit: 'i64'
  readonly menvcfg: 'i64'
  readonly stvec: 'i64'
  readonly sscratch: 'i64'
  readonly sepc: 'i64'
  readonly scause: 'i64'
  readonly stval: 'i64'
  readonly scounteren: 'i64'
  readonly senvcfg: 'i64'
  readonly satp: 'i64'
  readonly stimecmp: 'i64'
  readonly siselect: 'i64'
  readonly pmpcfg: readonly ['u8', number]
  readonly pmpaddr: readonly ['i64', number]
  /** Ranges in bytes, first and one past the last, worked out from the registers. */
  readonly pmpLow: readonly ['i64', number]
  readonly pmpHigh: readonly ['i64', number]

  /** Added to ticks since the machine was made to give `time`. */
  readonly timeBase: 'i64'

  /** Banks: machine, supervisor, then for each slot supervisor with SUM, and user. */
  readonly machineBank: 'u32'
  readonly supervisorBank: 'u32'
  readonly slotBanks: 'u32'
  readonly slot: 'u32'
  /** For each slot its ASID, or −1, and when it was last used. */
  readonly slotAsid: readonly ['u32', number]
  readonly slotUsed: readonly ['u32', number]
  readonly slotClock: 'u32'

  /** How a translated region was left; see `Exit` of the translator. */
  readonly exitKind: 'u32'
  readonly exitVa: 'i64'
  readonly exitAccess: 'u32'
  /** Statistics. */
  readonly tlbMisses: 'i64'
  readonly slowSteps: 'i64'
  /** Times that translated code was entered, left because of a TLB miss or for an instruction it has no code for, and its steps. */
  readonly regionEnters: 'i64'
  readonly regionMisses: 'i64'
  readonly regionEscapes: 'i64'
  readonly regionSteps: 'i64'
}

const fields: HartFields = {
  x: ['i64', 32],
  f: ['i64', 32],
  pc: 'i64',
  mailbox: 'i64',
  steps: 'i64',
  unretired: 'i64',
  instretOffset: 'i64',
  cycleOffset: 'i64',
  mode: 'u32',
  budgetStart: 'u32',
  budget: 'u32',
  attention: 'u32',
  leave: 'u32',
  waiting: 'u32',
  others: 'u32',
  lines: 'u32',
  dataBank: 'u32',
  fetchBank: 'u32',
  dataView: 'u32',
  floatReady: 'u32',
  fflags: 'u8',
  frm: 'u8',
  builtinSbi: 'u8',
  pmpActive: 'u8',
  pmpOpen: 'u8',
  supervisorPrivatePages: 'u8',
  ssaia: 'u8',
  reservation: 'u32',
  reservedValue: 'i64',
  superpageRegions: 'i64',
  mhartid: 'i64',
  mstatus: 'i64',
  mie: 'i64',
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
  pmpcfg: ['u8', PMP_ENTRIES],
  pmpaddr: ['i64', PMP_ENTRIES],
  pmpLow: ['i64', PMP_ENTRIES],
  pmpHigh: ['i64', PMP_ENTRIES],
  timeBase: 'i64',
  machineBank: 'u32',
  supervisorBank: 'u32',
  slotBanks: 'u32',
  slot: 'u32',
  slotAsid: ['u32', ASID_SLOTS],
  slotUsed: ['u32', ASID_SLOTS],
  slotClock: 'u32',
  exitKind: 'u32',
  exitVa: 'i64',
  exitAccess: 'u32',
  tlbMisses: 'i64',
  slowSteps: 'i64',
  regionEnters: 'i64',
  regionMisses: 'i64',
  regionEscapes: 'i64',
  regionSteps: 'i64',
}

/** A hart in linear memory. The running hart's record is at the engine's window; see `engine.ts`. */
export const hartLayout: Layout<HartFields> = layout('riscv-hart', fields)

/** Names of the scalar and array fields. */
export type HartField = keyof HartFields
export const hartFields: HartFields = fields

/** `leave` codes and results of a run. */
export const Leave = { none: 0, budget: 1, halt: 2, yield: 3, debug: 4 } as const
