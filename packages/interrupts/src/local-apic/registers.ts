/** Words of a register with a bit for each vector: ISR, TMR, IRR. */
export const vectorWords = 8

/**
 * The local APIC's page of registers (Intel SDM volume 3, table "Local APIC Register Address Map"). In x2APIC mode register n · 16 is MSR 800H + n.
 */
export const localApicRegisters = {
  /** In xAPIC mode bits 31:24. */
  ID: { offset: 0x020, access: 'rw', writable: 0xff00_0000, section: 'Local APIC ID' },
  /** Version 14H, six entries of the local vector table, suppression of EOI broadcasts. */
  VERSION: { offset: 0x030, access: 'ro', reset: 0x0105_0014, section: 'Local APIC Version Register' },
  TPR: { offset: 0x080, access: 'rw', writable: 0xff, section: 'Task Priority' },
  APR: { offset: 0x090, access: 'ro', section: 'Arbitration Priority' },
  PPR: { offset: 0x0a0, access: 'ro', section: 'Processor Priority' },
  EOI: { offset: 0x0b0, access: 'wo', section: 'Signaling Interrupt Servicing Completion' },
  RRD: { offset: 0x0c0, access: 'ro' },
  LDR: { offset: 0x0d0, access: 'rw', writable: 0xff00_0000, section: 'Logical Destination Mode' },
  DFR: { offset: 0x0e0, access: 'rw', reset: 0xffff_ffff, writable: 0xf000_0000, section: 'Logical Destination Mode' },
  SVR: { offset: 0x0f0, access: 'rw', reset: 0xff, writable: 0x11ff, section: 'Spurious Interrupt' },
  ISR: { offset: 0x100, access: 'ro', count: 8, stride: 16, section: 'Interrupt Acceptance' },
  TMR: { offset: 0x180, access: 'ro', count: 8, stride: 16, section: 'Interrupt Acceptance' },
  IRR: { offset: 0x200, access: 'ro', count: 8, stride: 16, section: 'Interrupt Acceptance' },
  ESR: { offset: 0x280, access: 'rw', section: 'Error Handling' },
  ICR_LOW: { offset: 0x300, access: 'rw', writable: 0xc_cfff, section: 'Interrupt Command Register' },
  ICR_HIGH: { offset: 0x310, access: 'rw', writable: 0xff00_0000, section: 'Interrupt Command Register' },
  LVT_TIMER: { offset: 0x320, access: 'rw', reset: 0x1_0000, writable: 0x7_00ff, section: 'Local Vector Table' },
  LVT_THERMAL: { offset: 0x330, access: 'rw', reset: 0x1_0000, writable: 0x1_07ff, section: 'Local Vector Table' },
  LVT_PMC: { offset: 0x340, access: 'rw', reset: 0x1_0000, writable: 0x1_07ff, section: 'Local Vector Table' },
  LVT_LINT0: { offset: 0x350, access: 'rw', reset: 0x1_0000, writable: 0x1_a7ff, section: 'Local Vector Table' },
  LVT_LINT1: { offset: 0x360, access: 'rw', reset: 0x1_0000, writable: 0x1_a7ff, section: 'Local Vector Table' },
  LVT_ERROR: { offset: 0x370, access: 'rw', reset: 0x1_0000, writable: 0x1_00ff, section: 'Local Vector Table' },
  INITIAL_COUNT: { offset: 0x380, access: 'rw', section: 'APIC Timer' },
  CURRENT_COUNT: { offset: 0x390, access: 'ro', section: 'APIC Timer' },
  DIVIDE: { offset: 0x3e0, access: 'rw', writable: 0x0b, section: 'APIC Timer' },
} as const

/** Entries of the local vector table. */
export const lvts = ['LVT_TIMER', 'LVT_THERMAL', 'LVT_PMC', 'LVT_LINT0', 'LVT_LINT1', 'LVT_ERROR'] as const

/** Bits of an entry of the local vector table. */
export const Lvt = { vector: 0xff, low: 0x2000, remoteIrr: 0x4000, level: 0x8000, mask: 0x1_0000, modeShift: 17 } as const
/** Modes of the timer. */
export const TimerMode = { oneShot: 0, periodic: 1, deadline: 2 } as const
/** SVR: the APIC is enabled by software; no broadcast of EOIs. */
export const Svr = { enabled: 0x100, noBroadcast: 0x1000 } as const
/** Errors in ESR. */
export const Esr = { sendIllegal: 0x20, receiveIllegal: 0x40, address: 0x80 } as const
/** Delivery modes of messages, ICR and local vector table. */
export const Delivery = { fixed: 0, lowest: 1, smi: 2, nmi: 4, init: 5, startUp: 6, external: 7 } as const
/** Fields of ICR, which messages have as well. */
export const Icr = { vector: 0xff, deliveryShift: 8, logical: 0x800, assert: 0x4000, level: 0x8000, shorthandShift: 18 } as const
/** The first vector that an interrupt may have. */
export const FIRST_VECTOR = 16

/** IA32_APIC_BASE (MSR 1BH): which processor started the others, the modes. */
export const ApicBase = { msr: 0x1b, bsp: 0x100, extended: 0x400, enabled: 0x800, address: 0xffff_f000, reset: 0xfee0_0000 } as const
/** IA32_TSC_DEADLINE. */
export const TSC_DEADLINE = 0x6e0
/** Where x2APIC registers begin, how many MSRs there are, and one that has no place in the page: SELF IPI. */
export const X2apic = { first: 0x800, count: 0x100, selfIpi: 0x83f } as const

/** Inputs of a hart: LINT0 and LINT1. Behind those of all is one that takes messages of I/O APICs. */
export const LINTS = 2
/** Harts that 8 bits number, all ones aside. */
export const MOST_APICS = 255
/** Outputs of a hart. */
export const localApicOutputs = ['intr', 'nmi', 'smi', 'init', 'sipi'] as const

/** Messages to local APICs are writes here, from devices too ("Message Address Register Format"). */
export const MESSAGES = { base: 0xfee0_0000, size: 0x10_0000 } as const

/** What an I/O APIC is told of the message that it has just sent, where ends of interrupts go: no local APIC takes it. Vectors have 8 bits. */
export const REFUSED = 0x100
