import type { PixelFormat, Pixels, Rectangle, Size } from '@machinist/api'

/** Bytes of a pixel: red, green, blue, alpha. */
const bytesPerPixel = 4

/** Where a format has red, green, blue and alpha; alpha -1 stands for opaque. */
const channels: Readonly<Record<PixelFormat, readonly [red: number, green: number, blue: number, alpha: number]>> = {
  b8g8r8a8: [2, 1, 0, 3], b8g8r8x8: [2, 1, 0, -1], a8r8g8b8: [1, 2, 3, 0], x8r8g8b8: [1, 2, 3, -1],
  r8g8b8a8: [0, 1, 2, 3], x8b8g8r8: [3, 2, 1, -1], a8b8g8r8: [3, 2, 1, 0], r8g8b8x8: [0, 1, 2, -1],
}

/** A picture of one's own: rows of RGBA, 4 bytes a pixel, without gaps. */
export class Picture implements Size {
  readonly width: number
  readonly height: number
  /** The pixels. Never replaced; they change when something is drawn. */
  readonly rgba: Uint8Array

  /** Transparent black. */
  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.rgba = new Uint8Array(width * height * bytesPerPixel)
  }

  /** Draws pixels of any format over a part, which lies inside. */
  draw({ x, y, width, height }: Rectangle, { bytes, stride, format }: Pixels): void {
    const [red, green, blue, alpha] = channels[format]
    const { rgba } = this
    for (let row = 0; row < height; row++) {
      let from = row * stride
      let to = ((y + row) * this.width + x) * bytesPerPixel
      for (let column = 0; column < width; column++, from += bytesPerPixel, to += bytesPerPixel) {
        rgba[to] = bytes[from + red] ?? 0
        rgba[to + 1] = bytes[from + green] ?? 0
        rgba[to + 2] = bytes[from + blue] ?? 0
        rgba[to + 3] = alpha < 0 ? 255 : bytes[from + alpha] ?? 0
      }
    }
  }

  /** Red, green, blue and alpha of a pixel; zeros outside. */
  pixel(x: number, y: number): readonly [number, number, number, number] {
    const at = x >= 0 && x < this.width && y >= 0 ? (y * this.width + x) * bytesPerPixel : this.rgba.length
    return [this.rgba[at] ?? 0, this.rgba[at + 1] ?? 0, this.rgba[at + 2] ?? 0, this.rgba[at + 3] ?? 0]
  }

  /** A number of 32 bits that says, but for chance, whether two pictures are the same: FNV-1a of size and pixels. */
  hash(): number {
    let sum = 0x811c_9dc5
    const add = (byte: number): void => { sum = Math.imul(sum ^ byte, 0x0100_0193) }
    for (const side of [this.width, this.height]) for (const shift of [0, 8, 16, 24]) add(side >>> shift & 255)
    for (const byte of this.rgba) add(byte)
    return sum >>> 0
  }

  /** A copy of a part; null unless it lies inside. */
  part({ x, y, width, height }: Rectangle): Picture | null {
    const inside = [x, y, width, height].every((each) => Number.isInteger(each) && each >= 0) && x + width <= this.width && y + height <= this.height
    if (!inside) return null
    const copy = new Picture(width, height)
    copy.draw({ x: 0, y: 0, width, height }, { bytes: this.rgba.subarray((y * this.width + x) * bytesPerPixel), stride: this.width * bytesPerPixel, format: 'r8g8b8a8' })
    return copy
  }
}
