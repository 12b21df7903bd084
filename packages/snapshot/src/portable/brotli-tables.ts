/** Tables of Brotli (RFC 7932), as far as they follow no rule that is shorter. */

/** What codes of lengths stand for: where each begins, and how many bits are added. */
export interface Lengths {
  readonly base: readonly number[]
  readonly extra: readonly number[]
}

/** Ranges that follow one another. */
function ranges(first: number, extra: readonly number[]): Lengths {
  let next = first
  return { extra, base: extra.map((bits) => (next += 2 ** bits) - 2 ** bits) }
}

/** Literals before a copy (section 5). */
export const INSERT: Lengths = ranges(0, [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 24])
/** Bytes of a copy (section 5). */
export const COPY: Lengths = ranges(2, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 24])
/** Things of a block (section 6). */
export const COUNT: Lengths = ranges(1, [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 24])

/** Of each 64 codes of insertions with copies: the first code of either (section 5). */
export const INSERT_CELL: readonly number[] = [0, 0, 0, 0, 8, 8, 0, 16, 8, 16, 16]
export const COPY_CELL: readonly number[] = [0, 8, 0, 8, 0, 8, 16, 0, 16, 8, 16]

/** Code lengths of code lengths come in this order (section 3.5). */
export const ORDER: readonly number[] = [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15]

/** Distances that lie near one of the last four (section 4): which of them, the last first, and what is added. */
export const NEAR: readonly (readonly [last: number, plus: number])[] = [
  [0, 0], [1, 0], [2, 0], [3, 0], [0, -1], [0, 1], [0, -2], [0, 2], [0, -3], [0, 3], [1, -1], [1, 1], [1, -2], [1, 2], [1, -3], [1, 3],
]

function bytesOf(value: (byte: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => value(byte))
}

const PUNCTUATION: Readonly<Record<string, number>> = {
  '\t': 4, '\n': 4, '\r': 4, ' ': 8, '"': 16, "'": 16, '%': 20, '(': 24, '<': 24, '[': 24, '{': 24, ')': 28, '>': 28, ']': 28, '}': 28, ',': 32, ':': 32, ';': 32, '.': 36, '=': 40,
}

/** Contexts by the last byte of text, Lut0, and by the one before, Lut1; and of numbers, Lut2 (section 7.1). */
export const LAST: Uint8Array = bytesOf((byte) => {
  if (byte >= 128) return (byte >= 192 ? 2 : 0) + (byte & 1)
  const character = String.fromCharCode(byte)
  if (/\d/.test(character)) return 44
  if (/[a-z]/i.test(character)) return (/[a-z]/.test(character) ? 56 : 48) + (/[aeiou]/i.test(character) ? 0 : 4)
  return PUNCTUATION[character] ?? (byte < 32 || byte === 127 ? 0 : 12)
})
export const BEFORE: Uint8Array = bytesOf((byte) => {
  if (byte >= 128) return byte >= 224 ? 2 : 0
  const character = String.fromCharCode(byte)
  if (/[a-z]/.test(character)) return 3
  return /[A-Z\d]/.test(character) ? 2 : byte <= 32 || byte === 127 ? 0 : 1
})
export const SIGNED: Uint8Array = bytesOf((byte) => [1, 16, 64, 128, 192, 240, 255].findLastIndex((from) => byte >= from) + 1)
