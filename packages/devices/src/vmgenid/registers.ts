/** The generation ID, 16 bytes that are only read. */
export const vmgenidRegisters = {
  ID: { offset: 0x0, access: 'ro', widths: 'any', count: 4 },
} as const
