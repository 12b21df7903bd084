import { expect, test } from 'vitest'
import { allocate } from './allocate.ts'
import { ceilings } from './ceilings.ts'

test('a machine may take what nobody wants, within the limits of its pools; nothing more where all is wanted', () => {
  const pools = [{ path: 'day' }, { path: 'night', resources: { disk: { limit: 16 } } }, { path: 'night/batch', resources: { disk: { limit: 64 } } }]
  const machines = [{ name: 'a', pool: 'day', resources: {} }, { name: 'b', pool: 'night', resources: {} }, { name: 'c', pool: 'night/batch', resources: { disk: { limit: 12 } } }, { name: 'd', pool: '', resources: {} }]
  const of = (capacity: object, demand: Readonly<Record<string, number>>, processors = 1): Record<string, number> =>
    Object.fromEntries(ceilings(allocate(capacity, pools, machines, (name) => ({ demand: demand[name] ?? 0, used: 0 }), 0), 'disk', processors))
  expect(of({ disk: 128 }, {})).toEqual({ a: 128, b: 16, c: 12, d: 128 })
  expect(of({ disk: 128 }, { a: 64, b: 8 })).toEqual({ a: 120, b: 16, c: 8, d: 56 })
  expect(of({ disk: 128 }, { a: 200, b: 16 })).toEqual({ a: 112, b: 16, c: 0, d: 0 })
  expect(of({ disk: 128 }, { a: 64 }, 4)).toEqual({ a: 80, b: 4, c: 4, d: 16 })
  expect(of({}, { a: 64 })).toEqual({ a: Infinity, b: 16, c: 12, d: Infinity })
  // Told again only when it has changed by a few per cent.
  expect(of({ disk: 128 }, { a: 27.5 })['d']).toBe(of({ disk: 128 }, { a: 27.9 })['d'])
})
