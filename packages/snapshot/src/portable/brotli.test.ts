import { brotliCompressSync, constants } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { unpackBrotli } from './brotli.ts'

/** Bytes as memory has them: runs, words that come again, text, noise. */
const content = fc.array(fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.tuple(fc.nat(255), fc.nat(3000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(200)).map(([bytes, times]) => Uint8Array.from({ length: bytes.length * times }, (_, at) => (bytes[at % bytes.length] ?? 0) + (at % 97 === 0 ? 1 : 0))),
  fc.array(fc.constantFrom('qzx', 'Wvk', '0x', '17', ' ', '\n', '(', ');', '"', 'żó', 'ńß', '漢'), { maxLength: 300 }).map((words) => new TextEncoder().encode(words.join(''))),
), { maxLength: 30 }).map((parts) => Buffer.concat(parts))

const options = fc.record({ quality: fc.nat(11), window: fc.integer({ min: 10, max: 24 }), mode: fc.constantFrom(constants.BROTLI_MODE_GENERIC, constants.BROTLI_MODE_TEXT), postfix: fc.nat(3), direct: fc.nat(15) })

test('what zlib packs at any quality comes out as it was, unless it has words of the dictionary', () => {
  let refused = 0
  let most = 0
  fc.assert(fc.property(content, options, (bytes, { quality, window, mode, postfix, direct }) => {
    const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_MODE, BROTLI_PARAM_NPOSTFIX, BROTLI_PARAM_NDIRECT, BROTLI_PARAM_SIZE_HINT } = constants
    const packed = brotliCompressSync(bytes, { params: { [BROTLI_PARAM_QUALITY]: quality, [BROTLI_PARAM_LGWIN]: window, [BROTLI_PARAM_MODE]: mode, [BROTLI_PARAM_NPOSTFIX]: postfix, [BROTLI_PARAM_NDIRECT]: direct << postfix, [BROTLI_PARAM_SIZE_HINT]: bytes.length } })
    try {
      expect(Buffer.compare(unpackBrotli(packed, bytes.length), bytes)).toBe(0)
      most = Math.max(most, bytes.length)
    } catch (error) {
      // Snapshots are packed with quality 0.
      if (!(error instanceof RangeError && error.message.includes('dictionary')) || quality < 2) throw error
      refused++
    }
  }), { numRuns: 300 })
  expect(most).toBeGreaterThan(10_000)
  expect(refused).toBeLessThan(100)
})

test('what is damaged is a RangeError, or of the length that was promised', () => {
  fc.assert(fc.property(content, fc.nat(11), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }), fc.nat(3), (bytes, quality, changes, cut) => {
    const packed = Uint8Array.from(brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }))
    for (const [at, value] of changes) packed[at % packed.length] = value
    try {
      expect(unpackBrotli(cut === 0 ? packed.subarray(0, packed.length >> 1) : packed, bytes.length)).toHaveLength(bytes.length)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }), { numRuns: 300 })
})
