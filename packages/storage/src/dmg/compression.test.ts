import { describe, expect, it } from 'vitest'
import { adc, bzip2, hasBzip2 } from '../../test/foreign-dmg.ts'
import { content } from '../../test/foreign.ts'
import { generator } from '../../test/node-file.ts'
import { unadc } from './adc.ts'
import { unbzip2 } from './bzip2.ts'
import { SEED } from '../../test/seed.ts'

/** 200 runs of A, B and C, zeroes, and every byte: as Python's bz2 compresses them, with blocks of 100 kB. */
const sample = Buffer.from(
  'QlpoMTFBWSZTWVRhtJQAAR//////////////////////////////////////////////sAEbSwgAAAAAJgAATAAmTAAAAEYBMAAAAAAAAAAAAAA0AAAAAAAABMaBJgAJgACYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADKpPVPSaDRo00xMhpkNDIMIYTQw0EMI00wQ00wRkBhGjQAAGg0NDAJghoZMjJgEYAAgNAyBoADQAD9EhnSgAUQJCIA0qQEhGkBIuqWCQmIwSLtd7xeU29XsODxAREhMUFRYXGBkaG/+ODo8PkBCREZISkxOUFJUVlhaXF5gYmRmaGpsbnBydHZ4enzMztGVBAAZQSMmCQlAEhJlGUAgAIAkMwJCBBH+QSwSQUYJCIAkJASGgEhBBqa2zLZfMNrc3uGZzTjm3LOOaqrK6wsrS2uLq8vsDCxMbIyszO0NLU1tja3N7g4uTm6Ors7vDy9Pb4+vz/AQMFBwkLDRETFRcZGx0fISMlJykrLS8xMzU3OTs9P0FDRUdJS01PUVNVV1lbXV9hY2VnaWttb3FzdXd5e3wB8vwGBg4WHiYuNj5GTlZeZm52foaOlp6mrra+xs7W3ubu9v8HDxcfJy83P0dPV19nb3d/h4+Xn6f/19vc+BQUEAgfj5+vsXckU4UJBUYbSU',
  'base64')
const sampled = Buffer.concat([...Array.from({ length: 200 }, (_, index) => Buffer.alloc(index % 9, 65 + index % 3)), Buffer.alloc(3000), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))])

describe('bzip2', () => {
  it('is undone, and bounded', () => {
    expect(sampled.equals(unbzip2(sample, sampled.length))).toBe(true)
    expect(sampled.equals(unbzip2(Buffer.concat([sample, Buffer.from('behind')]), 1 << 20))).toBe(true)
    expect(() => unbzip2(sample, sampled.length - 1)).toThrow('longer than it may be')
  })

  it('gives an error for whatever is spoilt, never another content', () => {
    const random = generator(SEED)
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(sample)
      for (let count = 1 + random(3); count > 0; count--) bytes[random(bytes.length)]! ^= 1 << random(8)
      const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
      let found: Uint8Array | null = null
      try {
        found = unbzip2(cut, 1 << 16)
      } catch (error) {
        expect((error as Error).message).toMatch(/^compressed data is/)
      }
      if (found !== null) expect(sampled.equals(found)).toBe(true)
    }
  })

  it.skipIf(!hasBzip2)('undoes what the tool makes of any content, in blocks of all sizes', () => {
    const random = generator(SEED)
    for (let round = 0; round < 6; round++) {
      const bytes = [content(random(300_000), random, 1 + random(400)), Buffer.alloc(random(1_200_000), random(256)), Buffer.from('abcd'.repeat(random(60_000)))][round % 3]!
      expect(bytes.equals(unbzip2(bzip2(bytes, 1 + random(9)), bytes.length))).toBe(true)
    }
  })
})

it('Apple Data Compression is undone, bounded, and an error when it is spoilt', () => {
  const random = generator(SEED)
  for (let round = 0; round < 20; round++) {
    const bytes = Buffer.concat([content(random(20_000), random, 1 + random(60)), Buffer.from('a longer text, '.repeat(random(200)))])
    const packed = adc(bytes)
    expect(bytes.equals(unadc(packed, bytes.length))).toBe(true)
    for (let spoilt = 0; spoilt < 20 && packed.length > 0; spoilt++) {
      const other = Buffer.from(packed)
      other[random(other.length)] = random(256)
      try {
        expect(unadc(other, bytes.length).length).toBeLessThanOrEqual(bytes.length)
      } catch (error) {
        expect((error as Error).message).toBe('compressed data is damaged')
      }
    }
  }
  // The three codes, by hand: plain "ab", near two back three times, far one back four times.
  expect(Buffer.from(unadc(Uint8Array.from([0x81, 97, 98, 0x00, 1, 0x40, 0, 0]), 100)).toString()).toBe('abab' + 'aaaaa')
})
