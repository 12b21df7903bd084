/**
 * One 8259A: two ports, told apart by A0 (Intel 8259A data sheet, order 231468, "Programming the 8259A"). What is written to the first is an
 * initialization command word or an operation command word, by its bits 4 and 3.
 */
export const i8259Registers = {
  COMMAND: { offset: 0, width: 1, access: 'wo', widths: 'any', section: 'ICW1, OCW2, OCW3' },
  STATUS: { offset: 0, width: 1, access: 'ro', widths: 'any', section: 'Reading the 8259A Status' },
  /** Written while the chip is being initialized, it takes ICW2 to ICW4. */
  MASK: { offset: 1, width: 1, access: 'rw', widths: 'any', section: 'OCW1' },
} as const

/** The edge/level control registers, ELCR1 and ELCR2, a bit for each input (Intel 82371SB data sheet, order 290550, 2.5.4). */
export const elcrRegisters = {
  ELCR: { offset: 0, width: 1, access: 'rw', count: 2, widths: 'any', section: '2.5.4' },
} as const

/** Inputs that can be level-sensitive, by chip: not those of timer, keyboard, cascade, real-time clock and coprocessor. */
export const levelCapable = [0xf8, 0xde] as const

/** Bits of ICW1, the first initialization command word. */
export const Icw1 = { ic4: 0x01, single: 0x02, level: 0x08, is: 0x10 } as const

/** Bits of ICW4. */
export const Icw4 = { autoEoi: 0x02, specialFullyNested: 0x10 } as const

/** Bits of OCW2: rotate, and which interrupt it is for; and of OCW3. */
export const Ocw2 = { level: 0x07, end: 0x20, specific: 0x40, rotate: 0x80 } as const
export const Ocw3 = { readIsr: 0x01, read: 0x02, poll: 0x04, is: 0x08, specialMask: 0x20, setSpecialMask: 0x40 } as const
