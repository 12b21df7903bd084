import { brotliCompressSync, constants, crc32, deflateRawSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { portableCodec } from './codec.ts'

test('it reads deflate, with the checksums of zlib, and stores what it writes', () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, index) => index % 77)
  expect(portableCodec.decompress('deflate', deflateRawSync(bytes), bytes.length)).toEqual(bytes)
  expect(portableCodec.crc32(bytes)).toBe(crc32(bytes))
  expect(portableCodec.compress(bytes)).toEqual(bytes)
})

test('it reads Brotli of the quality that snapshots have', () => {
  const bytes = Uint8Array.from({ length: 65536 }, (_, index) => index * index >> 7)
  expect(portableCodec.decompress('brotli', brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 0 } }), bytes.length)).toEqual(bytes)
})
