import type { DmaSpace, PixelFormat, Rectangle } from '@machinist/api'
import { bytesPerPixel, largestCursor, memoryEntrySize } from './layout.ts'

/** Bytes of pixels that are moved before it is told what that cost. */
export const portion: number = 1 << 20
/** What a piece of guest memory counts beside its bytes. */
const pieceCost = 256

/** Guest memory behind a resource: pieces that follow one another. */
export class Backing {
  /** Address and length of each piece, by turns. */
  readonly pieces: readonly number[]
  /** Where each piece begins in the whole. */
  readonly #starts: readonly number[]
  /** Bytes of all. */
  readonly length: number

  constructor(pieces: readonly number[]) {
    const starts: number[] = []
    let length = 0
    for (let index = 0; index < pieces.length; index += 2) {
      starts.push(length)
      length += pieces[index + 1] ?? 0
    }
    this.pieces = pieces
    this.#starts = starts
    this.length = length
  }

  get count(): number {
    return this.#starts.length
  }

  /**
   * Copies from byte `offset` on; `into` is not empty. Returns from how many pieces, or 0 when that is not all there and in RAM; then some may
   * have been copied.
   */
  read(dma: Pick<DmaSpace, 'read'>, offset: number, into: Uint8Array): number {
    if (offset + into.length > this.length) return 0
    let [low, high] = [0, this.count]
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    const first = low
    for (let done = 0; done < into.length; low++) {
      const skip = offset + done - (this.#starts[low] ?? 0)
      const count = Math.min((this.pieces[2 * low + 1] ?? 0) - skip, into.length - done)
      if (count > 0 && !dma.read((this.pieces[2 * low] ?? 0) + skip, into.subarray(done, done + count))) return 0
      done += Math.max(count, 0)
    }
    return low - first
  }
}

/** Reads `struct virtio_gpu_mem_entry` (5.7.6.8). Addresses beyond 2^53 lose their last bits, and are no RAM anyway. */
export function piecesOf(entries: Uint8Array): number[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
  const pieces: number[] = []
  for (let at = 0; at < entries.length; at += memoryEntrySize) {
    const length = view.getUint32(at + 8, true)
    if (length > 0) pieces.push(view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32, length)
  }
  return pieces
}

/** A picture that the guest has made on this side. */
export class Resource {
  readonly width: number
  readonly height: number
  readonly formatNumber: number
  readonly format: PixelFormat
  readonly pixels: Uint8Array
  backing: Backing | null = null

  constructor(width: number, height: number, formatNumber: number, format: PixelFormat, pixels: Uint8Array) {
    this.width = width
    this.height = height
    this.formatNumber = formatNumber
    this.format = format
    this.pixels = pixels
  }

  get stride(): number {
    return this.width * bytesPerPixel
  }

  /** Whether a rectangle of the guest, its numbers below 2^32, is inside and holds a pixel. */
  holds({ x, y, width, height }: Rectangle): boolean {
    return width > 0 && height > 0 && x + width <= this.width && y + height <= this.height
  }

  /** Whether it may be a cursor with that pixel at the pointer (5.7.6.10): 64 pixels wide and high, and smaller ones do no harm. */
  isCursor(hotX: number, hotY: number): boolean {
    return this.width <= largestCursor && this.height <= largestCursor && hotX < this.width && hotY < this.height
  }

  /** The bytes from a pixel on. */
  from(x: number, y: number): Uint8Array {
    return this.pixels.subarray(y * this.stride + x * bytesPerPixel)
  }

  /**
   * Copies a part that it {@link holds} from the backing, where it begins at byte `offset` and has rows as long as those of the whole
   * (5.7.6.8). Tells after each portion what it cost. False when it is not all there and in RAM.
   */
  *transfer(dma: Pick<DmaSpace, 'read'>, { x, y, width, height }: Rectangle, offset: number): Generator<number, boolean, void> {
    const { backing, stride } = this
    if (backing === null) return false
    const row = width * bytesPerPixel
    if (offset + (height - 1) * stride + row > backing.length) return false
    const target = this.from(x, y)
    // Rows without a gap between them are one.
    const rows = row === stride ? Math.max(1, Math.floor(portion / row)) : 1
    for (let line = 0; line < height; line += rows) {
      const length = Math.min(rows, height - line) * row
      const pieces = backing.read(dma, offset + line * stride, target.subarray(line * stride, line * stride + length))
      if (pieces === 0) return false
      yield length + pieces * pieceCost
    }
    return true
  }
}
