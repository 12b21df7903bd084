/** The "test finisher" of SiFive's simulation platforms: what is written ends or restarts the machine. */
export const sysconRegisters = {
  /** `STATUS` says what to do, `CODE` is a failure's exit status. Some firmware writes 16 bits, so any width will do. */
  FINISHER: { offset: 0x0, access: 'wo', widths: 'any', fields: { STATUS: [15, 0], CODE: [31, 16] } },
} as const

/** Values of FINISHER's `STATUS`. */
export const finish = { fail: 0x3333, pass: 0x5555, reset: 0x7777 } as const
