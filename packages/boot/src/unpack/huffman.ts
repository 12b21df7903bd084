import { BackwardBits, bitsAt } from './bits.ts'
import { readFseTable } from './fse.ts'

/** A Huffman code: by its next bits, the symbol and how many of them it takes. */
export interface HuffmanTable {
  readonly most: number
  readonly symbols: Uint8Array
  readonly bits: Uint8Array
}

/** Codes have at most so many bits (RFC 8878, 4.2.1). */
const MOST_BITS = 11
const MOST_SYMBOLS = 255

/** Reads a tree (4.2.1, "Huffman Tree Description"). @throws RangeError */
export function readHuffmanTable(bytes: Uint8Array, from: number, end: number): { readonly table: HuffmanTable; readonly end: number } {
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
  const stream = new BackwardBits(bytes, begin, after)
  const weights: number[] = []
  let [one, other] = [stream.read(table.accuracy), stream.read(table.accuracy)]
  if (stream.left < 0) throw new RangeError('a tree is cut short')
  // Two states take turns; the last bits may be missing to go on, and then the other has one more.
  for (;;) {
    weights.push(table.symbols[one] ?? 0)
    if (weights.length > MOST_SYMBOLS) throw new RangeError('a tree has too many symbols')
    one = (table.bases[one] ?? 0) + stream.read(table.bits[one] ?? 0)
    if (stream.left < 0) {
      weights.push(table.symbols[other] ?? 0)
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
  const symbols = new Uint8Array(1 << most)
  const bits = new Uint8Array(1 << most)
  let at = 0
  for (let weight = 1; weight <= most; weight++) {
    for (const [symbol, own] of all.entries()) {
      if (own !== weight) continue
      const count = 1 << (weight - 1)
      symbols.fill(symbol, at, at + count)
      bits.fill(most + 1 - weight, at, at + count)
      at += count
    }
  }
  return { most, symbols, bits }
}

/** Decodes one stream into `into`, which it fills exactly. @throws RangeError */
export function decodeHuffman({ most, symbols, bits }: HuffmanTable, bytes: Uint8Array, from: number, end: number, into: Uint8Array): void {
  let { left } = new BackwardBits(bytes, from, end)
  for (let index = 0; index < into.length; index++) {
    const code = bitsAt(bytes, from, left - most, most)
    into[index] = symbols[code] ?? 0
    left -= bits[code] ?? 0
  }
  if (left !== 0) throw new RangeError('a stream of literals has another length')
}
