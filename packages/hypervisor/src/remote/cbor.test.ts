import { decode as cborgDecode, encode as cborgEncode } from 'cborg'
import { describe, expect, it } from 'vitest'
import { decodeCbor, encodeCbor } from './cbor.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (each) => parseInt(each, 16))
const SEED = Number(process.env['REMOTE_SEED'] ?? 1)

/** A generator of whole numbers below a bound. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

function plain(random: (below: number) => number, depth: number, bigints: boolean): unknown {
  const kind = random(depth > 0 ? 12 : 9)
  switch (kind) {
    case 0: return null
    case 1: return undefined
    case 2: return random(2) === 0
    case 3: return (random(2) === 0 ? 1 : -1) * random(2 ** 31) * 2 ** random(22)
    case 4: return [Infinity, -Infinity, NaN, 0.1, 5e-324, 1.5, -(2 ** 53), 2 ** 53 - 1, 1e300][random(9)]
    case 5: return bigints ? [0n, -1n, 255n, -256n, 2n ** 64n, -(2n ** 64n), 1_800_000_000_000_000_123n, BigInt(random(2 ** 31))][random(8)] : 2 ** 40
    case 6: return ['', 'héllo', '€', '😀', 'x'.repeat(random(400))][random(5)]
    case 7: return Uint8Array.from({ length: random(300) }, () => random(256))
    case 8: return random(2 ** 16)
    case 9: return Array.from({ length: random(9) }, () => plain(random, depth - 1, bigints))
    default: return Object.fromEntries(Array.from({ length: random(9) }, (_, index) => [random(50) === 0 ? '__proto__' : `key${index}`, plain(random, depth - 1, bigints)]))
  }
}

describe('values as CBOR', () => {
  it.each([
    // RFC 8949, appendix A.
    [0, '00'], [23, '17'], [24, '1818'], [255, '18ff'], [1000, '1903e8'], [1_000_000, '1a000f4240'], [1_000_000_000_000, '1b000000e8d4a51000'], [-1, '20'], [-1000, '3903e7'],
    [18_446_744_073_709_551_616n, 'c249010000000000000000'], [-18_446_744_073_709_551_617n, 'c349010000000000000000'], [1.1, 'fb3ff199999999999a'], [-4.1, 'fbc010666666666666'],
    [false, 'f4'], [true, 'f5'], [null, 'f6'], [undefined, 'f7'], [hex('01020304'), '4401020304'], ['IETF', '6449455446'], ['水', '63e6b0b4'], [[1, [2, 3]], '8201820203'], [{ a: 1, b: [2, 3] }, '26'.replace('26', 'a26161016162820203')],
    [Infinity, 'fb7ff0000000000000'], [-0, 'fb8000000000000000'],
  ])('%s is %s, and back', (value, bytes) => {
    expect(encodeCbor(value)).toEqual(hex(bytes))
    expect(decodeCbor(hex(bytes))).toEqual(value)
  })
  it('a bigint comes back as one, however small, and -0 as -0', () => {
    expect(decodeCbor(encodeCbor([0n, 5n, -5n]))).toStrictEqual([0n, 5n, -5n])
    expect(Object.is(decodeCbor(encodeCbor(-0)), -0)).toBe(true)
  })
  it('what other programs write shorter is read too', () => {
    expect(['f90000', 'f93c00', 'f97bff', 'f90001', 'f97c00', 'f9c400', 'fa47c35000', '1b7fffffffffffffff', '3bffffffffffffffff'].map((text) => decodeCbor(hex(text))))
      .toEqual([0, 1, 65504, 5.960464477539063e-8, Infinity, -4, 100000, 9_223_372_036_854_775_807n, -18_446_744_073_709_551_616n])
  })
  it('random plain data comes back, and is what another library reads and writes', () => {
    const random = randomOf(SEED)
    for (let round = 0; round < 150; round++) {
      const value = plain(random, 3, true)
      expect(decodeCbor(encodeCbor(value))).toStrictEqual(value)
      const simple = plain(random, 3, false)
      expect(cborgDecode(encodeCbor(simple))).toStrictEqual(simple)
      expect(decodeCbor(cborgEncode(simple))).toStrictEqual(simple)
    }
  })
  it.each([
    ['is no plain data', () => 1], ['is no plain data', new Map()], ['is no plain data', new Date(0)], ['is no plain data', Symbol('x')], ['is no plain data', new Float64Array(1)],
    ['too deep', Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], 1)], ['too many', new Array<number>(1 << 20).fill(0)], ['too long', 1n << 10_000n],
  ])('refuses what %s', (problem, value) => {
    expect(() => encodeCbor(value)).toThrow(problem)
  })
  it.each([
    ['ends too early', ''], ['ends too early', '1903'], ['ends too early', '9affffffff'], ['ends too early', '5b7fffffffffffffff00'], ['ends too early', 'bb0000000100000000'], ['stands behind', '0000'],
    ['not known before', '9f01ff'], ['not known before', '5f4101ff'], ['not known', 'ff'], ['not known', 'f8ff'], ['tag that is not known', 'c101'], ['bigint is no bytes', 'c201'],
    ['no text', 'a10101'], ['twice', 'a2616101616102'], ['too deep', `${'81'.repeat(200)}00`],
    ['too long', `c2590401${'00'.repeat(1025)}`], ['too many', `9a00110000${'00'.repeat(0x110000)}`],
  ])('refuses bytes: it %s', (problem, bytes) => {
    expect(() => decodeCbor(hex(bytes))).toThrow(expect.objectContaining({ code: 'message', message: expect.stringContaining(problem) as string }))
  })
  it('random bytes are refused with a typed error, or are a value', () => {
    const random = randomOf(SEED + 1)
    let values = 0
    for (let round = 0; round < 6000; round++) {
      const good = round % 2 === 0 ? encodeCbor(plain(random, 3, true)).slice() : Uint8Array.from({ length: random(40) }, () => random(256))
      for (let flips = random(4); flips > 0 && good.length > 0; flips--) good[random(good.length)] = random(256)
      try {
        const value = decodeCbor(good)
        values++
        if (round % 64 === 0) expect(decodeCbor(encodeCbor(value))).toStrictEqual(value)
      } catch (error) {
        expect(error).toMatchObject({ name: 'MachinistError', code: 'message' })
      }
    }
    expect(values).toBeGreaterThan(300)
  })
})
