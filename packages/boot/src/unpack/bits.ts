/** Bits `start` to `start + count - 1` of the bytes from `from` on, at most 25; those before the beginning are 0. */
export function bitsAt(bytes: Uint8Array, from: number, start: number, count: number): number {
  if (start < 0) return bitsBefore(bytes, from, start, count)
  const at = from + (start >>> 3)
  const word = (bytes[at] ?? 0) | (bytes[at + 1] ?? 0) << 8 | (bytes[at + 2] ?? 0) << 16 | (bytes[at + 3] ?? 0) << 24
  return word >>> (start & 7) & (1 << count) - 1
}

/** Of its own, so that what is usual is short enough to become part of its callers. */
function bitsBefore(bytes: Uint8Array, from: number, start: number, count: number): number {
  return start + count <= 0 ? 0 : bitsAt(bytes, from, 0, start + count) << -start & (1 << count) - 1
}

/** A stream of bits that is read from its end: zstd has its entropy-coded parts so (RFC 8878, 4.1, "Bitstream"). Bits beyond the beginning are 0. */
export class BackwardBits {
  readonly bytes: Uint8Array
  /** Where it begins. */
  readonly from: number
  /** Bits that are left; negative when more were asked for than there were. */
  left: number

  /** @param end - where it ends: its last byte has a 1 above the last bit */
  constructor(bytes: Uint8Array, from: number, end: number) {
    const last = end > from ? bytes[end - 1] ?? 0 : 0
    if (last === 0) throw new RangeError('a bit stream has no end')
    this.bytes = bytes
    this.from = from
    this.left = 8 * (end - from) - (Math.clz32(last) - 24) - 1
  }

  /** The next bits, which stay; at most 25. */
  peek(count: number): number {
    return bitsAt(this.bytes, this.from, this.left - count, count)
  }

  /** The next bits, at most 25. */
  read(count: number): number {
    const value = this.peek(count)
    this.left -= count
    return value
  }
}
