/** The debug console of Bochs and QEMU: what is written is for people, and a read tells that it is there. */
export const debugPortRegisters = {
  OUT: { offset: 0, width: 1, access: 'wo', widths: 'any' },
  THERE: { offset: 0, width: 1, access: 'ro', reset: 0xe9, widths: 'any' },
} as const
