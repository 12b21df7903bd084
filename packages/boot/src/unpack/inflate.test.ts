import { constants, crc32 as zlibCrc, deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32 } from './crc32.ts'
import { gunzip, inflate, inflateUpTo, isGzip } from './inflate.ts'

const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY } = constants

/** Bytes with repetitions near and far. */
const data = fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(300), { maxLength: 60 }), fc.integer({ min: 1, max: 250 })).map(([seed, places, times]) => {
  const pieces = [seed, ...places.map((at) => seed.subarray(at, at + 70)), new Uint8Array(times * 40).fill(times)]
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]))
})

test('what zlib compresses in any way comes out again', () => {
  fc.assert(fc.property(data, fc.constantFrom(0, 1, 6, 9), fc.constantFrom(Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY), (bytes, level, strategy) => {
    const packed = deflateRawSync(bytes, { level, strategy })
    expect(inflate(packed, bytes.length)).toEqual(bytes)
    expect(inflateUpTo(Uint8Array.from([...packed, 1, 2, 3]), bytes.length + 5)).toEqual(bytes)
  }))
})

test('a block of every length and distance', () => {
  const bytes = new Uint8Array(200_000)
  let state = 1
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 29 === 0 ? state >>> 20 : bytes[Math.max(0, i - (state >>> 17))] ?? 0
  }
  for (let length = 3; length <= 258; length++) bytes.copyWithin(600 * length, 600 * length - 32_768 + length, 600 * length - 32_768 + 2 * length)
  expect(inflate(deflateRawSync(bytes, { level: 9 }), bytes.length)).toEqual(bytes)
})

test('damaged data, and another length, give an error and nothing else', () => {
  fc.assert(fc.property(data, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, at, change) => {
    const packed = new Uint8Array(deflateRawSync(bytes))
    expect(() => inflate(packed, bytes.length + 1)).toThrow(Error)
    if (bytes.length > 0) expect(() => inflate(packed, bytes.length - 1)).toThrow(Error)
    packed[at % packed.length] = (packed[at % packed.length] ?? 0) ^ change
    try {
      expect(inflate(packed, bytes.length).length).toBe(bytes.length)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
    try {
      inflate(packed.subarray(0, at % packed.length), bytes.length)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }))
})

test('CRC-32 is that of zlib', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => { expect(crc32(bytes)).toBe(zlibCrc(bytes)) }))
})

test('what gzip packs comes out, with whatever its header says, and what follows is left', () => {
  fc.assert(fc.property(data, fc.nat(31), fc.uint8Array({ maxLength: 20 }), (bytes, flags, after) => {
    const plain = new Uint8Array(gzipSync(bytes))
    const extra = [...(flags & 4 ? [3, 0, 1, 2, 3] : []), ...(flags & 8 ? [0x61, 0] : []), ...(flags & 16 ? [0x62, 0x63, 0] : []), ...(flags & 2 ? [9, 9] : [])]
    const packed = Uint8Array.from([...plain.subarray(0, 3), flags, ...plain.subarray(4, 10), ...extra, ...plain.subarray(10), ...after])
    expect(isGzip(packed)).toBe(true)
    expect(gunzip(packed, bytes.length)).toEqual(bytes)
    expect(gunzip(packed, 2 ** 30)).toEqual(bytes)
    if (bytes.length > 0) expect(() => gunzip(packed, bytes.length - 1)).toThrow(RangeError)
  }))
})

test('gzip that is damaged or cut short gives an error', () => {
  fc.assert(fc.property(data, fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, at, change) => {
    const packed = new Uint8Array(gzipSync(bytes))
    const place = at % packed.length
    expect(() => gunzip(packed.subarray(0, place), 2 ** 20)).toThrow(RangeError)
    packed[place] = (packed[place] ?? 0) ^ change
    // Time, extra flags and system are nobody's business, and flags may ask for what is there by chance.
    if (place < 10) return
    try {
      // Bits between the last block and its checksum mean nothing.
      expect(gunzip(packed, 2 ** 20)).toEqual(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }))
})
