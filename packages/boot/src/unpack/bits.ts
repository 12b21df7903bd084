/** A stream of bits that is read from its end: zstd has its entropy-coded parts so (RFC 8878, 4.1, "Bitstream"). Bits beyond the beginning are 0. */
export class BackwardBits {
  readonly #bytes: Uint8Array
  readonly #from: number
  /** Bits that are left; negative when more were asked for than there were. */
  left: number

  /** @param end - where it ends: its last byte has a 1 above the last bit */
  constructor(bytes: Uint8Array, from: number, end: number) {
    const last = end > from ? bytes[end - 1] ?? 0 : 0
    if (last === 0) throw new RangeError('a bit stream has no end')
    this.#bytes = bytes
    this.#from = from
    this.left = 8 * (end - from) - (Math.clz32(last) - 24) - 1
  }

  /** The next bits, which stay; at most 25. */
  peek(count: number): number {
    const start = this.left - count
    if (start >= 0) {
      const at = this.#from + (start >>> 3)
      const bytes = this.#bytes
      const word = (bytes[at] ?? 0) | (bytes[at + 1] ?? 0) << 8 | (bytes[at + 2] ?? 0) << 16 | (bytes[at + 3] ?? 0) << 24
      return word >>> (start & 7) & (1 << count) - 1
    }
    return this.left <= 0 ? 0 : this.peek(this.left) << -start & (1 << count) - 1
  }

  /** The next bits, at most 25. */
  read(count: number): number {
    const value = this.peek(count)
    this.left -= count
    return value
  }
}
