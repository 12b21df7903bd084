import { BackwardBits, bitsAt } from './bits.ts'
import { baseOf, bitsOf, fseTable, type FseTable, readFseTable, singleTable, symbolOf } from './fse.ts'
import { decodeHuffman, type HuffmanTable, readHuffmanTable } from './huffman.ts'
import { Output, SHORT } from './output.ts'

const MAGIC = 0xfd2f_b528
const SKIPPABLE = 0x184d_2a50
const BLOCK = { raw: 0, repeated: 1, packed: 2 } as const
const MOST_BLOCK = 0x2_0000
/** Bytes of a word, and those that are copied at once: most literals, and most matches, are not longer. */
const WORD = 4
const [FEW, MANY] = [8, 16] as const
const MODE = { predefined: 0, single: 1, own: 2, again: 3 } as const

/** What codes of lengths stand for: a base, and bits that are added (RFC 8878, 3.1.1.3.2.1.1). */
const literalBases: Int32Array = Int32Array.from([...Array.from({ length: 16 }, (_, code) => code), 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, ...Array.from({ length: 10 }, (_, code) => 128 << code)])
const literalBits: Uint8Array = Uint8Array.from([...new Array<number>(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
const matchBases: Int32Array = Int32Array.from([...Array.from({ length: 32 }, (_, code) => code + 3), 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, ...Array.from({ length: 10 }, (_, code) => (128 << code) + 3)])
const matchBits: Uint8Array = Uint8Array.from([...new Array<number>(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])

interface Kind {
  readonly accuracy: number
  readonly symbol: number
  readonly predefined: FseTable
}

/** Tables of literal lengths, offsets and match lengths (3.1.1.3.2.2). */
const KINDS: readonly Kind[] = [
  { accuracy: 9, symbol: 35, predefined: fseTable([4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6) },
  { accuracy: 8, symbol: 31, predefined: fseTable([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5) },
  { accuracy: 9, symbol: 52, predefined: fseTable([1, 4, 3, 2, 2, 2, 2, 2, 2, ...new Array<number>(37).fill(1), -1, -1, -1, -1, -1, -1, -1], 6) },
]

/** What blocks of one frame hand on. */
class Frame {
  readonly #out: Output
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #huffman: HuffmanTable | null = null
  readonly #tables: (FseTable | null)[] = [null, null, null]
  readonly #offsets: [number, number, number] = [1, 4, 8]

  constructor(bytes: Uint8Array, out: Output) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#out = out
  }

  /** A compressed block (3.1.1.3). */
  block(from: number, end: number): void {
    const { literals, end: begin } = this.#literals(from, end)
    this.#sequences(begin, end, literals)
  }

  #literals(from: number, end: number): { readonly literals: Uint8Array; readonly end: number } {
    const bytes = this.#bytes
    const byte = (index: number): number => {
      if (from + index >= end) throw new RangeError('a block is cut short')
      return bytes[from + index] ?? 0
    }
    const [type, format] = [byte(0) & 3, byte(0) >> 2 & 3]
    if (type < 2) {
      const header = (format & 1) === 0 ? 1 : format === 1 ? 2 : 3
      const size = header === 1 ? byte(0) >> 3 : header === 2 ? byte(0) >> 4 | byte(1) << 4 : byte(0) >> 4 | byte(1) << 4 | byte(2) << 12
      const at = from + header
      const after = at + (type === 0 ? size : 1)
      if (size > MOST_BLOCK || after > end) throw new RangeError('a block is cut short')
      return { literals: type === 0 ? bytes.subarray(at, after) : new Uint8Array(size).fill(bytes[at] ?? 0), end: after }
    }
    const [header, width] = format < 2 ? [3, 10] : format === 2 ? [4, 14] : [5, 18]
    const word = Array.from({ length: header }, (_, index) => byte(index) * 2 ** (8 * index)).reduce((sum, part) => sum + part)
    const size = Math.floor(word / 16) % 2 ** width
    const packed = Math.floor(word / 2 ** (4 + width)) % 2 ** width
    let at = from + header
    const after = at + packed
    if (size > MOST_BLOCK || after > end) throw new RangeError('a block is cut short')
    if (type === 2) {
      const read = readHuffmanTable(bytes, this.#view, at, after)
      this.#huffman = read.table
      at = read.end
    }
    const table = this.#huffman
    if (table === null) throw new RangeError('there is no tree to use again')
    const literals = new Uint8Array(size)
    if (format === 0) decodeHuffman(table, this.#view, at, after, literals)
    else {
      const part = size + 3 >> 2
      const sizes = [0, 2, 4].map((index) => (bytes[at + index] ?? 0) | (bytes[at + index + 1] ?? 0) << 8)
      let begin = at + 6
      for (let stream = 0; stream < 4; stream++) {
        const stop = stream === 3 ? after : begin + (sizes[stream] ?? 0)
        if (stop > after || 3 * part > size) throw new RangeError('a block is cut short')
        decodeHuffman(table, this.#view, begin, stop, literals.subarray(stream * part, stream === 3 ? size : (stream + 1) * part))
        begin = stop
      }
    }
    return { literals, end: after }
  }

  #sequences(from: number, end: number, literals: Uint8Array): void {
    const bytes = this.#bytes
    const first = bytes[from] ?? 0
    if (from >= end) throw new RangeError('a block is cut short')
    const wide = first < 128 ? 0 : first < 255 ? 1 : 2
    const count = wide === 0 ? first : wide === 1 ? (first - 128 << 8) + (bytes[from + 1] ?? 0) : (bytes[from + 1] ?? 0) + ((bytes[from + 2] ?? 0) << 8) + 0x7f00
    let at = from + 1 + wide
    if (count === 0) return this.#out.append(literals)
    const modes = bytes[at++] ?? 0
    for (const [index, kind] of KINDS.entries()) {
      const mode = modes >> (6 - 2 * index) & 3
      if (at > end) throw new RangeError('a block is cut short')
      if (mode === MODE.predefined) this.#tables[index] = kind.predefined
      else if (mode === MODE.single) {
        const symbol = bytes[at++] ?? 0
        if (symbol > kind.symbol) throw new RangeError('there is no such code')
        this.#tables[index] = singleTable(symbol)
      } else if (mode === MODE.own) {
        const read = readFseTable(bytes, at, end, kind)
        this.#tables[index] = read.table
        at = read.end
      }
    }
    const [literalTable, offsetTable, matchTable] = this.#tables
    if (!literalTable || !offsetTable || !matchTable) throw new RangeError('there is no table to use again')
    this.#execute(new BackwardBits(this.#view, at, end), count, literals, literalTable, offsetTable, matchTable)
  }

  /** Execution of sequences (3.1.1.4). Locals, and as few calls as can be: most of unpacking is here. */
  #execute(stream: BackwardBits, count: number, literals: Uint8Array, literalTable: FseTable, offsetTable: FseTable, matchTable: FseTable): void {
    const out = this.#out
    const into = out.open(MOST_BLOCK)
    const [intoView, literalView] = [viewOf(into), viewOf(literals)]
    // More may be written than is copied; what comes then is written over it.
    const room = into.length - MANY
    const enough = literals.length - FEW
    const begin = out.length
    let to = begin
    let literalState = stream.read(literalTable.accuracy)
    let offsetState = stream.read(offsetTable.accuracy)
    let matchState = stream.read(matchTable.accuracy)
    const { view, last, from } = stream
    let { left } = stream
    let taken = 0
    for (let sequence = 0; sequence < count; sequence++) {
      const offsetEntry = offsetTable.entries[offsetState] ?? 0
      const offsetCode = symbolOf(offsetEntry)
      left -= offsetCode
      // More than 25 bits come in two parts.
      const value = offsetCode <= 25 ? (1 << offsetCode) + bitsAt(view, last, from, left, offsetCode)
        : ((1 << offsetCode - 16) + bitsAt(view, last, from, left + 16, offsetCode - 16)) * 0x1_0000 + bitsAt(view, last, from, left, 16)
      const matchEntry = matchTable.entries[matchState] ?? 0
      const matchCode = symbolOf(matchEntry)
      const extraMatch = matchBits[matchCode] ?? 0
      left -= extraMatch
      const match = (matchBases[matchCode] ?? 0) + bitsAt(view, last, from, left, extraMatch)
      const literalEntry = literalTable.entries[literalState] ?? 0
      const literalCode = symbolOf(literalEntry)
      const extraLiterals = literalBits[literalCode] ?? 0
      left -= extraLiterals
      const length = (literalBases[literalCode] ?? 0) + bitsAt(view, last, from, left, extraLiterals)
      if (left < 0 || taken + length > literals.length) throw new RangeError('a block is cut short')
      const distance = this.#offset(value, length === 0)
      const copied = to + length
      const after = copied + match
      if (after > into.length || after - begin > MOST_BLOCK) throw new RangeError('more comes out than there is room for')
      if (distance < 1 || distance > copied) throw new RangeError('a repetition of what is not there')
      if (length > SHORT) into.set(literals.subarray(taken, taken + length), to)
      else if (after < room && taken + length < enough) {
        for (let index = 0; index < length; index += FEW) {
          intoView.setInt32(to + index, literalView.getInt32(taken + index, true), true)
          intoView.setInt32(to + index + 4, literalView.getInt32(taken + index + 4, true), true)
        }
      }
      else for (let index = 0; index < length; index++) into[to + index] = literals[taken + index] ?? 0
      taken += length
      const source = copied - distance
      if (match > SHORT && distance >= match) into.copyWithin(copied, source, source + match)
      else if (after < room && distance >= MANY) {
        for (let index = 0; index < match; index += MANY) {
          const [here, there] = [copied + index, source + index]
          intoView.setInt32(here, intoView.getInt32(there, true), true)
          intoView.setInt32(here + 4, intoView.getInt32(there + 4, true), true)
          intoView.setInt32(here + 8, intoView.getInt32(there + 8, true), true)
          intoView.setInt32(here + 12, intoView.getInt32(there + 12, true), true)
        }
      } else if (after < room && distance >= WORD) for (let index = 0; index < match; index += WORD) intoView.setInt32(copied + index, intoView.getInt32(source + index, true), true)
      else for (let index = 0; index < match; index++) into[copied + index] = into[source + index] ?? 0
      to = after
      if (sequence === count - 1) break
      left -= bitsOf(literalEntry)
      literalState = baseOf(literalEntry) + bitsAt(view, last, from, left, bitsOf(literalEntry))
      left -= bitsOf(matchEntry)
      matchState = baseOf(matchEntry) + bitsAt(view, last, from, left, bitsOf(matchEntry))
      left -= bitsOf(offsetEntry)
      offsetState = baseOf(offsetEntry) + bitsAt(view, last, from, left, bitsOf(offsetEntry))
    }
    if (left !== 0) throw new RangeError('a block has another length')
    out.close(to)
    out.append(literals, taken)
  }

  /** The last three offsets are remembered (3.1.1.5). */
  #offset(value: number, nothing: boolean): number {
    const offsets = this.#offsets
    const index = value > 3 ? 3 : value - (nothing ? 0 : 1)
    const offset = value > 3 ? value - 3 : index === 3 ? offsets[0] - 1 : offsets[index] ?? 0
    if (index >= 2) offsets[2] = offsets[1]
    if (index >= 1) offsets[1] = offsets[0]
    offsets[0] = offset
    return offset
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/**
 * Unpacks Zstandard (RFC 8878): frames one after the other, without dictionaries. Checksums are not looked at.
 *
 * @param expected - how many bytes will come out, if somebody says so
 * @throws RangeError for what is damaged, or more than `limit` bytes
 */
export function unpackZstd(bytes: Uint8Array, limit: number, expected?: number): Uint8Array {
  // Room for a block that is not full, and for copies by words.
  const out = new Output(limit, expected === undefined ? undefined : expected + MOST_BLOCK)
  const view = viewOf(bytes)
  let at = 0
  while (at < bytes.length) {
    const magic = view.getUint32(at, true)
    if ((magic & ~15) >>> 0 === SKIPPABLE) {
      at += 8 + view.getUint32(at + 4, true)
      continue
    }
    if (magic !== MAGIC) throw new RangeError('not a frame')
    const descriptor = view.getUint8(at + 4)
    const single = (descriptor & 0x20) !== 0
    if ((descriptor & 3) !== 0 || (descriptor & 8) !== 0) throw new RangeError('it wants a dictionary, or something unknown')
    const sizeField = descriptor >> 6 === 0 ? (single ? 1 : 0) : 2 ** (descriptor >> 6)
    at += 5 + (single ? 0 : 1) + sizeField
    const frame = new Frame(bytes, out)
    for (let last = false; !last;) {
      const header = view.getUint16(at, true) | view.getUint8(at + 2) << 16
      at += 3
      last = (header & 1) !== 0
      const [type, size] = [header >> 1 & 3, header >> 3]
      const after = at + (type === BLOCK.repeated ? 1 : size)
      if (type > BLOCK.packed || size > MOST_BLOCK || after > bytes.length) throw new RangeError('a block is cut short')
      if (type === BLOCK.raw) out.append(bytes.subarray(at, after))
      else if (type === BLOCK.repeated) out.fill(view.getUint8(at), size)
      else frame.block(at, after)
      at = after
    }
    if ((descriptor & 4) !== 0) at += 4
  }
  return out.take()
}
