import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sample } from './testing.ts'
import { unpackXz } from './xz.ts'

const LIMIT = 2 ** 20
/** printf '%s' "$(seq 1 60)" | xz --check=crc32 */
const SEQ = '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4ACpAGhdABiCgo8iTvimVffwmaUlDZBFkVpRtJvKrNwFMuyFUp+xSG3v3OhLuWG64JxTf5jIqVQO/D0q0wbXZkQ9VmSmzT3Xxx9E9BjfAgs/4sbGe+Hnf3lEHHm3Qq5luBu1DoThmoIGIzjcZr4AAO16Ki4AAYABqgEAAON6kcM+MA2LAgAAAAABWVo='

test('a small file comes out as it was', () => {
  expect(Buffer.from(unpackXz(Buffer.from(SEQ, 'base64'), LIMIT)).toString()).toBe(Array.from({ length: 60 }, (_, index) => index + 1).join('\n'))
  expect(() => unpackXz(Buffer.from(SEQ, 'base64'), 100)).toThrow(RangeError)
})

test('what xz packs comes out as it was, with the filter for x86 too, in one block or several', ({ skip }) => {
  if (spawnSync('xz', ['--version']).status !== 0) skip('there is no xz here')
  for (const [options, length] of [
    ['-0', 0], ['-0', 1], ['-6', 300], ['--x86 --lzma2=preset=6', 20_000], ['--x86 --lzma2=dict=64KiB,lc=1,lp=3,pb=0', 200_000], ['-1 --block-size=30000 --check=sha256', 100_000], ['--x86 --lzma2=preset=0 --block-size=40001', 100_000],
  ] as const) {
    const input = sample(length + 7, length)
    const { stdout } = spawnSync('xz', ['-c', '-q', ...options.split(' ')], { input, maxBuffer: LIMIT })
    expect(Buffer.compare(unpackXz(stdout, LIMIT), input), `${options}, ${length} bytes`).toBe(0)
  }
  // Noise is in chunks that are not packed.
  const noise = Uint8Array.from({ length: 100_000 }, (_, index) => Math.imul(index + 1, 0x9e37_79b1) >>> 13)
  expect(Buffer.compare(unpackXz(spawnSync('xz', ['-c'], { input: noise, maxBuffer: LIMIT }).stdout, LIMIT), noise)).toBe(0)
  expect(() => unpackXz(spawnSync('xz', ['-c', '--delta', '--lzma2=preset=0'], { input: 'abc' }).stdout, LIMIT), 'another filter').toThrow(RangeError)
})

test('what is damaged is a RangeError, or something of at most the limit', () => {
  const packed = Buffer.from(SEQ, 'base64')
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { maxLength: 5 }), fc.nat(packed.length), (changes, cut) => {
    const bytes = Uint8Array.from(packed.subarray(0, packed.length - (cut % 3 === 0 ? cut : 0)))
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
    try {
      expect(unpackXz(bytes, 1000).length).toBeLessThanOrEqual(1000)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
  }), { numRuns: 2000 })
})
