import fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventText } from './lists.ts'

it('the time of an event is as ISO 8601 has it', () => {
  fc.assert(fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }), (date) => {
    expect(eventText({ at: BigInt(date.getTime()) * 1_000_000n + 999_999n, kind: 'off', name: 'web', text: '' })).toBe(`${date.toISOString()} web off`)
  }), { numRuns: 2000 })
  for (const text of ['2000-02-29T00:00:00.000Z', '2100-03-01T00:00:00.000Z', '2024-12-31T23:59:59.999Z']) expect(eventText({ at: BigInt(Date.parse(text)) * 1_000_000n, kind: 'off', name: '', text: '' })).toBe(`${text} off`)
})
