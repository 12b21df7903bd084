/**
 * RISC-V Platform-Level Interrupt Controller Specification 1.0.0, "Memory Map". The lengths of the arrays
 * are the specification's limits; the configuration gives the real ones.
 */
export const plicRegisters = {
  PRIORITY: { offset: 0x00_0000, access: 'rw', count: 1024, section: 'Interrupt Priorities' },
  PENDING: { offset: 0x00_1000, access: 'ro', count: 32, section: 'Interrupt Pending Bits' },
  /** 32 words for each of at most 15872 contexts. */
  ENABLE: { offset: 0x00_2000, access: 'rw', count: 507904, section: 'Interrupt Enables' },
  THRESHOLD: { offset: 0x20_0000, access: 'rw', count: 15872, stride: 0x1000, section: 'Priority Thresholds' },
  CLAIM: { offset: 0x20_0004, access: 'ro', count: 15872, stride: 0x1000, section: 'Interrupt Claim Process' },
  COMPLETE: { offset: 0x20_0004, access: 'wo', count: 15872, stride: 0x1000, section: 'Interrupt Completion' },
} as const

/** Bytes of the whole memory map, whatever the number of contexts. */
export const plicSize = 0x400_0000

/** 32-bit words of pending or enable bits of one context. */
export const wordsPerContext = 32
