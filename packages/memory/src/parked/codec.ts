/** Compresses pages, at once. A host may have a better one than {@link lzCodec}. */
export interface PageCodec {
  /**
   * Compresses a page.
   *
   * @param into - as many bytes as it may come to
   * @returns how many bytes there are; 0 when they are not enough
   */
  compress(page: Uint8Array, into: Uint8Array): number
  /** Fills a page again. @throws a RangeError for what is damaged */
  decompress(packed: Uint8Array, into: Uint8Array): void
}

/** Positions by the hash of the four bytes there; 0 stands for none, others are one more. */
const HASH_BITS = 11
const LEAST_MATCH = 4
/** Literals are copied after this many misses in a row at growing steps: data that cannot be compressed is soon given up. */
const SKIP_SHIFT = 5

/**
 * Lempel and Ziv's method (1977) with a hash of four bytes: a few microseconds a page, in ECMAScript alone. A sequence is a token (four bits for the number of literals, four for the length of the match less 4; 15 goes on in bytes that
 * are added, up to one that is not 255), the literals, and the distance of the match in two bytes, the low one first. The last sequence has no match.
 */
export const lzCodec: PageCodec = { compress, decompress }

const table = new Uint16Array(1 << HASH_BITS)

function compress(page: Uint8Array, into: Uint8Array): number {
  table.fill(0)
  const end = page.length
  const limit = end - LEAST_MATCH
  let out = 0
  let literals = 0
  let at = 0
  let misses = 1 << SKIP_SHIFT
  const long = (value: number): void => {
    let left = value
    for (; left >= 255; left -= 255) into[out++] = 255
    into[out++] = left
  }
  const sequence = (length: number, distance: number): boolean => {
    const count = at - literals
    // The token, what lengths add, the distance.
    if (out + count + Math.floor(count / 255) + Math.floor(length / 255) + 5 > into.length) return false
    const more = length - LEAST_MATCH
    into[out++] = (Math.min(15, count) << 4) | (distance === 0 ? 0 : Math.min(15, more))
    if (count >= 15) long(count - 15)
    for (let i = literals; i < at; i++) into[out++] = page[i] ?? 0
    if (distance === 0) return true
    into[out++] = distance & 255
    into[out++] = distance >>> 8
    if (more >= 15) long(more - 15)
    return true
  }
  while (at <= limit) {
    const word = (page[at] ?? 0) | ((page[at + 1] ?? 0) << 8) | ((page[at + 2] ?? 0) << 16) | ((page[at + 3] ?? 0) << 24)
    const hash = Math.imul(word, 0x9e37_79b1) >>> (32 - HASH_BITS)
    const from = (table[hash] ?? 0) - 1
    table[hash] = at + 1
    if (from < 0 || page[from] !== page[at] || page[from + 1] !== page[at + 1] || page[from + 2] !== page[at + 2] || page[from + 3] !== page[at + 3]) {
      at += misses++ >>> SKIP_SHIFT
      continue
    }
    misses = 1 << SKIP_SHIFT
    let length = LEAST_MATCH
    while (at + length < end && page[from + length] === page[at + length]) length++
    if (!sequence(length, at - from)) return 0
    at += length
    literals = at
  }
  at = end
  return sequence(LEAST_MATCH, 0) ? out : 0
}

function decompress(packed: Uint8Array, into: Uint8Array): void {
  let at = 0
  let out = 0
  const bad = (): RangeError => new RangeError('a compressed page is damaged')
  const long = (start: number): number => {
    if (start < 15) return start
    let sum = start
    for (;;) {
      const more = packed[at++]
      if (more === undefined) throw bad()
      sum += more
      if (more < 255) return sum
    }
  }
  for (;;) {
    const token = packed[at++]
    if (token === undefined) throw bad()
    const count = long(token >>> 4)
    if (at + count > packed.length || out + count > into.length) throw bad()
    for (let i = 0; i < count; i++) into[out++] = packed[at++] ?? 0
    if (at === packed.length) break
    const distance = (packed[at] ?? 0) | ((packed[at + 1] ?? 0) << 8)
    at += 2
    const length = long(token & 15) + LEAST_MATCH
    if (distance === 0 || distance > out || out + length > into.length) throw bad()
    for (let i = 0; i < length; i++, out++) into[out] = into[out - distance] ?? 0
  }
  if (out !== into.length) throw bad()
}
