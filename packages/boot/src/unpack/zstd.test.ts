import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sample } from './testing.ts'
import { unpackZstd } from './zstd.ts'

const LIMIT = 2 ** 20
/** printf '%s' "$(seq 1 60)" | zstd -19 --no-check */
const SEQ = 'KLUv/QBojQIAokoTCbDrJEmIcFKYdUDfbHPNNM8sc8ydOcN8ssklkzyyyCFXpgzyxRZXTPHEEkfcmDHE161Xpz5devR2dujHjRcnPlx48HJy4Ldd07McdwYA'

test('raw blocks, runs, frames one after the other, and frames to skip', () => {
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0x24, 7, 16, 0, 0, 0x61, 0x62, 35, 0, 0, 0x7a, 1, 2, 3, 4]
  expect(Buffer.from(unpackZstd(Uint8Array.of(...frame, 0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9, ...frame), LIMIT)).toString()).toBe('abzzzzabzzzz')
  expect(() => unpackZstd(Uint8Array.of(...frame), 5)).toThrow(RangeError)
})

test('a block with a tree, predefined tables and repeated offsets', () => {
  const packed = Buffer.from(SEQ, 'base64')
  expect(Buffer.from(unpackZstd(packed, LIMIT)).toString()).toBe(Array.from({ length: 60 }, (_, index) => index + 1).join('\n'))
})

test('what zstd packs at any level comes out as it was', ({ skip }) => {
  if (spawnSync('zstd', ['--version']).status !== 0) skip('there is no zstd here')
  for (const [level, length] of [['-1', 0], ['-1', 1], ['-3', 300], ['--fast=5', 5_000], ['-9', 20_000], ['-1', 200_000], ['-16', 200_000]] as const) {
    const input = sample(length + 7, length)
    const { stdout } = spawnSync('zstd', ['-c', '-q', level], { input, maxBuffer: LIMIT })
    expect(Buffer.compare(unpackZstd(stdout, LIMIT), input), `${level}, ${length} bytes`).toBe(0)
  }
})

test('what is damaged is a RangeError, or something of at most the limit', () => {
  const packed = Buffer.from(SEQ, 'base64')
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { maxLength: 5 }), fc.nat(packed.length), (changes, cut) => {
    const bytes = Uint8Array.from(packed.subarray(0, packed.length - (cut % 3 === 0 ? cut : 0)))
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
    try {
      expect(unpackZstd(bytes, 1000).length).toBeLessThanOrEqual(1000)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }), { numRuns: 2000 })
})
