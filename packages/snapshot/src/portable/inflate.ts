/** Decompression of deflate (RFC 1951), for hosts that have none that answers at once, as browsers. */

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

/** Canonical codes of given lengths (section 3.2.2). @throws an Error for more codes than there can be */
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
    if (code > 1 << length) throw new Error('too many codes')
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

function fixed(): readonly [Codes, Codes] {
  const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280)
  return [codesOf(lengths), codesOf(new Uint8Array(30).fill(5))]
}

class Inflater {
  readonly #from: Uint8Array
  readonly #to: Uint8Array
  #in = 0
  #out = 0
  #hold = 0
  #held = 0

  constructor(from: Uint8Array, length: number) {
    this.#from = from
    this.#to = new Uint8Array(length)
  }

  run(): Uint8Array {
    for (let last = false; !last;) {
      last = this.#bits(1) === 1
      const kind = this.#bits(2)
      if (kind === 0) this.#stored()
      else if (kind === 1) this.#block(...fixed())
      else if (kind === 2) this.#block(...this.#dynamic())
      else throw new Error('a block of no kind')
    }
    if (this.#out !== this.#to.length) throw new Error('less than was promised')
    return this.#to
  }

  #fill(count: number): void {
    for (; this.#held < count; this.#held += 8) this.#hold |= (this.#from[this.#in++] ?? 0) << this.#held
    // Codes may be looked up with some bits too many, but none of them taken.
    if (this.#in > this.#from.length + 4) throw new Error('it ends too early')
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
    if (found === 0) throw new Error('no such code')
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
    if ((length ^ this.#bits(16)) !== 0xffff || length > this.#from.length - this.#in || length > this.#to.length - this.#out) throw new Error('a stored block that cannot be')
    this.#to.set(this.#from.subarray(this.#in, this.#in + length), this.#out)
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
      if (symbol === 16 && at === 0) throw new Error('nothing to repeat')
      const value = symbol === 16 ? lengths[at - 1] ?? 0 : 0
      const times = symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7)
      if (times > lengths.length - at) throw new Error('too many lengths')
      lengths.fill(value, at, at + times)
      at += times
    }
    return [codesOf(lengths.subarray(0, literals)), codesOf(lengths.subarray(literals))]
  }

  #block(literals: Codes, distances: Codes): void {
    const to = this.#to
    for (;;) {
      const symbol = this.#symbol(literals)
      if (symbol === END_OF_BLOCK) return
      if (symbol < END_OF_BLOCK) {
        if (this.#out === to.length) throw new Error('more than was promised')
        to[this.#out++] = symbol
        continue
      }
      const length = this.#range(LENGTH_BASE, LENGTH_EXTRA, symbol - END_OF_BLOCK - 1)
      const distance = this.#range(DISTANCE_BASE, DISTANCE_EXTRA, this.#symbol(distances))
      if (distance > this.#out || length > to.length - this.#out) throw new Error('a copy of what is not there')
      // They may overlap: bytes that were just copied are copied again.
      for (let end = this.#out + length; this.#out < end; this.#out++) to[this.#out] = to[this.#out - distance] ?? 0
    }
  }

  #range(base: readonly number[], extra: readonly number[], index: number): number {
    const first = base[index]
    if (first === undefined) throw new Error('no such length or distance')
    return first + this.#bits(extra[index] ?? 0)
  }
}

/**
 * Decompresses deflate.
 *
 * @param length - bytes that come out
 * @throws an Error for damaged data, and when more or fewer would come out
 */
export function inflate(bytes: Uint8Array, length: number): Uint8Array {
  return new Inflater(bytes, length).run()
}
