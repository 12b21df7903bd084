import { describe, expect, it } from 'vitest'
import { amountText, bytesText, termOf } from './terms.ts'

const refuse = (): never => { throw new Error('refused') }

describe('amounts', () => {
  it.each([
    ['cpu', 'limit', '50%', 0.5], ['cpu', 'reservation', '.25', 0.25], ['cpu', 'limit', 1.5, 1.5], ['cpu', 'limit', 'none', Infinity], ['cpu', 'limit', null, Infinity],
    ['memory', 'limit', '512M', 2 ** 29], ['memory', 'reservation', '0', 0], ['disk', 'limit', '20MiB', 20 * 2 ** 20], ['space', 'limit', '20G', 20 * 2 ** 30], ['network', 'limit', 1000, 1000],
    ['cpu', 'shares', '1000000', 1_000_000], ['cpu', 'shares', 1, 1],
  ] as const)('%s.%s %j', (kind, name, given, value) => {
    expect(termOf(kind, name, given, refuse)).toBe(value)
  })
  it.each([
    ['cpu', 'limit', '-1'], ['cpu', 'limit', NaN], ['cpu', 'reservation', 'none'], ['cpu', 'limit', '0'], ['cpu', 'limit', '1e3'], ['memory', 'limit', '1.5G'], ['memory', 'limit', -1],
    ['memory', 'reservation', null], ['cpu', 'shares', '0'], ['cpu', 'shares', 1.5], ['cpu', 'shares', 1_000_001], ['cpu', 'shares', 'none'], ['cpu', 'limit', {}], ['disk', 'limit', true],
  ] as const)('%s.%s %j is refused', (kind, name, given) => {
    expect(() => termOf(kind, name, given, refuse)).toThrow('refused')
  })
})

it('numbers of bytes have few letters', () => {
  expect([0, 1, 1023, 1024, 1536, 2 ** 20 - 1, 2 ** 20, 100 * 2 ** 20 + 1, 1.5 * 2 ** 30, 2 ** 60, Infinity, NaN].map(bytesText))
    .toEqual(['0', '1', '1023', '1K', '1.5K', '1M', '1M', '100M', '1.5G', '1024P', '-', '-'])
  expect([amountText('cpu', 0.333), amountText('cpu', Infinity), amountText('memory', 2 ** 29)]).toEqual(['0.33', '-', '512M'])
})
