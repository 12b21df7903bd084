import { Crtc, MaximumScan } from './registers.ts'

/** A picture, as words of blue, green, red and nothing. */
export interface Frame {
  readonly width: number
  readonly height: number
  readonly words: Uint32Array
}

/** Lines that are shown: bits 8 and 9 are in the overflow register. */
export function verticalEnd(crtc: Uint8Array): number {
  const overflow = crtc[Crtc.overflow] ?? 0
  return ((crtc[Crtc.verticalEnd] ?? 0) | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1
}

export function startAddress(crtc: Uint8Array): number {
  return (crtc[Crtc.startHigh] ?? 0) << 8 | (crtc[Crtc.startLow] ?? 0)
}

/** The line at which the lower part of a split screen begins, which shows memory from its beginning on. */
export function splitLine(crtc: Uint8Array): number {
  return (crtc[Crtc.lineCompare] ?? 0) | ((crtc[Crtc.overflow] ?? 0) & 0x10) << 4 | ((crtc[Crtc.maximumScan] ?? 0) & MaximumScan.lineCompare9) << 3
}
