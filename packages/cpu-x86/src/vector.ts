/** Exceptions by their vector (SDM volume 3, table 7-1). */
export const Vector = {
  divideError: 0,
  debug: 1,
  breakpoint: 3,
  overflow: 4,
  boundRange: 5,
  invalidOpcode: 6,
  stackSegment: 12,
  generalProtection: 13,
  pageFault: 14,
  alignmentCheck: 17,
} as const
