import { isMachinistError } from '@machinist/api'
import { expect, it } from 'vitest'
import { divide, Random, type Claim } from './index.ts'

it('divides by shares within bounds', () => {
  expect(divide(7, [{ shares: 1 }, { shares: 2 }, { shares: 4 }])).toEqual([1, 2, 4])
  expect(divide(6, [{ shares: 1, limit: 0.5 }, { shares: 1 }, { shares: 1, demand: 1 }])).toEqual([0.5, 4.5, 1])
  expect(divide(4, [{ shares: 1, reservation: 3 }, { shares: 1 }, { shares: 3 }])).toEqual([3, 0.25, 0.75])
  expect(divide(4, [{ shares: 1, reservation: 3, demand: 0 }, { shares: 1 }])).toEqual([0, 4])
  expect(divide(4, [{ shares: 1, demand: 1 }])).toEqual([1])
  expect(divide(4, [])).toEqual([])
})

it('what it says is the one division that is fair: all is given, bounds hold, and those within them get the same for each share', () => {
  const random = new Random(3)
  for (let turn = 0; turn < 3000; turn++) {
    const claims: Claim[] = Array.from({ length: random.between(1, 8) }, () => ({
      shares: random.between(1, 100), reservation: random.next() < 0.4 ? random.next() : 0, limit: random.next() < 0.3 ? 0.1 + random.next() : Infinity, demand: random.next() < 0.3 ? random.next() : Infinity,
    }))
    const least = claims.map(({ reservation = 0, limit = Infinity, demand = Infinity }) => Math.min(reservation, limit, demand))
    const most = claims.map(({ limit = Infinity, demand = Infinity }) => Math.min(limit, demand))
    const capacity = least.reduce((sum, one) => sum + one, 0) + random.next() * 3
    const given = divide(capacity, claims)
    const sum = given.reduce((all, one) => all + one, 0)
    const wanted = most.reduce((all, one) => all + one, 0)
    if (Math.abs(sum - Math.min(capacity, wanted)) > 1e-9) throw new Error(`${String(turn)}: ${String(sum)} of ${String(capacity)}`)
    for (const [index, one] of given.entries()) {
      if (one < least[index]! - 1e-9 || one > most[index]! + 1e-9) throw new Error(`${String(turn)}: out of bounds`)
      for (const [with_, other] of given.entries()) {
        const [level, above] = [one / claims[index]!.shares, other / claims[with_]!.shares]
        // Who has less for a share has all it may have, or the other has only what it must.
        if (level < above - 1e-9 && one < most[index]! - 1e-9 && other > least[with_]! + 1e-9) throw new Error(`${String(turn)}: unfair`)
      }
    }
  }
})

it('refuses what cannot be', () => {
  const code = (act: () => void): string => {
    try {
      act()
    } catch (error) {
      return isMachinistError(error) ? error.code : ''
    }
    return ''
  }
  expect(code(() => divide(1, [{ shares: 1, reservation: 0.6 }, { shares: 1, reservation: 0.6 }]))).toBe('not-admitted')
  expect(code(() => divide(-1, []))).toBe('parameter')
  expect(code(() => divide(1, [{ shares: 0 }]))).toBe('parameter')
  expect(code(() => divide(1, [{ shares: 1, demand: -1 }]))).toBe('parameter')
})
