import { BEFORE, COPY, COPY_CELL, COUNT, INSERT, INSERT_CELL, LAST, type Lengths, NEAR, ORDER, SIGNED } from './brotli-tables.ts'

/** Longest code (section 3.5). */
const MOST_BITS = 15
/** Things of a block when there is only one. */
const ENDLESS = 2 ** 30
/** Bytes of a window that copies do not reach (section 9.1). */
const MARGIN = 16
const INSERT_AND_COPY = 704

/** A prefix code as a table: for the next `bits` bits the symbol times 16, and how long its code is. */
interface Codes {
  readonly bits: number
  readonly table: Uint16Array
}

const damaged = (problem: string): RangeError => new RangeError(problem)

/** Canonical codes of given lengths, all of which are used (section 3.2). */
function codesOf(lengths: Uint8Array): Codes {
  let bits = 0
  for (const length of lengths) if (length > bits) bits = length
  const table = new Uint16Array(1 << bits)
  let code = 0
  for (let length = 1; length <= bits; length++, code <<= 1) {
    for (let symbol = lengths.indexOf(length); symbol >= 0; symbol = lengths.indexOf(length, symbol + 1)) {
      // Codes are packed from their highest bit on.
      let reversed = 0
      for (let bit = 0; bit < length; bit++) if ((code >>> bit) & 1) reversed |= 1 << (length - 1 - bit)
      for (let at = reversed; at < table.length; at += 1 << length) table[at] = (symbol << 4) | length
      code++
    }
  }
  return { bits, table }
}

/** The code of one symbol, which takes no bits. */
const only = (symbol: number): Codes => ({ bits: 0, table: Uint16Array.of(symbol << 4) })

/** Literals, commands or distances: what they are coded with changes from block to block (section 6). */
interface Blocks {
  readonly kinds: number
  readonly kindCodes: Codes
  readonly countCodes: Codes
  kind: number
  before: number
  left: number
}

class Decoder {
  readonly #from: Uint8Array
  readonly #to: Uint8Array
  #in = 0
  #out = 0
  #hold = 0
  #held = 0
  /** How far back copies reach. */
  #window = 0
  /** The last four distances, the last one first. */
  readonly #last: [number, number, number, number] = [4, 11, 15, 16]

  constructor(from: Uint8Array, length: number) {
    this.#from = from
    this.#to = new Uint8Array(length)
  }

  run(): Uint8Array {
    this.#window = 2 ** this.#windowBits() - MARGIN
    while (!this.#metaBlock());
    if (this.#in - (this.#held >>> 3) > this.#from.length) throw damaged('it ends too early')
    if (this.#out !== this.#to.length) throw damaged('less than was promised')
    return this.#to
  }

  #bits(count: number): number {
    for (; this.#held < count; this.#held += 8) this.#hold |= this.#byte() << this.#held
    const bits = this.#hold & ((1 << count) - 1)
    this.#hold >>>= count
    this.#held -= count
    return bits
  }

  /** Codes may be looked up with some bits too many, but none of them taken. */
  #byte(): number {
    if (this.#in > this.#from.length + 4) throw damaged('it ends too early')
    return this.#from[this.#in++] ?? 0
  }

  #symbol({ bits, table }: Codes): number {
    for (; this.#held < bits; this.#held += 8) this.#hold |= this.#byte() << this.#held
    const found = table[this.#hold & ((1 << bits) - 1)] ?? 0
    const length = found & 15
    this.#hold >>>= length
    this.#held -= length
    return found >>> 4
  }

  /** What is left of a byte is skipped, and what was read ahead given back. */
  #align(): void {
    if (this.#bits(this.#held & 7) !== 0) throw damaged('bits of a byte that should be zero')
    this.#in -= this.#held >>> 3
    this.#hold = this.#held = 0
  }

  #windowBits(): number {
    if (this.#bits(1) === 0) return 16
    const more = this.#bits(3)
    if (more !== 0) return 17 + more
    const few = this.#bits(3)
    if (few === 1) throw damaged('a window of no size')
    return few === 0 ? 17 : 8 + few
  }

  /** Section 9.2. @returns whether it was the last one */
  #metaBlock(): boolean {
    const last = this.#bits(1) === 1
    if (last && this.#bits(1) === 1) return true
    const nibbles = 4 + this.#bits(2)
    if (nibbles === 7) {
      this.#metadata()
      return last
    }
    let length = 0
    for (let nibble = 0; nibble < nibbles; nibble++) {
      const bits = this.#bits(4)
      if (nibble >= 4 && nibble === nibbles - 1 && bits === 0) throw damaged('a length that is longer than it needs')
      length += bits * 16 ** nibble
    }
    length++
    if (length > this.#to.length - this.#out) throw damaged('more comes out than there is room for')
    if (!last && this.#bits(1) === 1) this.#stored(length)
    else this.#compressed(this.#out + length)
    return last
  }

  #metadata(): void {
    if (this.#bits(1) !== 0) throw damaged('a bit that is reserved')
    const bytes = this.#bits(2)
    let skip = 0
    for (let byte = 0; byte < bytes; byte++) skip += this.#bits(8) * 256 ** byte
    this.#align()
    if (bytes > 0) this.#in += skip + 1
    if (this.#in > this.#from.length) throw damaged('it ends too early')
  }

  #stored(length: number): void {
    this.#align()
    if (length > this.#from.length - this.#in) throw damaged('it ends too early')
    this.#to.set(this.#from.subarray(this.#in, this.#in + length), this.#out)
    this.#in += length
    this.#out += length
  }

  /** A number from 1 to 256 (section 9.2). */
  #few(): number {
    if (this.#bits(1) === 0) return 1
    const bits = this.#bits(3)
    return 1 + 2 ** bits + this.#bits(bits)
  }

  #range({ base, extra }: Lengths, code: number): number {
    return (base[code] ?? 0) + this.#bits(extra[code] ?? 0)
  }

  #blocks(): Blocks {
    const kinds = this.#few()
    if (kinds === 1) return { kinds, kindCodes: only(0), countCodes: only(0), kind: 0, before: 1, left: ENDLESS }
    const kindCodes = this.#codes(kinds + 2)
    const countCodes = this.#codes(COUNT.base.length)
    return { kinds, kindCodes, countCodes, kind: 0, before: 1, left: this.#range(COUNT, this.#symbol(countCodes)) }
  }

  /** One thing more; another block begins when there is none left. */
  #take(blocks: Blocks): void {
    if (blocks.left === 0) {
      const code = this.#symbol(blocks.kindCodes)
      const kind = code === 0 ? blocks.before : code === 1 ? (blocks.kind + 1) % blocks.kinds : code - 2
      blocks.before = blocks.kind
      blocks.kind = kind
      blocks.left = this.#range(COUNT, this.#symbol(blocks.countCodes))
    }
    blocks.left--
  }

  /** A prefix code for an alphabet (section 3.3). */
  #codes(alphabet: number): Codes {
    const skip = this.#bits(2)
    return skip === 1 ? this.#simple(alphabet) : this.#complex(alphabet, skip)
  }

  #simple(alphabet: number): Codes {
    const count = this.#bits(2) + 1
    const width = 32 - Math.clz32(alphabet - 1)
    const symbols = Array.from({ length: count }, () => this.#bits(width))
    if (symbols.some((symbol, at) => symbol >= alphabet || symbols.indexOf(symbol) < at)) throw damaged('a code of no symbols')
    const [first = 0] = symbols
    if (count === 1) return only(first)
    const own = count === 2 ? [1, 1] : count === 3 ? [1, 2, 2] : this.#bits(1) === 0 ? [2, 2, 2, 2] : [1, 2, 3, 3]
    const lengths = new Uint8Array(alphabet)
    symbols.forEach((symbol, at) => { lengths[symbol] = own[at] ?? 0 })
    return codesOf(lengths)
  }

  /** Section 3.5. */
  #complex(alphabet: number, skip: number): Codes {
    const codes = this.#codesOfLengths(skip)
    const lengths = new Uint8Array(alphabet)
    let room = 1 << MOST_BITS
    let [before, repeats, repeated] = [8, 0, 0]
    for (let at = 0; room > 0;) {
      if (at === alphabet) throw damaged('a code that is not whole')
      const code = this.#symbol(codes)
      if (code <= MOST_BITS) {
        repeats = 0
        lengths[at++] = code
        if (code === 0) continue
        before = code
        room -= 1 << (MOST_BITS - code)
        continue
      }
      const length = code === 16 ? before : 0
      if (length !== repeated) repeats = 0
      repeated = length
      const bits = code - 14
      const so = repeats
      repeats = (so > 0 ? (so - 2) * 2 ** bits : 0) + this.#bits(bits) + 3
      const count = repeats - so
      if (count > alphabet - at) throw damaged('too many lengths')
      lengths.fill(length, at, at + count)
      at += count
      if (length > 0) room -= count << (MOST_BITS - length)
    }
    if (room !== 0) throw damaged('too many codes')
    return codesOf(lengths)
  }

  #codesOfLengths(skip: number): Codes {
    const lengths = new Uint8Array(ORDER.length)
    let room = 32
    let [count, one] = [0, 0]
    for (const symbol of ORDER.slice(skip)) {
      if (room <= 0) break
      const length = this.#lengthOfLength()
      if (length === 0) continue
      lengths[symbol] = length
      room -= 32 >> length
      count++
      one = symbol
    }
    if (count === 1) return only(one)
    if (room !== 0) throw damaged('a code that is not whole')
    return codesOf(lengths)
  }

  #lengthOfLength(): number {
    switch (this.#bits(2)) {
      case 0: return 0
      case 1: return 4
      case 2: return 3
      default: return this.#bits(1) === 0 ? 2 : this.#bits(1) === 0 ? 1 : 5
    }
  }

  /** Which code there is for each context of each kind of block (section 7.3). */
  #contextMap(size: number): { readonly trees: number; readonly map: Uint8Array } {
    const trees = this.#few()
    const map = new Uint8Array(size)
    if (trees === 1) return { trees, map }
    const runs = this.#bits(1) === 0 ? 0 : this.#bits(4) + 1
    const codes = this.#codes(trees + runs)
    for (let at = 0; at < size;) {
      const symbol = this.#symbol(codes)
      if (symbol === 0 || symbol > runs) {
        map[at++] = symbol === 0 ? 0 : symbol - runs
        continue
      }
      at += 2 ** symbol + this.#bits(symbol)
      if (at > size) throw damaged('a run of contexts that there are not')
    }
    if (this.#bits(1) === 1) moveToFront(map)
    return { trees, map }
  }

  #all(count: number, alphabet: number): readonly Codes[] {
    return Array.from({ length: count }, () => this.#codes(alphabet))
  }

  #compressed(end: number): void {
    const [literals, commands, distances] = [this.#blocks(), this.#blocks(), this.#blocks()]
    const postfix = this.#bits(2)
    const direct = this.#bits(4) << postfix
    const modes = Array.from({ length: literals.kinds }, () => this.#bits(2))
    const literalMap = this.#contextMap(64 * literals.kinds)
    const distanceMap = this.#contextMap(4 * distances.kinds)
    const literalCodes = this.#all(literalMap.trees, 256)
    const commandCodes = this.#all(commands.kinds, INSERT_AND_COPY)
    const distanceCodes = this.#all(distanceMap.trees, 16 + direct + (48 << postfix))
    const to = this.#to
    // The window never moves: all of what comes out is there.
    while (this.#out < end) {
      this.#take(commands)
      const command = this.#symbol(commandCodes[commands.kind] ?? only(0))
      const cell = command >> 6
      const insert = this.#range(INSERT, (INSERT_CELL[cell] ?? 0) + (command >> 3 & 7))
      const copy = this.#range(COPY, (COPY_CELL[cell] ?? 0) + (command & 7))
      if (insert > end - this.#out) throw damaged('more comes out than there is room for')
      if (literalMap.trees === 1 && literals.kinds === 1) {
        const [codes = only(0)] = literalCodes
        for (let count = 0; count < insert; count++) to[this.#out++] = this.#symbol(codes)
      } else for (let count = 0; count < insert; count++) {
        this.#take(literals)
        const context = contextOf(modes[literals.kind] ?? 0, to[this.#out - 1] ?? 0, to[this.#out - 2] ?? 0)
        to[this.#out++] = this.#symbol(literalCodes[literalMap.map[64 * literals.kind + context] ?? 0] ?? only(0))
      }
      if (this.#out === end) return
      let code = 0
      if (command >= 128) {
        this.#take(distances)
        code = this.#symbol(distanceCodes[distanceMap.map[4 * distances.kind + Math.min(3, copy - 2)] ?? 0] ?? only(0))
      }
      this.#copy(this.#distance(code, direct, postfix), copy, code === 0, end)
    }
  }

  /** Section 4. */
  #distance(code: number, direct: number, postfix: number): number {
    if (code < NEAR.length) {
      const [last, plus] = NEAR[code] ?? [0, 0]
      return (this.#last[last] ?? 0) + plus
    }
    const far = code - NEAR.length - direct
    if (far < 0) return code - NEAR.length + 1
    const bits = 1 + (far >> (postfix + 1))
    const offset = (2 + (far >> postfix & 1)) * 2 ** bits - 4 + this.#bits(bits)
    return offset * 2 ** postfix + (far & ((1 << postfix) - 1)) + direct + 1
  }

  #copy(distance: number, length: number, known: boolean, end: number): void {
    if (distance <= 0) throw damaged('a copy of what is not there')
    if (distance > Math.min(this.#window, this.#out)) throw damaged('a word of the dictionary, which is not here')
    if (length > end - this.#out) throw damaged('more comes out than there is room for')
    if (!known) {
      this.#last.copyWithin(1, 0)
      this.#last[0] = distance
    }
    const to = this.#to
    if (distance >= length) to.copyWithin(this.#out, this.#out - distance, this.#out - distance + length)
    // They overlap: bytes that were just copied are copied again.
    else for (let at = this.#out; at < this.#out + length; at++) to[at] = to[at - distance] ?? 0
    this.#out += length
  }
}

function contextOf(mode: number, last: number, before: number): number {
  switch (mode) {
    case 0: return last & 63
    case 1: return last >> 2
    case 2: return (LAST[last] ?? 0) | (BEFORE[before] ?? 0)
    default: return (SIGNED[last] ?? 0) << 3 | (SIGNED[before] ?? 0)
  }
}

function moveToFront(map: Uint8Array): void {
  const order = Array.from({ length: 256 }, (_, index) => index)
  for (const [at, index] of map.entries()) {
    const [value = 0] = order.splice(index, 1)
    order.unshift(value)
    map[at] = value
  }
}

/**
 * Decompresses Brotli (RFC 7932) whose length is known. The dictionary of words, which is for texts of the web, is not here: what uses it is refused. Whoever writes snapshots packs pages and
 * states with qualities that do not.
 *
 * @param length - bytes that come out
 * @throws a RangeError for damaged data, for words of the dictionary, and when more or fewer bytes would come out
 */
export function unpackBrotli(bytes: Uint8Array, length: number): Uint8Array {
  return new Decoder(bytes, length).run()
}
