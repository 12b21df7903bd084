/** Registers of function 1 of the 82371SB PIIX3 (data sheet, order 290550), and of ATA devices behind it (T13/1410D, ATA/ATAPI-6). */

/** Where the function's own configuration registers begin. */
export const FIRST = 0x40

/** Configuration registers (2.3.10, 2.3.11). Timings keep what is written and change nothing. */
export const ideRegisters = {
  IDETIM: { offset: 0x40, width: 2, access: 'rw', count: 2, widths: 'any', section: '2.3.10', fields: { DECODE: 15 } },
  SIDETIM: { offset: 0x44, width: 1, access: 'rw', widths: 'any', section: '2.3.11' },
} as const

/** Registers of the bus master, of each channel (2.7). */
export const busMasterRegisters = {
  BMICOM: { offset: 0, width: 1, access: 'rw', writable: 0x09, widths: 'any', section: '2.7.1', fields: { START: 0, READ: 3 } },
  BMISTA: { offset: 2, width: 1, access: 'rw', writable: 0x66, widths: 'any', section: '2.7.2', fields: { ACTIVE: 0, ERROR: 1, INTERRUPT: 2 } },
  BMIDTP: { offset: 4, width: 4, access: 'rw', writable: 0xffff_fffc, widths: 'any', section: '2.7.3' },
} as const
/** Bits of BMICOM and BMISTA. */
export const Bm = { start: 1, read: 8, active: 1, error: 2, interrupt: 4, drives: 0x60 } as const
/** Bytes of the registers of one bus master. */
export const BUS_MASTER = 8

/** The command block (ATA/ATAPI-6, 7.2 to 7.15), by offset. Some mean one thing when they are read and another when they are written. */
export const Ata = { data: 0, error: 1, features: 1, count: 2, low: 3, mid: 4, high: 5, device: 6, status: 7, command: 7 } as const

/** Bits of the status register (7.15). */
export const Status = { err: 0x01, drq: 0x08, seek: 0x10, fault: 0x20, ready: 0x40, busy: 0x80 } as const
/** Bits of the error register (7.9). */
export const Fault = { abort: 0x04, notFound: 0x10, uncorrectable: 0x40 } as const
/** Bits of the device register (7.10). */
export const Select = { lba: 0x40, second: 0x10, head: 0x0f } as const
/** Bits of the device control register (7.8). */
export const Control = { noInterrupt: 0x02, reset: 0x04, previous: 0x80 } as const
/** The interrupt reason register of packet devices (7.13). */
export const Reason = { command: 1, toHost: 2 } as const

/** Bytes of a sector, and of a block of a compact disc. */
export const SECTOR = 512
export const BLOCK = 2048
/** Bytes of a packet. */
export const PACKET = 12
/** Sectors of READ and WRITE MULTIPLE, at most. */
export const MOST_MULTIPLE = 16
/** Sectors that are moved at once by a bus master. */
export const PIECE = 128
