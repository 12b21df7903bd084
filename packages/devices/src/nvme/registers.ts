/** Registers and numbers of NVM Express Base 1.4; sections are those of the specification. */

/** Bytes of the registers before the doorbells (3.1). */
export const DOORBELLS = 0x1000
/** Bytes of one doorbell (CAP.DSTRD is 0). */
export const DOORBELL = 4
/** Bytes of all registers: doorbells of 512 pairs of queues have room. */
export const REGISTERS = 0x2000
/** Pairs of queues for I/O, at most. */
export const MOST_QUEUES = 64
/** Entries of a queue, at least and at most. */
export const LEAST_ENTRIES = 2
export const MOST_ENTRIES = 1024
/** Bytes of an entry of a submission and of a completion queue, as powers of two. */
export const SUBMISSION_SHIFT = 6
export const COMPLETION_SHIFT = 4
export const SUBMISSION: number = 1 << SUBMISSION_SHIFT
export const COMPLETION: number = 1 << COMPLETION_SHIFT
/** The smallest page of memory, as a power of two, and how much larger the largest is. */
export const PAGE_SHIFT = 12
export const PAGE_RANGE = 4
/** Bytes that a command moves, at most: so many of the smallest pages, as a power of two (MDTS). */
export const TRANSFER_SHIFT = 6
export const MOST_TRANSFER: number = 1 << PAGE_SHIFT + TRANSFER_SHIFT
/** What it is, 1.4.0. */
export const VERSION = 0x0001_0400

/** Controller registers (3.1). CAP: queues of {@link MOST_ENTRIES} that are contiguous, 10 s until it is ready, the NVM command set, pages of 4 to 64 KiB. */
export const nvmeRegisters = {
  CAP: { offset: 0x00, width: 8, access: 'ro', widths: 'any', reset: 0x400020140103ffn, section: '3.1.1' },
  VS: { offset: 0x08, access: 'ro', widths: 'any', reset: 0x0001_0400, section: '3.1.2' },
  INTMS: { offset: 0x0c, access: 'w1s', widths: 'any', section: '3.1.3' },
  INTMC: { offset: 0x10, access: 'rw', widths: 'any', section: '3.1.4' },
  CC: { offset: 0x14, access: 'rw', widths: 'any', writable: 0x00ff_fff1, section: '3.1.5', fields: { EN: 0, CSS: [6, 4], MPS: [10, 7], AMS: [13, 11], SHN: [15, 14], IOSQES: [19, 16], IOCQES: [23, 20] } },
  CSTS: { offset: 0x1c, access: 'ro', widths: 'any', section: '3.1.6', fields: { RDY: 0, CFS: 1, SHST: [3, 2] } },
  NSSR: { offset: 0x20, access: 'ro', widths: 'any', section: '3.1.7' },
  AQA: { offset: 0x24, access: 'rw', widths: 'any', writable: 0x0fff_0fff, section: '3.1.8', fields: { ASQS: [11, 0], ACQS: [27, 16] } },
  ASQ: { offset: 0x28, width: 8, access: 'rw', widths: 'any', writable: 0xffff_ffff_ffff_f000n, section: '3.1.9' },
  ACQ: { offset: 0x30, width: 8, access: 'rw', widths: 'any', writable: 0xffff_ffff_ffff_f000n, section: '3.1.10' },
  CMBLOC: { offset: 0x38, access: 'ro', widths: 'any', section: '3.1.11' },
  CMBSZ: { offset: 0x3c, access: 'ro', widths: 'any', section: '3.1.12' },
} as const

/** Admin commands (5). */
export const Admin = { deleteSq: 0x00, createSq: 0x01, logPage: 0x02, deleteCq: 0x04, createCq: 0x05, identify: 0x06, abort: 0x08, setFeatures: 0x09, getFeatures: 0x0a, asyncEvent: 0x0c } as const
/** Commands of the NVM command set (6). */
export const Nvm = { flush: 0x00, write: 0x01, read: 0x02, writeZeroes: 0x08, management: 0x09 } as const

/** Status code types and codes (4.6.1), the type in bits 10:8. */
export const Result = {
  ok: 0x000, invalidOpcode: 0x001, invalidField: 0x002, dataTransfer: 0x004, internal: 0x006, abortRequested: 0x007, invalidNamespace: 0x00b, sequence: 0x00c,
  prpOffset: 0x013, writeProtected: 0x020, lbaRange: 0x080, capacity: 0x081,
  completionQueue: 0x100, queueIdentifier: 0x101, queueSize: 0x102, abortLimit: 0x103, asyncLimit: 0x105, interruptVector: 0x108, logPage: 0x109, queueDeletion: 0x10c, notSaveable: 0x10d, notChangeable: 0x10e,
  writeFault: 0x280, unrecoveredRead: 0x281,
} as const

/** Every namespace, where one is named. */
export const ALL_NAMESPACES = 0xffff_ffff
/** Asynchronous event requests that wait at once, at most (AERL, from 0 on), and entries of the error log (ELPE, from 0 on). */
export const ASYNC_EVENTS = 4
export const ERROR_ENTRIES = 16
