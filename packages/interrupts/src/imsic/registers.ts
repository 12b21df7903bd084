/** Bytes of the page of an interrupt file (AIA 1.0, 3.5). */
export const filePage = 0x1000

/** Where messages arrive (AIA 1.0, 3.5), a page for each hart. The rest of the pages, `seteipnum_be` included, is not there. */
export const imsicRegisters = {
  seteipnum_le: { offset: 0, access: 'wo', count: 4095, stride: 0x1000, section: '3.5' },
} as const
