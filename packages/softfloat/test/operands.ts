/** Operands that meet the corners: special values, ties, cancellation, the edges of overflow and underflow. */

export type Kind = 'number' | 'integer'
export type Width = 32 | 64

/** A seeded generator of 32-bit words (xorshift128). */
export function randomWords(seed: number): () => number {
  let [x, y, z, w] = [seed | 1, 0x9e3779b9, 0x243f6a88, (seed * 0x85ebca6b) | 0]
  return () => {
    const t = x ^ (x << 11)
    x = y
    y = z
    z = w
    w = w ^ (w >>> 19) ^ t ^ (t >>> 8)
    return w >>> 0
  }
}

/** Doubles and singles are both made as a sign, an exponent and 52 or 23 bits of fraction in two words. */
export class Operands {
  readonly #random: () => number
  readonly #scratch = new DataView(new ArrayBuffer(8))

  constructor(seed: number) {
    this.#random = randomWords(seed)
    for (let i = 0; i < 20; i++) this.#random()
  }

  /** Fills records of three 64-bit operands. */
  fill(target: DataView, count: number, width: Width, kind: Kind): void {
    for (let i = 0; i < count; i++) {
      const at = 24 * i
      if (kind === 'integer') {
        this.#integer(target, at)
        continue
      }
      this.#number(target, at, width)
      this.#related(target, at, at + 8, width)
      const third = this.#random() % 4
      if (third === 0) this.#nearProduct(target, at, width)
      else if (third === 1) this.#nearTie(target, at, width)
      else this.#related(target, at, at + 16, width)
    }
  }

  #put(target: DataView, at: number, width: Width, sign: number, exponent: number, high: number, low: number): void {
    if (width === 64) {
      const e = Math.max(0, Math.min(2047, exponent))
      target.setUint32(at + 4, ((sign << 31) | (e << 20) | (high & 0xfffff)) >>> 0, true)
      target.setUint32(at, low, true)
    } else {
      const e = Math.max(0, Math.min(255, exponent))
      target.setUint32(at, ((sign << 31) | (e << 23) | (((high << 3) | (low >>> 29)) & 0x7fffff)) >>> 0, true)
      target.setUint32(at + 4, 0, true)
    }
  }

  #exponent(width: Width): number {
    const [bias, max] = width === 64 ? [1023, 2047] : [127, 255]
    const r = this.#random()
    switch ((r >>> 8) % 10) {
      case 0:
        return 0
      case 1:
        return max
      case 2:
        return 1 + (r & 3)
      case 3:
        return max - 1 - (r & 3)
      case 4:
        return (r & 0xffff) % (max + 1)
      case 5:
        return (bias >> 1) + (r & 63) - 32
      case 6:
        return bias + (bias >> 1) + (r & 63) - 32
      default:
        return bias + (r & 127) - 64
    }
  }

  #fraction(): [number, number] {
    const r = this.#random()
    const any = this.#random
    switch ((r >>> 8) % 10) {
      case 0:
        return [0, 0]
      case 1:
        return [0xfffff, 0xffffffff]
      case 2: // one bit
        return (r & 63) < 20 ? [1 << (r & 31) % 20, 0] : [0, 1 << (r & 31)]
      case 3: // near the ends
        return [r & 64 ? 0xfffff : 0, r & 64 ? (0xffffffff - ((r & 3) << 29)) >>> 0 : ((r & 3) << 29) >>> 0]
      case 4: // few leading digits
        return [any() & (0xfffff << (r & 15)), 0]
      case 5: // a run of ones at the low end
        return [(1 << (r & 15)) - 1, 0xffffffff]
      case 6: // half the digits: products on ties
        return [any(), (any() & 0xfc000000) >>> 0]
      case 7:
        return [0, any() >>> (r & 31)]
      default:
        return [any(), any()]
    }
  }

  #number(target: DataView, at: number, width: Width): void {
    const [high, low] = this.#fraction()
    this.#put(target, at, width, this.#random() & 1, this.#exponent(width), high, low)
  }

  /** A number that stands in some relation to the one at `from`. */
  #related(target: DataView, from: number, at: number, width: Width): void {
    const r = this.#random()
    const [bias, shift] = width === 64 ? [1023, 20] : [127, 23]
    const top = target.getUint32(width === 64 ? from + 4 : from, true)
    const exponent = (top >>> shift) & (2 * bias + 1)
    const [high, low] = this.#fraction()
    const spread = width === 64 ? 120 : 60
    switch ((r >>> 8) % 6) {
      case 0: {
        // The same or the negative, give or take a few units in the last place.
        const delta = (r & 7) - 3
        target.setUint32(at, (target.getUint32(from, true) + delta) >>> 0, true)
        target.setUint32(at + 4, target.getUint32(from + 4, true), true)
        const signAt = width === 64 ? at + 7 : at + 3
        if (r & 64) target.setUint8(signAt, target.getUint8(signAt) ^ 0x80)
        return
      }
      case 1: // within the reach of its digits
        this.#put(target, at, width, r & 1, exponent + ((r >>> 16) % spread) - spread / 2, high, low)
        return
      case 2: // a product or a quotient at the edge of underflow or overflow
        this.#put(target, at, width, r & 1, (r & 2 ? bias + 1 : 3 * bias) - exponent + ((r >>> 20) & 7) - 4, high, low)
        return
      case 3:
        this.#put(target, at, width, r & 1, bias + exponent - (r & 2 ? 0 : 2 * bias) + ((r >>> 20) & 63) - 32, high, low)
        return
      default:
        this.#number(target, at, width)
    }
  }

  /** An addend near to plus or minus the product of the first two. */
  #nearProduct(target: DataView, at: number, width: Width): void {
    const r = this.#random()
    const sign = r & 1 ? 1 : -1
    const delta = (r & 14) === 0 ? ((r >>> 8) & 7) - 3 : 0
    if (width === 64) {
      const product = target.getFloat64(at, true) * target.getFloat64(at + 8, true)
      this.#scratch.setFloat64(0, sign * product * (r & 0x30000 ? 1 : 2 ** (((r >>> 20) % 240) - 120)), true)
      target.setUint32(at + 16, (this.#scratch.getUint32(0, true) + delta) >>> 0, true)
      target.setUint32(at + 20, this.#scratch.getUint32(4, true), true)
    } else {
      const product = target.getFloat32(at, true) * target.getFloat32(at + 8, true)
      this.#scratch.setFloat32(0, sign * product * (r & 0x30000 ? 1 : 2 ** (((r >>> 20) % 120) - 60)), true)
      target.setUint32(at + 16, (this.#scratch.getUint32(0, true) + delta) >>> 0, true)
      target.setUint32(at + 20, 0, true)
    }
  }

  /** A sum `a × b + c` that is nearly or exactly halfway between two numbers. */
  #nearTie(target: DataView, at: number, width: Width): void {
    const [bias, digits] = width === 64 ? [1023, 53] : [127, 24]
    const r = this.#random()
    const sign = (r >>> 31) & 1
    const put = (index: number, significand: bigint, exponent: number): void => {
      // The significand, an integer of at most `digits` bits, with its leading one made implicit.
      const length = significand.toString(2).length
      const fraction = (significand << BigInt(53 - length)) & ((1n << 52n) - 1n)
      this.#put(target, at + 8 * index, width, index === 2 ? sign : 0, bias + exponent, Number(fraction >> 32n), Number(fraction & 0xffffffffn))
    }
    const odd = (bits: number): bigint => {
      const any = (BigInt(this.#random()) << 32n) | BigInt(this.#random())
      return (any & ((1n << BigInt(bits)) - 1n)) | (1n << BigInt(bits - 1)) | 1n
    }
    const scale = ((r >>> 8) & 31) - 16
    if (r & 1) {
      // A product of one digit too many, and an addend far below it.
      const first = 1 + ((r >>> 16) % (digits - 1))
      const second = Math.min(digits, digits + 1 - first + (r & 2 ? 1 : 0))
      put(0, odd(first), scale)
      put(1, odd(second), -scale)
      put(2, r & 4 ? 1n : odd(digits), -digits - 3 - ((r >>> 20) & (width === 64 ? 127 : 31)))
      return
    }
    // An addend, and a product that is half its last digit, give or take what only the exact product knows: with
    // factors 1 + x and 1 − x, x too small for 1 − x² to be told from 1.
    const one = 1n << BigInt((digits >> 1) + ((r >>> 16) % (digits >> 1)))
    const nudge = r & 2 ? 1n : 0n
    put(0, one + nudge, scale)
    put(1, one - (r & 4 ? nudge : 0n), -scale - digits + ((r >>> 24) & 1))
    put(2, odd(digits), 0)
  }

  #integer(target: DataView, at: number): void {
    const r = this.#random()
    let value = (BigInt(this.#random()) << 32n) | BigInt(this.#random())
    value >>= BigInt(r & 63)
    if (r & 64) value &= -1n << BigInt((r >>> 8) & 63)
    if (r & 128) value = (1n << BigInt((r >>> 14) & 63)) + BigInt((r >>> 20) & 15) - 8n
    if (r & 0x8000000) value = -value
    target.setBigUint64(at, BigInt.asUintN(64, value), true)
    target.setBigUint64(at + 8, 0n, true)
    target.setBigUint64(at + 16, 0n, true)
  }
}
