import { crc32, deflateRawSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { portableCodec } from './codec.ts'

test('it reads deflate, with the checksums of zlib, and stores what it writes', () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, index) => index % 77)
  expect(portableCodec.decompress('deflate', deflateRawSync(bytes), bytes.length)).toEqual(bytes)
  expect(portableCodec.crc32(bytes)).toBe(crc32(bytes))
  expect(portableCodec.compress(bytes)).toEqual(bytes)
})

test('it refuses Brotli', () => {
  expect(() => portableCodec.decompress('brotli', new Uint8Array(), 1)).toThrow('brotli')
})
