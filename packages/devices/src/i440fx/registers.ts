/**
 * Configuration registers of the 82441FX PMC (data sheet, order 290549, section 3.2), the host bridge of the 440FX, from 50h on. What times memory keeps what is written and changes nothing.
 */
export const FIRST = 0x50

export const i440fxRegisters = {
  PMCCFG: { offset: 0x50, width: 2, access: 'rw', writable: 0x8c64, widths: 'any', section: '3.2.15' },
  DETURBO: { offset: 0x52, width: 1, access: 'rw', widths: 'any', section: '3.2.16' },
  DBC: { offset: 0x53, width: 1, access: 'rw', reset: 0x80, writable: 0x73, widths: 'any', section: '3.2.17' },
  AXC: { offset: 0x54, width: 1, access: 'rw', writable: 0x02, widths: 'any', section: '3.2.18' },
  DRAMR: { offset: 0x55, width: 1, access: 'rw', count: 2, widths: 'any', section: '3.2.19' },
  DRAMC: { offset: 0x57, width: 1, access: 'rw', reset: 0x01, writable: 0x37, widths: 'any', section: '3.2.20' },
  DRAMT: { offset: 0x58, width: 1, access: 'rw', reset: 0x10, writable: 0x7f, widths: 'any', section: '3.2.21' },
  /** Attributes of C0000h to FFFFFh: bit 0 has reads, bit 1 writes go to RAM, and so bits 4 and 5. */
  PAM: { offset: 0x59, width: 1, access: 'rw', count: 7, writable: 0x33, widths: 'any', section: '3.2.22' },
  DRB: { offset: 0x60, width: 1, access: 'rw', reset: 0x01, count: 8, widths: 'any', section: '3.2.23' },
  FDHC: { offset: 0x68, width: 1, access: 'rw', writable: 0xc0, widths: 'any', section: '3.2.24' },
  MTT: { offset: 0x70, width: 1, access: 'rw', writable: 0xf8, widths: 'any', section: '3.2.25' },
  CLT: { offset: 0x71, width: 1, access: 'rw', reset: 0x10, writable: 0xf8, widths: 'any', section: '3.2.26' },
  SMRAM: { offset: 0x72, width: 1, access: 'rw', reset: 0x02, writable: 0x78, widths: 'any', section: '3.2.27' },
  ERRCMD: { offset: 0x90, width: 1, access: 'rw', writable: 0x1b, widths: 'any', section: '3.2.28' },
  ERRSTS: { offset: 0x91, width: 1, access: 'w1c', writable: 0x11, widths: 'any', section: '3.2.29' },
  TRC: { offset: 0x93, width: 1, access: 'rw', writable: 0x07, widths: 'any', section: '3.2.30' },
} as const

/** Bits of SMRAM: open, closed, locked, enabled. */
export const Smram = { open: 0x40, closed: 0x20, locked: 0x10, enabled: 0x08, fixed: 0x02, all: 0x7a } as const
/** Turbo reset: a reset comes when bit 2 is set. */
export const TURBO_RESET = 4

/** A segment that has attributes. */
export interface Segment {
  readonly base: number
  readonly size: number
  /** The element of PAM, and where its two bits are. */
  readonly pam: number
  readonly shift: 0 | 4
}

const KIB16 = 0x4000
/** Segments by address: twelve of 16 KiB from C0000h, and one of 64 KiB. */
export const segments: readonly Segment[] = [
  ...Array.from({ length: 12 }, (_, index): Segment => ({ base: 0xc_0000 + index * KIB16, size: KIB16, pam: 1 + (index >>> 1), shift: index % 2 === 0 ? 0 : 4 })),
  { base: 0xf_0000, size: 0x1_0000, pam: 0, shift: 4 },
]
/** Whether reads go to RAM. */
export const READ_RAM = 1
