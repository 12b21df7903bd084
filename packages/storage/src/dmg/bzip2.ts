/**
 * Decompresses bzip2. A stream is "BZh" and a digit, blocks, and an end mark, as bits from the highest of a byte on. A block is text that was
 * run-length coded, sorted by its rotations (Burrows and Wheeler), turned into ranks of symbols (move to front), whose runs of zeroes are
 * counted, and Huffman coded in groups of fifty symbols, each with one of up to six tables.
 */

const blockMagic = 0x314159265359
const endMagic = 0x177245385090
const groupSize = 50
const mostCodeLength = 20

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24
  for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1
  return value >>> 0
})

const damaged = (): Error => new Error('compressed data is damaged')

/** Bits of bytes, the highest first. */
class Bits {
  readonly #bytes: Uint8Array
  #at = 0
  #held = 0
  #count = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** At most 24 bits as a number. */
  take(count: number): number {
    while (this.#count < count) {
      const next = this.#bytes[this.#at++]
      if (next === undefined) throw damaged()
      this.#held = ((this.#held << 8) | next) & 0xffffffff
      this.#count += 8
    }
    this.#count -= count
    return (this.#held >>> this.#count) & ((1 << count) - 1)
  }

  bit(): boolean {
    return this.take(1) === 1
  }
}

/** A Huffman code: which codes of each length there are, and the symbols in their order. */
interface Code {
  /** By length: the first code that is longer. */
  readonly limits: Int32Array
  /** By length: what to add to a code to have the place of its symbol. */
  readonly bases: Int32Array
  readonly symbols: Uint16Array
}

function codeOf(lengths: Uint8Array): Code {
  const counts = new Int32Array(mostCodeLength + 1)
  for (const length of lengths) counts[length] = (counts[length] ?? 0) + 1
  const limits = new Int32Array(mostCodeLength + 1)
  const bases = new Int32Array(mostCodeLength + 1)
  const symbols = new Uint16Array(lengths.length)
  let [code, place] = [0, 0]
  for (let length = 1; length <= mostCodeLength; length++) {
    bases[length] = place - code
    code += counts[length] ?? 0
    limits[length] = code
    code <<= 1
    for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) symbols[place++] = symbol
  }
  return { limits, bases, symbols }
}

function symbolOf({ limits, bases, symbols }: Code, bits: Bits): number {
  let code = 0
  for (let length = 1; length <= mostCodeLength; length++) {
    code = (code << 1) | bits.take(1)
    if (code < (limits[length] ?? 0)) {
      const symbol = symbols[code + (bases[length] ?? 0)]
      if (symbol === undefined) break
      return symbol
    }
  }
  throw damaged()
}

/** The bytes that a block uses, in order. */
function readUsed(bits: Bits): Uint8Array {
  const used: number[] = []
  const groups = bits.take(16)
  for (let group = 0; group < 16; group++) {
    if ((groups & (0x8000 >>> group)) === 0) continue
    const within = bits.take(16)
    for (let each = 0; each < 16; each++) if ((within & (0x8000 >>> each)) !== 0) used.push(group * 16 + each)
  }
  if (used.length === 0) throw damaged()
  return Uint8Array.from(used)
}

/** Moves what stands at a place to the front. @returns it */
function toFront(list: Uint8Array, place: number): number {
  const found = list[place]
  if (found === undefined) throw damaged()
  list.copyWithin(1, 0, place)
  list[0] = found
  return found
}

function readSelectors(bits: Bits, tables: number): Uint8Array {
  const order = Uint8Array.from({ length: tables }, (_, index) => index)
  const selectors = new Uint8Array(bits.take(15))
  if (selectors.length === 0) throw damaged()
  for (let index = 0; index < selectors.length; index++) {
    let place = 0
    while (bits.bit()) place += 1
    selectors[index] = toFront(order, place)
  }
  return selectors
}

function readLengths(bits: Bits, symbols: number): Uint8Array {
  const lengths = new Uint8Array(symbols)
  let length = bits.take(5)
  for (let symbol = 0; symbol < symbols; symbol++) {
    while (bits.bit()) length += bits.bit() ? -1 : 1
    if (length < 1 || length > mostCodeLength) throw damaged()
    lengths[symbol] = length
  }
  return lengths
}

/** The sorted text of a block. `most` bounds it. */
function readSorted(bits: Bits, most: number): Uint8Array {
  const used = readUsed(bits)
  const tables = bits.take(3)
  if (tables < 2 || tables > 6) throw damaged()
  const selectors = readSelectors(bits, tables)
  const end = used.length + 1
  const codes = Array.from({ length: tables }, () => codeOf(readLengths(bits, end + 1)))
  const text = new Uint8Array(most)
  let length = 0
  let [run, weight] = [0, 1]
  for (let count = 0; ; count++) {
    const code = codes[selectors[Math.floor(count / groupSize)] ?? tables]
    if (code === undefined) throw damaged()
    const symbol = symbolOf(code, bits)
    if (symbol <= 1) {
      run += weight << symbol
      weight *= 2
      if (run > most) throw damaged()
      continue
    }
    if (run > 0) {
      if (length + run > most) throw damaged()
      text.fill(used[0] ?? 0, length, length + run)
      length += run
      ;[run, weight] = [0, 1]
    }
    if (symbol === end) return text.subarray(0, length)
    if (length === most) throw damaged()
    text[length++] = toFront(used, symbol - 1)
  }
}

/** The links by which the text is walked, from the rotation that it is: each has the next one's place above its byte. */
function linksOf(sorted: Uint8Array): Uint32Array {
  const starts = new Uint32Array(257)
  for (const byte of sorted) starts[byte + 1] = (starts[byte + 1] ?? 0) + 1
  for (let byte = 0; byte < 256; byte++) starts[byte + 1] = (starts[byte + 1] ?? 0) + (starts[byte] ?? 0)
  const links = Uint32Array.from(sorted)
  sorted.forEach((byte, index) => {
    const place = starts[byte] ?? 0
    starts[byte] = place + 1
    links[place] = (links[place] ?? 0) | index << 8
  })
  return links
}

/** What is decompressed. */
class Output {
  readonly bytes: Uint8Array
  length = 0
  #crc = 0xffffffff

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  put(byte: number, count: number): void {
    if (this.length + count > this.bytes.length) throw new Error('compressed data is longer than it may be')
    for (; count > 0; count--) {
      this.bytes[this.length++] = byte
      this.#crc = (this.#crc << 8) ^ (crcTable[(this.#crc >>> 24) ^ byte] ?? 0)
    }
  }

  /** The checksum since the last call. */
  checksum(): number {
    const crc = ~this.#crc >>> 0
    this.#crc = 0xffffffff
    return crc
  }
}

function readBlock(bits: Bits, most: number, output: Output): void {
  const crc = bits.take(16) * 65536 + bits.take(16)
  // Randomised blocks have not been made since 1998.
  if (bits.bit()) throw damaged()
  const start = bits.take(24)
  const sorted = readSorted(bits, most)
  if (start >= sorted.length) throw damaged()
  const links = linksOf(sorted)
  let link = (links[start] ?? 0) >>> 8
  let [last, repeated] = [-1, 0]
  for (let count = 0; count < sorted.length; count++) {
    const entry = links[link] ?? 0
    const byte = entry & 0xff
    link = entry >>> 8
    if (repeated === 4) {
      // After four that are alike stands how many more there are.
      output.put(last, byte)
      ;[last, repeated] = [-1, 0]
      continue
    }
    output.put(byte, 1)
    repeated = byte === last ? repeated + 1 : 1
    last = byte
  }
  if (output.checksum() !== crc) throw damaged()
}

/**
 * Decompresses one bzip2 stream; what follows it is ignored.
 *
 * @param size - the most that it may be, in bytes; as much is allocated, and 5 MB
 * @throws an `Error` when it is no such stream, or longer
 */
export function unbzip2(from: Uint8Array, size: number): Uint8Array {
  const bits = new Bits(from)
  const level = bits.take(24) === 0x425a68 ? bits.take(8) - 0x30 : 0
  if (level < 1 || level > 9) throw damaged()
  const output = new Output(size)
  for (;;) {
    const magic = bits.take(24) * 2 ** 24 + bits.take(24)
    if (magic === endMagic) return output.bytes.subarray(0, output.length)
    if (magic !== blockMagic) throw damaged()
    readBlock(bits, level * 100_000, output)
  }
}
