/** System control port A of the IBM PS/2 (technical reference, "System Control Port A"), as chip sets of PCs have it (82371SB data sheet, order 290550, "PORT92"): a fast reset, and address line 20. */
export const port92Registers = {
  PORT_92: { offset: 0, width: 1, access: 'rw', reset: 0, writable: 0x03, widths: 'any', fields: { FAST_INIT: 0, FAST_A20: 1 } },
} as const

export const Port92 = { fastInit: 1, fastA20: 2 } as const
