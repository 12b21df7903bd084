import { BackwardBits, bitsAt } from './bits.ts'
import { baseOf, bitsOf, readFseTable, symbolOf } from './fse.ts'

/** A Huffman code: by the next `most` bits, the symbol, and above it how many of them it takes. */
export interface HuffmanTable {
  readonly most: number
  readonly entries: Uint16Array
}

/** Codes have at most so many bits (RFC 8878, 4.2.1). */
const MOST_BITS = 11
const MOST_SYMBOLS = 255

/** Reads a tree (4.2.1, "Huffman Tree Description"). @throws RangeError */
export function readHuffmanTable(bytes: Uint8Array, view: DataView, from: number, end: number): { readonly table: HuffmanTable; readonly end: number } {
  const header = bytes[from] ?? 0
  if (from >= end) throw new RangeError('a tree is missing')
  if (header >= 128) {
    const count = header - 127
    const after = from + 1 + (count + 1 >> 1)
    if (after > end) throw new RangeError('a tree is cut short')
    return { table: tableOf(Array.from({ length: count }, (_, index) => (bytes[from + 1 + (index >> 1)] ?? 0) >> ((index & 1) === 0 ? 4 : 0) & 15)), end: after }
  }
  const after = from + 1 + header
  if (after > end) throw new RangeError('a tree is cut short')
  const { table, end: begin } = readFseTable(bytes, from + 1, after, { accuracy: 6, symbol: MOST_BITS + 1 })
  const stream = new BackwardBits(view, begin, after)
  const weights: number[] = []
  let [one, other] = [stream.read(table.accuracy), stream.read(table.accuracy)]
  if (stream.left < 0) throw new RangeError('a tree is cut short')
  // Two states take turns; the last bits may be missing to go on, and then the other has one more.
  for (;;) {
    weights.push(symbolOf(table.entries[one] ?? 0))
    if (weights.length > MOST_SYMBOLS) throw new RangeError('a tree has too many symbols')
    const entry = table.entries[one] ?? 0
    one = baseOf(entry) + stream.read(bitsOf(entry))
    if (stream.left < 0) {
      weights.push(symbolOf(table.entries[other] ?? 0))
      break
    }
    [one, other] = [other, one]
  }
  return { table: tableOf(weights), end: after }
}

function tableOf(weights: readonly number[]): HuffmanTable {
  const total = weights.reduce((sum, weight) => sum + (weight > 0 ? 2 ** (weight - 1) : 0), 0)
  if (total === 0 || weights.length > MOST_SYMBOLS) throw new RangeError('a tree is none')
  const most = Math.floor(Math.log2(total)) + 1
  const rest = 2 ** most - total
  if (most > MOST_BITS || !Number.isInteger(Math.log2(rest))) throw new RangeError('a tree does not add up')
  // The last weight follows from the others.
  const all = [...weights, Math.log2(rest) + 1]
  const entries = new Uint16Array(1 << most)
  let at = 0
  for (let weight = 1; weight <= most; weight++) {
    for (const [symbol, own] of all.entries()) {
      if (own !== weight) continue
      const count = 1 << (weight - 1)
      entries.fill(symbol | most + 1 - weight << 8, at, at + count)
      at += count
    }
  }
  return { most, entries }
}

/** Decodes one stream into `into`, which it fills exactly. @throws RangeError */
export function decodeHuffman({ most, entries }: HuffmanTable, view: DataView, from: number, end: number, into: Uint8Array): void {
  const stream = new BackwardBits(view, from, end)
  const { last } = stream
  let { left } = stream
  const mask = (1 << most) - 1
  let index = 0
  // Two at a time.
  for (; index + 1 < into.length; index += 2) {
    const bits = bitsAt(view, last, from, left - 2 * most, 2 * most)
    const one = entries[bits >>> most] ?? 0
    const other = entries[bits >>> most - (one >>> 8) & mask] ?? 0
    into[index] = one
    into[index + 1] = other
    left -= (one >>> 8) + (other >>> 8)
  }
  for (; index < into.length; index++) {
    const one = entries[bitsAt(view, last, from, left - most, most)] ?? 0
    into[index] = one
    left -= one >>> 8
  }
  if (left !== 0) throw new RangeError('a stream of literals has another length')
}
