import { layout, type Layout } from '@machinist/memory'

const fields = {
  /** Registers of the guest. The kernel takes them from here when it enters, and stores them here before an exit. */
  x: ['i64', 32],
  f: ['i64', 32],
  pc: 'i64',
  fcsr: 'i64',
  /** As `vsstatus`, `vsie`, … are in hardware (privileged specification, 8.2). */
  vsstatus: 'i64',
  vsie: 'i64',
  vstvec: 'i64',
  vsscratch: 'i64',
  vsepc: 'i64',
  vscause: 'i64',
  vstval: 'i64',
  vsatp: 'i64',
  /** The next timer interrupt, in the guest's time; with or without Sstc. The kernel raises and lowers VSTIP by it. */
  vstimecmp: 'i64',
  scounteren: 'i64',
  senvcfg: 'i64',
  /** VSSIP and VSEIP that are raised, as in `hvip`. TypeScript sets VSEIP; VSSIP is whose turn it is: the guest clears it, see {@link Native.raise}. */
  hvip: 'i64',
  /** What the guest's `time` was, or would have been, at time 0 of {@link Native.now}, in ticks of {@link Native.frequency}. */
  timeOffset: 'i64',
  /** Instructions that the guest has retired, and ticks that a hart of the hardware spent on it, in the guest and in the kernel, so far; the kernel adds. */
  retired: 'i64',
  ran: 'i64',

  /** Guest-physical address of an access that was not mapped. */
  address: 'i64',
  /** Of a store: what is stored. Of a load: what is read, once it was answered with {@link Answer.done}; the kernel extends its sign. */
  value: 'i64',
  /** 0: VU-mode, 1: VS-mode. */
  mode: 'u32',
  /** Why it exited: one of {@link VcpuExit}. */
  exit: 'u32',
  /** What the access wanted: one of {@link VcpuAccess}. */
  access: 'u32',
  /** Bytes of the access, when it was a plain load or store, of an integer or a floating-point register, compressed or not; else 0. */
  width: 'u32',
  /** What the kernel does about the access when it enters again: one of {@link Answer}. */
  answer: 'u32',
  /** `scause` of what the kernel has no answer to. */
  cause: 'u32',

  /**
   * The hart's interrupt file (AIA 1.0, chapter 3). Identities that it has, 63 … 2047; 0: it has none, nor AIA. TypeScript writes what follows only while the hart does not run, and then asks {@link Native.message} for nothing. While it runs it may be
   * in the hardware's guest interrupt file, and what stands here is old.
   */
  identities: 'u32',
  /** 1: it interrupts. The kernel keeps this current while the hart does not run. */
  external: 'u32',
  eidelivery: 'u32',
  eithreshold: 'u32',
  /** Which of its registers `sireg` shows (2.1). */
  vsiselect: 'i64',
  /** Bit n of the words: identity n. */
  eip: ['i64', 32],
  eie: ['i64', 32],
} as const

/**
 * A hart of a guest, as the kernel and TypeScript both see it: see {@link Native.createVcpu}. The kernel's header is made of this table, or is checked against it by a test. While the hart runs on another hart of the hardware, only `hvip` may
 * be written, and the kernel takes it when it was kicked.
 */
export const vcpuRecord: Layout<typeof fields> = layout('vcpu', fields)

/** Why a hart of a guest exited. */
export const VcpuExit = {
  /** It is time, or it was kicked, or the hardware interrupts. */
  time: 0,
  /** An access to an address that is not mapped, or not for this: `address`, `access`, `width`, `value`. `pc` is that of the instruction. */
  access: 1,
  /** ECALL from VS-mode. `pc` is past it. */
  ecall: 2,
  /** WFI, and no interrupt is pending that `vsie` enables. `pc` is past it. */
  wait: 3,
  /** A trap that the kernel knows no answer to: `cause`. */
  broken: 4,
} as const

/** What an access wanted. */
export const VcpuAccess = { read: 0, write: 1, execute: 2 } as const

/** What becomes of an access. */
export const Answer = {
  /** It is done again: its address is mapped now. */
  retry: 0,
  /** It is over: a load's register gets `value`, and `pc` goes on. */
  done: 1,
  /** The guest takes an access fault (`stval` is the guest-virtual address). */
  fault: 2,
} as const
