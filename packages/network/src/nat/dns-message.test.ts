import { get16, set16 } from '@machinist/packets'
import { expect, test } from 'vitest'
import { failure, fitted, udpLimit } from './dns-message.ts'

function random(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

const NAME = [7, 101, 120, 97, 109, 112, 108, 101, 3, 99, 111, 109, 0]
const u16 = (value: number): number[] => [value >> 8, value & 255]
const TC = 0x0200

/** A message with one question. */
function message(flags: number, sections: readonly [answers: number[][], authorities: number[][], additional: number[][]]): Uint8Array {
  return Uint8Array.from([
    0x12, 0x34, ...u16(flags), 0, 1, ...sections.flatMap((records) => u16(records.length)), ...NAME, ...u16(28), ...u16(1), ...sections.flat(2),
  ])
}
/** A record; its name is a pointer to the question's, or written out. */
const record = (type: number, data: number[], written = false): number[] => [...(written ? NAME : [0xc0, 12]), ...u16(type), ...u16(1), 0, 0, 0, 60, ...u16(data.length), ...data]
const edns = (size: number): number[] => [0, ...u16(41), ...u16(size), 0, 0, 0, 0, 0, 0]
const aaaa = (last: number): number[] => record(28, [0x20, 1, 0x0d, 0xb8, ...Array<number>(11).fill(0), last])
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test('a client takes 512 bytes, or what it says in EDNS, if that is more', () => {
  expect(udpLimit(message(0x0100, [[], [], []]))).toBe(512)
  expect(udpLimit(message(0x0100, [[], [], [edns(1232)]]))).toBe(1232)
  expect(udpLimit(message(0x0100, [[], [], [record(1, [1, 2, 3, 4]), edns(4096)]]))).toBe(4096)
  expect(udpLimit(message(0x0100, [[], [], [edns(100)]]))).toBe(512)
  expect(udpLimit(message(0x0100, [[edns(4096)], [], []]))).toBe(512) // it is no answer
})

test('an answer that is too long has the records that fit, and says that it was cut', () => {
  const long = message(0x8180, [numbers(57).map(aaaa), [record(2, NAME, true)], [edns(1232), record(1, [1, 2, 3, 4])]])
  expect(long.length).toBeGreaterThan(1627)
  const cut = fitted(long, 512)
  // Header and question are 29 bytes, a record 28, the record of EDNS 11.
  const kept = Math.floor((512 - 29 - 11) / 28)
  expect([4, 6, 8, 10].map((at) => get16(cut, at))).toEqual([1, kept, 0, 1])
  expect(cut).toHaveLength(29 + 28 * kept + 11)
  expect(get16(cut, 2)).toBe(0x8180 | TC)
  expect(cut.slice(12, -11)).toEqual(long.slice(12, 29 + 28 * kept))
  expect([...cut.slice(-11)]).toEqual(edns(1232))
  expect(udpLimit(cut)).toBe(1232)
  expect(fitted(long, long.length)).toEqual(long)
  expect(fitted(long, long.length - 1).length).toBeLessThan(long.length)
  // One record alone that is too long: the question stays.
  const big = fitted(message(0x8180, [[record(16, numbers(600).map(() => 1))], [], []]), 512)
  expect([[...big.slice(2, 12)], big.length]).toEqual([[0x83, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], 29])
})

test('any message, damaged in any way, fits then', () => {
  const below = random(7)
  for (let round = 0; round < 4000; round++) {
    const records = (most: number): number[][] => Array.from({ length: below(most) }, () => (below(12) === 0 ? edns(below(5000)) : record(below(60), numbers(below(60)), below(2) === 0)))
    const bytes = message(0x8180, [records(40), records(10), records(10)])
    for (let count = below(3) === 0 ? below(20) : 0; count > 0; count--) bytes[below(bytes.length)] = below(256)
    const damaged = below(4) === 0 ? bytes.slice(0, 12 + below(bytes.length - 12)) : bytes
    const limit = 512 + below(1500)
    const cut = fitted(damaged, limit)
    if (damaged.length <= limit) {
      expect(cut).toBe(damaged)
      continue
    }
    expect(cut.length).toBeLessThanOrEqual(limit)
    expect(get16(cut, 2) & TC).toBe(TC)
    expect(fitted(cut, limit)).toBe(cut)
    expect(failure(damaged).length).toBeLessThanOrEqual(damaged.length)
  }
})

test('a failure repeats the question', () => {
  const query = message(0x0110, [[], [], [edns(1232)]])
  const answer = failure(query)
  expect([...answer]).toEqual([0x12, 0x34, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0, ...NAME, 0, 28, 0, 1])
  set16(query, 4, 900)
  expect([...failure(query)]).toEqual([0x12, 0x34, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0])
})
