/** Configuration registers of function 0 of the 82371SB PIIX3 (data sheet, order 290550, section 2.2), the bridge to ISA, from 4Ch on. Timings of ISA keep what is written and change nothing. */
export const FIRST = 0x4c

export const piix3Registers = {
  IORT: { offset: 0x4c, width: 1, access: 'rw', reset: 0x4d, widths: 'any', section: '2.2.10' },
  XBCS: { offset: 0x4e, width: 2, access: 'rw', reset: 0x0003, writable: 0x07ff, widths: 'any', section: '2.2.11' },
  PIRQRC: { offset: 0x60, width: 1, access: 'rw', reset: 0x80, count: 4, writable: 0x8f, widths: 'any', section: '2.2.12', fields: { DISABLED: 7, ROUTE: [3, 0] } },
  TOM: { offset: 0x69, width: 1, access: 'rw', reset: 0x02, writable: 0xfe, widths: 'any', section: '2.2.13' },
  MSTAT: { offset: 0x6a, width: 2, access: 'rw', writable: 0x8080, widths: 'any', section: '2.2.14' },
  MBIRQ0: { offset: 0x70, width: 1, access: 'rw', reset: 0x80, writable: 0xef, widths: 'any', section: '2.2.15' },
  MBDMA: { offset: 0x76, width: 1, access: 'rw', reset: 0x0c, count: 2, writable: 0x8f, widths: 'any', section: '2.2.17' },
  PCSC: { offset: 0x78, width: 2, access: 'rw', reset: 0x0002, widths: 'any', section: '2.2.18' },
  APICBASE: { offset: 0x80, width: 1, access: 'rw', writable: 0x7f, widths: 'any', section: '2.2.19' },
  DLC: { offset: 0x82, width: 1, access: 'rw', writable: 0x0f, widths: 'any', section: '2.2.20' },
  SMICNTL: { offset: 0xa0, width: 1, access: 'rw', reset: 0x08, writable: 0x1f, widths: 'any', section: '2.2.21' },
  SMIEN: { offset: 0xa2, width: 2, access: 'rw', writable: 0x00ff, widths: 'any', section: '2.2.22' },
  SEE: { offset: 0xa4, width: 4, access: 'rw', widths: 'any', section: '2.2.23' },
  FTMR: { offset: 0xa8, width: 1, access: 'rw', reset: 0x0f, widths: 'any', section: '2.2.24' },
  SMIREQ: { offset: 0xaa, width: 2, access: 'rw', writable: 0x00ff, widths: 'any', section: '2.2.25' },
  CTLTMR: { offset: 0xac, width: 1, access: 'rw', widths: 'any', section: '2.2.26' },
  CTHTMR: { offset: 0xae, width: 1, access: 'rw', widths: 'any', section: '2.2.27' },
} as const

/** Interrupts of ISA that those of PCI can be routed to (2.2.12). */
export const routable = [3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15] as const
export const PIRQS = 4
