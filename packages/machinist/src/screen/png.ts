import { deflateSync } from 'node:zlib'
import { crc32, encodeUtf8 } from '@machinist/boot'
import type { Picture } from '@machinist/display'

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
/** Bits of a sample, and "truecolour" (PNG, 11.2.1). */
const [DEPTH, TRUECOLOUR] = [8, 2]
const RGBA = 4
const RGB = 3

/** A picture as a file of Portable Network Graphics (ISO/IEC 15948), without its alpha. */
export function png({ width, height, rgba }: Pick<Picture, 'width' | 'height' | 'rgba'>): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([DEPTH, TRUECOLOUR], 8)
  // Each row begins with its filter: none.
  const rows = new Uint8Array(height * (1 + width * RGB))
  let to = 0
  for (let from = 0; from < width * height * RGBA; from += RGBA) {
    if (from % (width * RGBA) === 0) to++
    for (let channel = 0; channel < RGB; channel++) rows[to++] = rgba[from + channel] ?? 0
  }
  return Buffer.concat([Uint8Array.from(SIGNATURE), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', new Uint8Array(0))])
}

/** Length, type, data, and a sum of the latter two (PNG, 5.3). */
function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(encodeUtf8(type), 4)
  bytes.set(data, 8)
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)))
  return bytes
}
