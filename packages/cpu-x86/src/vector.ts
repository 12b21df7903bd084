/** Exceptions by their vector (SDM volume 3, table 7-1). */
export const Vector = {
  divideError: 0,
  debug: 1,
  nonMaskable: 2,
  breakpoint: 3,
  overflow: 4,
  boundRange: 5,
  invalidOpcode: 6,
  deviceNotAvailable: 7,
  doubleFault: 8,
  invalidTss: 10,
  segmentNotPresent: 11,
  stackSegment: 12,
  generalProtection: 13,
  pageFault: 14,
  /** #MF and #XM: an exception of the x87 FPU, and of SSE and AVX. */
  floatingPoint: 16,
  alignmentCheck: 17,
  simd: 19,
} as const

/** Those that push an error code. */
const WITH_ERROR: readonly number[] = [Vector.doubleFault, Vector.invalidTss, Vector.segmentNotPresent, Vector.stackSegment, Vector.generalProtection, Vector.pageFault, Vector.alignmentCheck]

export function hasError(vector: number): boolean {
  return WITH_ERROR.includes(vector)
}
