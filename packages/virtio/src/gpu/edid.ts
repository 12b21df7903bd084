import type { Size } from '@machinist/api'

const length = 128
/** Largest width or height that a detailed timing can say. */
const most = 4095
/** Blanking of our timing, in pixels and lines; a reduced one, as flat panels have it. */
const blank = { horizontal: 160, vertical: 30 } as const
const sync = { horizontalOffset: 48, horizontalWidth: 32, verticalOffset: 3, verticalWidth: 6 } as const
const refresh = 60
const pixelsPerCentimetre = 38

/** Describes a monitor of one size: VESA's Extended Display Identification Data, version 1.4, one block. */
export function edidOf(size: Size): Uint8Array {
  const [width, height] = [Math.min(size.width, most), Math.min(size.height, most)]
  const centimetres = (pixels: number): number => Math.min(255, Math.max(1, Math.round(pixels / pixelsPerCentimetre)))
  const bytes = new Uint8Array(length)
  bytes.set([0, 255, 255, 255, 255, 255, 255, 0])
  // Manufacturer MCH, 5 bits a letter; product 1, no serial number, week 0 of 2024, version 1.4.
  bytes.set([0x34, 0x68, 1, 0, 0, 0, 0, 0, 0, 2024 - 1990, 1, 4], 8)
  // Digital with 8 bits a colour; size; gamma 2.2; sRGB, the first timing is the preferred one.
  bytes.set([0xa0, centimetres(width), centimetres(height), 120, 0x06], 20)
  // The primaries of sRGB. No established timings, no standard ones.
  bytes.set([0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, 0, 0, 0], 25)
  bytes.fill(1, 38, 54)
  bytes.set(timingOf(width, height, 10 * centimetres(width), 10 * centimetres(height)), 54)
  bytes.set([0, 0, 0, 0xfc, 0, ...[...'Machinist\n   '].map((character) => character.charCodeAt(0))], 72)
  for (const unused of [90, 108]) bytes.set([0, 0, 0, 0x10], unused)
  bytes[length - 1] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff
  return bytes
}

/** A detailed timing descriptor. */
function timingOf(width: number, height: number, millimetresWide: number, millimetresHigh: number): number[] {
  const clock = Math.min(0xffff, Math.round((width + blank.horizontal) * (height + blank.vertical) * refresh / 10_000))
  const high = (first: number, second: number): number => (first >>> 8) << 4 | second >>> 8
  return [
    clock & 255, clock >>> 8,
    width & 255, blank.horizontal & 255, high(width, blank.horizontal), height & 255, blank.vertical & 255, high(height, blank.vertical),
    sync.horizontalOffset, sync.horizontalWidth, sync.verticalOffset << 4 | sync.verticalWidth, 0,
    millimetresWide & 255, millimetresHigh & 255, high(millimetresWide, millimetresHigh), 0, 0,
    0x1e, // digital, separate sync, both positive
  ]
}
