import { constants, crc32 as zlibCrc, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32, portableCodec } from './codec.ts'
import { inflate } from './inflate.ts'

const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY } = constants

/** Bytes with repetitions near and far. */
const data = fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(300), { maxLength: 60 }), fc.integer({ min: 1, max: 250 })).map(([seed, places, times]) => {
  const pieces = [seed, ...places.map((at) => seed.subarray(at, at + 70)), new Uint8Array(times * 40).fill(times)]
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]))
})

test('what zlib compresses in any way comes out again', () => {
  fc.assert(fc.property(data, fc.constantFrom(0, 1, 6, 9), fc.constantFrom(Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE, Z_DEFAULT_STRATEGY), (bytes, level, strategy) => {
    expect(inflate(deflateRawSync(bytes, { level, strategy }), bytes.length)).toEqual(bytes)
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
      expect(error).toBeInstanceOf(Error)
    }
    try {
      inflate(packed.subarray(0, at % packed.length), bytes.length)
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
  }))
})

test('CRC-32 is that of zlib', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => { expect(crc32(bytes)).toBe(zlibCrc(bytes)) }))
})

test('it refuses Brotli', () => {
  expect(() => portableCodec.decompress('brotli', new Uint8Array(), 1)).toThrow('brotli')
})
