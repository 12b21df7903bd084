/** A table of finite state entropy: for each state its symbol, and the bits and base of the next state (RFC 8878, 4.1). */
export interface FseTable {
  /** States are numbers of so many bits. */
  readonly accuracy: number
  /** See `symbolOf`, `bitsOf` and `baseOf`. */
  readonly entries: Int32Array
}

export const symbolOf = (entry: number): number => entry & 0xff
export const bitsOf = (entry: number): number => entry >> 8 & 0xff
export const baseOf = (entry: number): number => entry >> 16

/** A table of one symbol, which takes no bits. */
export function singleTable(symbol: number): FseTable {
  return { accuracy: 0, entries: Int32Array.of(symbol) }
}

/** Makes the table of a distribution; −1 is a symbol that is less probable than one state (4.1.1). @throws RangeError */
export function fseTable(counts: readonly number[], accuracy: number): FseTable {
  const size = 1 << accuracy
  const symbols = new Uint8Array(size)
  let high = size - 1
  for (const [symbol, count] of counts.entries()) if (count === -1) symbols[high--] = symbol
  const step = (size >> 1) + (size >> 3) + 3
  let at = 0
  for (const [symbol, count] of counts.entries()) {
    for (let each = 0; each < count; each++) {
      symbols[at] = symbol
      do at = at + step & size - 1
      while (at > high)
    }
  }
  if (at !== 0) throw new RangeError('a distribution does not fill its table')
  const next = counts.map((count) => Math.abs(count))
  const entries = new Int32Array(size)
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state] ?? 0
    const number = next[symbol] ?? 0
    next[symbol] = number + 1
    const count = accuracy - (31 - Math.clz32(number))
    entries[state] = symbol | count << 8 | (number << count) - size << 16
  }
  return { accuracy, entries }
}

/**
 * Reads a distribution (4.1.1, "FSE Table Description").
 *
 * @param most - the greatest accuracy that may be, and the last symbol
 * @returns the table and where it ends
 * @throws RangeError
 */
export function readFseTable(bytes: Uint8Array, from: number, end: number, most: { readonly accuracy: number; readonly symbol: number }): { readonly table: FseTable; readonly end: number } {
  let bit = 8 * from
  const peek = (count: number): number => {
    const at = bit >>> 3
    const byte = (index: number): number => at + index < end ? bytes[at + index] ?? 0 : 0
    return (byte(0) | byte(1) << 8 | byte(2) << 16) >>> (bit & 7) & (1 << count) - 1
  }
  const accuracy = peek(4) + 5
  bit += 4
  if (accuracy > most.accuracy) throw new RangeError('a table is too fine')
  const counts: number[] = []
  let threshold = 1 << accuracy
  let width = accuracy + 1
  let remaining = threshold + 1
  while (remaining > 1) {
    if (counts.length > most.symbol || bit > 8 * end) throw new RangeError('a table has too many symbols')
    const short = 2 * threshold - 1 - remaining
    const value = peek(width)
    let count = value & threshold - 1
    if (count < short) bit += width - 1
    else {
      count = value & 2 * threshold - 1
      if (count >= threshold) count -= short
      bit += width
    }
    count--
    remaining -= Math.abs(count)
    counts.push(count)
    // What follows a symbol that does not occur is how many more do not, by threes.
    for (let more = count === 0 ? 3 : 0; more === 3;) {
      more = peek(2)
      bit += 2
      for (let each = 0; each < more; each++) counts.push(0)
      if (counts.length > most.symbol + 1) throw new RangeError('a table has too many symbols')
    }
    while (remaining < threshold && threshold > 1) {
      width--
      threshold >>= 1
    }
  }
  if (remaining !== 1 || bit > 8 * end) throw new RangeError('a table does not add up')
  return { table: fseTable(counts, accuracy), end: bit + 7 >>> 3 }
}
