/** Decompression of deflate (RFC 1951) and gzip (RFC 1952), for hosts that have none that answers at once, as browsers and bare metal. */
import { crc32 } from './crc32.ts'

/** Lengths of codes come in this order (section 3.2.7). */
const ORDER: readonly number[] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
/** Longest code. */
const MOST_BITS = 15
const END_OF_BLOCK = 256

/** Lengths and distances (section 3.2.5): what the codes begin at, and how many bits are added. */
const [LENGTH_BASE, LENGTH_EXTRA] = ranges(28, 3, 4)
const [DISTANCE_BASE, DISTANCE_EXTRA] = ranges(30, 1, 2)
// The last one is 258 alone.
LENGTH_BASE.push(258)
LENGTH_EXTRA.push(0)

/** Ranges that are twice as long after every `group` of them. */
function ranges(count: number, first: number, group: number): readonly [number[], number[]] {
  const base: number[] = []
  const extra: number[] = []
  let next = first
  for (let index = 0; index < count; index++) {
    const bits = Math.max(0, Math.floor(index / group) - 1)
    base.push(next)
    extra.push(bits)
    next += 2 ** bits
  }
  return [base, extra]
}

/** Codes as a table: for the next `bits` bits, the symbol times 16, and how long its code is; 0 where there is no code. */
interface Codes {
  readonly bits: number
  readonly table: Uint16Array
}

/** Canonical codes of given lengths (section 3.2.2). @throws a RangeError for more codes than there can be */
function codesOf(lengths: Uint8Array): Codes {
  const counts = new Uint16Array(MOST_BITS + 1)
  for (const length of lengths) if (length > 0) counts[length] = (counts[length] ?? 0) + 1
  let bits = MOST_BITS
  while (bits > 1 && counts[bits] === 0) bits--
  const next = new Uint16Array(MOST_BITS + 2)
  let code = 0
  for (let length = 1; length <= MOST_BITS; length++) {
    next[length] = code
    code += counts[length] ?? 0
    if (code > 1 << length) throw new RangeError('too many codes')
    code <<= 1
  }
  const table = new Uint16Array(1 << bits)
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue
    const own = next[length] ?? 0
    next[length] = own + 1
    // Codes are packed from their highest bit on.
    let reversed = 0
    for (let bit = 0; bit < length; bit++) if ((own >>> bit) & 1) reversed |= 1 << (length - 1 - bit)
    for (let at = reversed; at < table.length; at += 1 << length) table[at] = (symbol << 4) | length
  }
  return { bits, table }
}

/** Those of blocks that bring none (section 3.2.6), once they were asked for. */
let fixedCodes: readonly [Codes, Codes] | null = null

function fixed(): readonly [Codes, Codes] {
  if (fixedCodes !== null) return fixedCodes
  const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280)
  fixedCodes = [codesOf(lengths), codesOf(new Uint8Array(30).fill(5))]
  return fixedCodes
}

/** What comes out first, of what may grow. */
const FIRST = 0x1_0000

class Inflater {
  readonly #from: Uint8Array
  #to: Uint8Array
  readonly #limit: number
  #in: number
  #out = 0
  #hold = 0
  #held = 0

  /** @param size - bytes to make room for at first; more, up to `limit`, when they come */
  constructor(from: Uint8Array, at: number, size: number, limit: number) {
    this.#from = from
    this.#in = at
    this.#to = new Uint8Array(size)
    this.#limit = limit
  }

  /** Where what was read ends, in whole bytes. */
  get end(): number {
    return this.#in - (this.#held >>> 3)
  }

  run(): Uint8Array {
    for (let last = false; !last;) {
      last = this.#bits(1) === 1
      const kind = this.#bits(2)
      if (kind === 0) this.#stored()
      else if (kind === 1) this.#block(...fixed())
      else if (kind === 2) this.#block(...this.#dynamic())
      else throw new RangeError('a block of no kind')
    }
    return this.#to.subarray(0, this.#out)
  }

  /** Room for so many more bytes. */
  #room(count: number): Uint8Array {
    const needed = this.#out + count
    if (needed > this.#limit) throw new RangeError('more comes out than there is room for')
    if (needed <= this.#to.length) return this.#to
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(needed, 2 * this.#to.length)))
    grown.set(this.#to.subarray(0, this.#out))
    this.#to = grown
    return grown
  }

  #fill(count: number): void {
    for (; this.#held < count; this.#held += 8) this.#hold |= (this.#from[this.#in++] ?? 0) << this.#held
    // Codes may be looked up with some bits too many, but none of them taken.
    if (this.#in > this.#from.length + 4) throw new RangeError('it ends too early')
  }

  #bits(count: number): number {
    this.#fill(count)
    const bits = this.#hold & ((1 << count) - 1)
    this.#hold >>>= count
    this.#held -= count
    return bits
  }

  #symbol({ bits, table }: Codes): number {
    this.#fill(bits)
    const found = table[this.#hold & ((1 << bits) - 1)] ?? 0
    if (found === 0) throw new RangeError('no such code')
    const length = found & 15
    this.#hold >>>= length
    this.#held -= length
    return found >>> 4
  }

  #stored(): void {
    // What was read ahead, in whole bytes, is given back.
    this.#in -= this.#held >>> 3
    this.#hold = this.#held = 0
    const length = this.#bits(16)
    if ((length ^ this.#bits(16)) !== 0xffff || length > this.#from.length - this.#in) throw new RangeError('a stored block that cannot be')
    this.#room(length).set(this.#from.subarray(this.#in, this.#in + length), this.#out)
    this.#in += length
    this.#out += length
  }

  #dynamic(): readonly [Codes, Codes] {
    const literals = this.#bits(5) + 257
    const distances = this.#bits(5) + 1
    const count = this.#bits(4) + 4
    const order = new Uint8Array(19)
    for (const place of ORDER.slice(0, count)) order[place] = this.#bits(3)
    const codes = codesOf(order)
    const lengths = new Uint8Array(literals + distances)
    for (let at = 0; at < lengths.length;) {
      const symbol = this.#symbol(codes)
      if (symbol < 16) {
        lengths[at++] = symbol
        continue
      }
      if (symbol === 16 && at === 0) throw new RangeError('nothing to repeat')
      const value = symbol === 16 ? lengths[at - 1] ?? 0 : 0
      const times = symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7)
      if (times > lengths.length - at) throw new RangeError('too many lengths')
      lengths.fill(value, at, at + times)
      at += times
    }
    return [codesOf(lengths.subarray(0, literals)), codesOf(lengths.subarray(literals))]
  }

  #block(literals: Codes, distances: Codes): void {
    let to = this.#to
    for (;;) {
      const symbol = this.#symbol(literals)
      if (symbol === END_OF_BLOCK) return
      if (symbol < END_OF_BLOCK) {
        if (this.#out === to.length) to = this.#room(1)
        to[this.#out++] = symbol
        continue
      }
      const length = this.#range(LENGTH_BASE, LENGTH_EXTRA, symbol - END_OF_BLOCK - 1)
      const distance = this.#range(DISTANCE_BASE, DISTANCE_EXTRA, this.#symbol(distances))
      if (distance > this.#out) throw new RangeError('a copy of what is not there')
      if (length > to.length - this.#out) to = this.#room(length)
      // They may overlap: bytes that were just copied are copied again.
      for (let end = this.#out + length; this.#out < end; this.#out++) to[this.#out] = to[this.#out - distance] ?? 0
    }
  }

  #range(base: readonly number[], extra: readonly number[], index: number): number {
    const first = base[index]
    if (first === undefined) throw new RangeError('no such length or distance')
    return first + this.#bits(extra[index] ?? 0)
  }
}

/**
 * Decompresses deflate (RFC 1951), whose length is known.
 *
 * @param length - bytes that come out
 * @throws a RangeError for damaged data, and when more or fewer would come out
 */
export function inflate(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Inflater(bytes, 0, length, length).run()
  if (out.length !== length) throw new RangeError('less than was promised')
  return out
}

/**
 * Decompresses deflate (RFC 1951) whose length is not known. What follows its end is not looked at.
 *
 * @throws a RangeError for damaged data, and when more than `limit` bytes would come out
 */
export function inflateUpTo(bytes: Uint8Array, limit: number): Uint8Array {
  return new Inflater(bytes, 0, Math.min(limit, FIRST), limit).run()
}

/** Flags of a member (RFC 1952, 2.3.1). */
const FLAG = { headerCheck: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const
const HEADER = 10
const TRAILER = 8

/** Whether a file begins as one of gzip does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/**
 * Decompresses a file of gzip (RFC 1952): its first member. What follows that is not looked at.
 *
 * @throws a RangeError for what is none, is damaged, or has more than `limit` bytes
 */
export function gunzip(bytes: Uint8Array, limit: number): Uint8Array {
  const flags = bytes[3] ?? 0
  if (!isGzip(bytes) || bytes[2] !== 8 || bytes.length < HEADER + TRAILER || (flags & FLAG.reserved) !== 0) throw new RangeError('it is not gzip')
  let at = HEADER
  if ((flags & FLAG.extra) !== 0) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0)
  for (const text of [FLAG.name, FLAG.comment]) {
    if ((flags & text) === 0) continue
    at = bytes.indexOf(0, at) + 1
    if (at === 0) throw new RangeError('its header is cut short')
  }
  if ((flags & FLAG.headerCheck) !== 0) at += 2
  const inflater = new Inflater(bytes, at, Math.min(limit, FIRST), limit)
  const out = inflater.run()
  const { end } = inflater
  if (end + TRAILER > bytes.length) throw new RangeError('it is cut short')
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + end, TRAILER)
  if (trailer.getUint32(0, true) !== crc32(out) || trailer.getUint32(4, true) !== out.length >>> 0) throw new RangeError('its checksum is another')
  return out
}
