import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMachinistError } from '@machinist/api'
import { plainData } from './plain-data.ts'

test('fields come checked, or from their fallback', () => {
  const data = plainData('uart0', { size: 3, on: true, name: 'x', mode: 2, list: [1, 2], raw: [0, 255], big: 5n, inner: null }, 'configuration')
  expect([data.integer('size', 0, 3), data.integer('other', 0, 9, 4), data.boolean('on'), data.string('name'), data.oneOf('mode', [1, 2])]).toEqual([3, 4, true, 'x', 2])
  expect([data.integers('list', 2, 1, 2), data.bytes('raw', 4), data.u64('big'), data.unknown('inner')]).toEqual([[1, 2], [0, 255], 5n, null])
  data.done()
  expect(plainData('p', { list: [{ n: 1 }, { n: 2 }] }, 'state').list('list', 2, (each) => each.integer('n', 0, 9))).toEqual([1, 2])
  plainData('uart0', undefined, 'configuration').done()
})

test('an error names part, field, value and remedy', () => {
  const refused: [() => unknown, object][] = [
    [() => plainData('p', { size: 4 }, 'configuration').integer('size', 0, 3), { code: 'config', part: 'p.size', value: 4, remedy: expect.stringContaining('0 to 3') }],
    [() => plainData('p', {}, 'state').boolean('on'), { code: 'state', part: 'p.on' }],
    [() => plainData('p', undefined, 'state'), { code: 'state', part: 'p' }],
    [() => plainData('p', [1], 'configuration'), { code: 'config', part: 'p', value: 'an array' }],
    [() => plainData('p', { l: [1, , 3] }, 'state').integers('l', 3, 0, 9), { part: 'p.l' }],
    [() => plainData('p', { l: [{ n: 1 }, { n: 2 }] }, 'state').list('l', 1, (each) => each.integer('n', 0, 9)), { part: 'p.l', value: 'an array' }],
    [() => plainData('p', { l: [{ n: 1 }, { n: 10 }] }, 'state').list('l', 2, (each) => each.integer('n', 0, 9)), { part: 'p.l[1].n', value: 10 }],
    [() => plainData('p', { l: [{ n: 1, m: 1 }] }, 'state').list('l', 2, (each) => each.integer('n', 0, 9)), { part: 'p.l[0].m' }],
    [() => plainData('p', { l: [,] }, 'configuration').list('l', 2, () => 0), { part: 'p.l[0]' }],
    [() => plainData('p', { typo: 1 }, 'configuration').done(), { part: 'p.typo', value: 1 }],
    [() => plainData('p', { mode: 'z' }, 'configuration').oneOf('mode', ['a', 'b']), { part: 'p.mode', value: 'z', remedy: expect.stringContaining('a, b') }],
  ]
  for (const [act, fields] of refused) expect(act).toThrow(expect.objectContaining(fields))
})

test('whatever the data, nothing but a typed error comes out', () => {
  fc.assert(fc.property(fc.oneof(fc.anything(), fc.record({ b: fc.anything(), c: fc.anything() })), (input) => {
    try {
      const data = plainData('p', input, 'state')
      const value = data.integer('a', 0, 10, 1)
      expect(Number.isInteger(value) && value >= 0 && value <= 10).toBe(true)
      expect(data.bytes('b', 3).length).toBeLessThanOrEqual(3)
      expect(data.list('c', 2, (each) => each.integer('n', 0, 1)).length).toBeLessThanOrEqual(2)
      data.done()
    } catch (error) {
      expect(isMachinistError(error)).toBe(true)
    }
  }))
})
