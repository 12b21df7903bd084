import fc from 'fast-check'
import { expect, test } from 'vitest'
import { counterState, counterView } from './counter.ts'
import { seededEntropy } from '../assembly/randomness.ts'
import { Timers } from './timers.ts'

test('timers expire in order of time, then of arming, as in a sorted list', () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant('arm' as const), timer: fc.nat(9), at: fc.oneof(fc.nat(20), fc.constant(Infinity), fc.constant(NaN)) }),
    fc.record({ op: fc.constant('cancel' as const), timer: fc.nat(9) }),
    fc.record({ op: fc.constant('expire' as const), at: fc.nat(20) }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const timers = new Timers()
    const all = Array.from({ length: 10 }, (_, index) => timers.create(String(index), () => {}))
    let model: { timer: number; at: number }[] = []
    for (const each of steps) {
      if (each.op !== 'expire') model = model.filter(({ timer }) => timer !== each.timer)
      if (each.op === 'arm') {
        all[each.timer]?.arm(each.at)
        if (each.at < Infinity) model.push(each)
      } else if (each.op === 'cancel') {
        all[each.timer]?.cancel()
      } else {
        const fired: number[] = []
        timers.expire(each.at, (name) => fired.push(Number(name)))
        const due = model.filter(({ at }) => at <= each.at).sort((a, b) => a.at - b.at)
        expect(fired).toEqual(due.map(({ timer }) => timer))
        model = model.filter(({ at }) => at > each.at)
      }
      expect(timers.next).toBe(Math.min(Infinity, ...model.map(({ at }) => at)))
    }
  }))
})

test('the counter: elapsed is exact, and timeOf is the first nanosecond at which the count is reached', () => {
  const frequency = fc.oneof(fc.constantFrom(1, 10_000_000, 1_000_000_000, 32_768, 9_007_199), fc.integer({ min: 1, max: 9_007_199 }))
  fc.assert(fc.property(frequency, fc.integer({ min: 0, max: 2 ** 52 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 40n }), (f, start, base, ahead) => {
    let now = start
    const counter = counterView(counterState(f, 'test'), () => now)
    expect(BigInt(counter.elapsed())).toBe(BigInt(now) * BigInt(f) / 1_000_000_000n)
    let told = 0
    counter.onWrite(() => told++)
    counter.write(base)
    expect(told).toBe(1)
    expect(counter.read()).toBe(base)
    const target = base + ahead
    if (target >= 2n ** 64n) return
    const at = counter.timeOf(target)
    if (at === Infinity) {
      expect(BigInt(start) * BigInt(f) + ahead * 1_000_000_000n > BigInt(f) * BigInt(2 ** 52)).toBe(true)
      return
    }
    now = at
    expect(counter.read()).toBe(target)
    if (at > 0) {
      now = at - 1
      expect(counter.read()).toBe(target === 0n ? 2n ** 64n - 1n : target - 1n)
    }
  }))
})

test('the seeded generator repeats itself, and looks random', () => {
  const draw = (seed: number): Uint8Array => {
    const bytes = new Uint8Array(65536)
    seededEntropy(seed).fill(bytes)
    return bytes
  }
  expect(draw(5)).toEqual(draw(5))
  expect(draw(5)).not.toEqual(draw(6))
  const counts = new Array<number>(256).fill(0)
  for (const byte of draw(1)) counts[byte] = (counts[byte] ?? 0) + 1
  const chi = counts.reduce((sum, count) => sum + (count - 256) ** 2 / 256, 0)
  expect(chi).toBeLessThan(350)
})

test('a generator goes on from where another was saved, and takes nothing else', () => {
  const next = (entropy: ReturnType<typeof seededEntropy>): number[] => {
    const bytes = new Uint8Array(12)
    entropy.fill(bytes)
    return [...bytes]
  }
  const one = seededEntropy(7)
  next(one)
  const other = seededEntropy(1)
  other.restore(one.save())
  expect([next(other), next(other)]).toEqual([next(one), next(one)])
  for (const bad of [null, [], [1, 2, 3], [0, 0, 0, 0], [1, 2, 3, 4.5], [1, 2, 3, 2 ** 40], ['1', 2, 3, 4]]) expect(() => { other.restore(bad) }).toThrow(/not the state of a generator/)
})
