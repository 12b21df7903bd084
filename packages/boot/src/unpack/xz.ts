import { LzmaDecoder } from './lzma.ts'
import { Output } from './output.ts'

/** The container (The .xz File Format 1.2.0): what streams begin with, the filters that there are, bytes of checks by their kinds. */
const HEADER = 12
const FILTER = { x86: 0x04, lzma2: 0x21 } as const
const CHECKS: readonly number[] = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
const MOST_FILTERS = 4
/** LZMA2: kinds of chunks. */
const CHUNK = { end: 0, resetRaw: 1, raw: 2, packed: 0x80 } as const

/**
 * Unpacks the blocks of a .xz file: LZMA2, and the filter for x86 before it, as kernels have them. Checks are not looked at.
 *
 * @throws RangeError for what is damaged, has other filters, or more than `limit` bytes
 */
export function unpackXz(bytes: Uint8Array, limit: number): Uint8Array {
  const out = new Output(limit)
  const check = CHECKS[(bytes[7] ?? 0) & 15] ?? 0
  let at = HEADER
  for (;;) {
    const size = bytes[at]
    if (size === undefined) throw new RangeError('it is cut short')
    // The index follows the last block.
    if (size === 0) return out.take()
    const start = at
    const filtered = filters(bytes, at, at + 4 * (size + 1))
    at += 4 * (size + 1)
    const from = out.length
    at = lzma2(bytes, at, out)
    at += -(at - start) & 3
    at += check
    if (filtered) convertBranches(out.take().subarray(from))
  }
}

/** Whether a block's header asks for the filter of x86. */
function filters(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from + 1
  const flags = bytes[at++] ?? 0
  const number = (): number => {
    for (let value = 0, shift = 0; shift < 49; shift += 7) {
      const byte = at < end ? bytes[at++] ?? 0 : 0x80
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a header is cut short')
  }
  if ((flags & 0x40) !== 0) number()
  if ((flags & 0x80) !== 0) number()
  const ids = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = number()
    const properties = number()
    if (id === FILTER.x86 && properties !== 0) throw new RangeError('a filter has an offset')
    at += properties
    return id
  })
  if (ids.length > MOST_FILTERS || ids.pop() !== FILTER.lzma2 || ids.some((id) => id !== FILTER.x86) || ids.length > 1) throw new RangeError('it has other filters')
  return ids.length > 0
}

/** Unpacks chunks to their end, which it returns. */
function lzma2(bytes: Uint8Array, from: number, out: Output): number {
  const decoder = new LzmaDecoder(out)
  let at = from
  let ready = false
  const word = (): number => {
    if (at + 2 > bytes.length) throw new RangeError('it is cut short')
    at += 2
    return (bytes[at - 2] ?? 0) << 8 | (bytes[at - 1] ?? 0)
  }
  for (;;) {
    const control = bytes[at++]
    if (control === undefined) throw new RangeError('it is cut short')
    if (control === CHUNK.end) return at
    if (control < CHUNK.packed) {
      const size = word() + 1
      if (control > CHUNK.raw || at + size > bytes.length) throw new RangeError('a chunk is cut short')
      if (control === CHUNK.resetRaw) decoder.resetDictionary()
      out.append(bytes, at, at + size)
      at += size
      continue
    }
    const size = (control & 0x1f) * 0x1_0000 + word() + 1
    const packed = word() + 1
    const reset = control >> 5 & 3
    if (reset === 3) decoder.resetDictionary()
    if (reset >= 2) decoder.properties(bytes[at++] ?? 0xff)
    else if (!ready) throw new RangeError('there are no properties')
    else if (reset === 1) decoder.reset()
    ready = true
    if (at + packed > bytes.length) throw new RangeError('a chunk is cut short')
    decoder.decode(bytes, at, at + packed, size)
    at += packed
  }
}

/** By which of the last bytes were opcodes too: whether an address is converted, and which of its bytes would have been another's upper one. */
const ALLOWED: readonly boolean[] = [true, true, true, false, true, false, false, false]
const BYTE: readonly number[] = [0, 1, 2, 2, 3, 3, 3, 3]
const upper = (byte: number): boolean => byte === 0 || byte === 0xff

/** Makes addresses that calls and jumps were given relative again. */
function convertBranches(bytes: Uint8Array): void {
  let last = -5
  let mask = 0
  for (let at = 0; at + 5 <= bytes.length;) {
    const opcode = bytes[at] ?? 0
    if (opcode !== 0xe8 && opcode !== 0xe9) {
      at++
      continue
    }
    const distance = at - last
    last = at
    if (distance > 5) mask = 0
    else for (let each = 0; each < distance; each++) mask = (mask & 0x77) << 1
    const high = bytes[at + 4] ?? 0
    if (!upper(high) || !(ALLOWED[mask >> 1 & 7] ?? false) || mask >> 1 >= 0x10) {
      at++
      mask |= upper(high) ? 0x11 : 1
      continue
    }
    let from = high << 24 | (bytes[at + 3] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 | (bytes[at + 1] ?? 0)
    let to: number
    for (;;) {
      to = from - (at + 5) | 0
      if (mask === 0) break
      const shift = 8 * (BYTE[mask >> 1] ?? 0)
      if (!upper(to >>> (24 - shift) & 0xff)) break
      from = to ^ (shift === 0 ? -1 : 2 ** (32 - shift) - 1)
    }
    bytes.set([to & 0xff, to >>> 8 & 0xff, to >>> 16 & 0xff, (to >>> 24 & 1) === 1 ? 0xff : 0], at + 1)
    at += 5
    mask = 0
  }
}
