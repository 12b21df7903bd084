/**
 * Bits `start` to `start + count - 1` of the bytes from `from` on, at most 25; those before the beginning are 0.
 *
 * @param last - where the last four bytes of the view begin, which asking it each time is dear
 */
export function bitsAt(view: DataView, last: number, from: number, start: number, count: number): number {
  const at = from + (start >>> 3)
  if (start < 0 || at > last) return bitsAtEnds(view, from, start, count)
  return view.getInt32(at, true) >>> (start & 7) & (1 << count) - 1
}

/** Of its own, so that what is usual is short enough to become part of its callers. */
function bitsAtEnds(view: DataView, from: number, start: number, count: number): number {
  if (start < 0) return start + count <= 0 ? 0 : bitsAtEnds(view, from, 0, start + count) << -start & (1 << count) - 1
  const byte = (at: number): number => at < view.byteLength ? view.getUint8(at) : 0
  const at = from + (start >>> 3)
  const word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24
  return word >>> (start & 7) & (1 << count) - 1
}

/** A stream of bits that is read from its end: zstd has its entropy-coded parts so (RFC 8878, 4.1, "Bitstream"). Bits beyond the beginning are 0. */
export class BackwardBits {
  readonly view: DataView
  /** See `bitsAt`. */
  readonly last: number
  /** Where it begins. */
  readonly from: number
  /** Bits that are left; negative when more were asked for than there were. */
  left: number

  /** @param end - where it ends: its last byte has a 1 above the last bit */
  constructor(view: DataView, from: number, end: number) {
    const last = end > from && end <= view.byteLength ? view.getUint8(end - 1) : 0
    if (last === 0) throw new RangeError('a bit stream has no end')
    this.view = view
    this.last = view.byteLength - 4
    this.from = from
    this.left = 8 * (end - from) - (Math.clz32(last) - 24) - 1
  }

  /** The next bits, at most 25. */
  read(count: number): number {
    this.left -= count
    return bitsAt(this.view, this.last, this.from, this.left, count)
  }
}
