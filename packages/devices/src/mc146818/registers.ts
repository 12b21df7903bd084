/** The two ports by which a PC reaches the chip (IBM PC/AT technical reference, order 6183310): an address, whose bit 7 would mask NMIs, and what is there. */
export const mc146818Ports = {
  ADDRESS: { offset: 0, width: 1, access: 'wo', widths: 'any' },
  /** Nobody drives the bus when the address is read. */
  NOTHING: { offset: 0, width: 1, access: 'ro', reset: 0xff, widths: 'any' },
  DATA: { offset: 1, width: 1, access: 'rw', widths: 'any' },
} as const

/** Bytes of the chip, registers and RAM (Motorola MC146818A data sheet, order ADI1014R1, "Address Map"); a PC's has 128. The century is by custom, and ACPI names it. */
export const Place = {
  seconds: 0, secondsAlarm: 1, minutes: 2, minutesAlarm: 3, hours: 4, hoursAlarm: 5, dayOfWeek: 6, date: 7, month: 8, year: 9, a: 10, b: 11, c: 12, d: 13, century: 0x32, size: 128,
} as const

/** Register A: update in progress, divider, rate of the periodic interrupt. */
export const A = { uip: 0x80, divider: 0x70, fastest: 0x20, reset: 0x60, rate: 0x0f, writable: 0x7f } as const
/** Register B: time is set, enables of interrupts, formats. */
export const B = { set: 0x80, interrupts: 0x70, updateEnded: 0x10, squareWave: 0x08, binary: 0x04, hours24: 0x02, writable: 0xff } as const
/** Register C: flags, in the places of their enables. */
export const C = { irqf: 0x80, pf: 0x40, af: 0x20, uf: 0x10 } as const
/** Register D: the battery is good. */
export const D = { vrt: 0x80 } as const

/** Pulses per second of the crystal. */
export const CRYSTAL = 32_768
/** Nanoseconds before an update for which UIP is set already: tBUC, 8 pulses ("Update Cycle"). */
export const BEFORE_UPDATE = 244_140
