/**
 * What is in memory of an I/O APIC: a window on its registers (Intel 82093AA data sheet, order 290566, 3.1), and the EOI register of version 20H
 * (Intel I/O Controller Hub 5 data sheet, order 252516, 9.5.5).
 */
export const ioApicRegisters = {
  IOREGSEL: { offset: 0x00, access: 'rw', writable: 0xff, section: '3.1.1' },
  IOWIN: { offset: 0x10, access: 'rw', section: '3.1.2' },
  EOIR: { offset: 0x40, access: 'wo' },
} as const

/** Registers in the window (3.2). */
export const Index = { id: 0, version: 1, arbitration: 2, table: 0x10 } as const

/** Fields of the lower word of a redirection entry (3.2.4). The upper has the destination in bits 31:24. */
export const Entry = { vector: 0xff, remoteIrr: 0x4000, level: 0x8000, mask: 0x1_0000, writable: 0x1_afff, message: 0x8fff, destination: 0xff00_0000 } as const

/** Interrupt inputs. */
export const PINS = 24
