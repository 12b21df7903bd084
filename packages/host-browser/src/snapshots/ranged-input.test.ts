import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rangedInput, type RangeAnswer, type RangeRequests } from './ranged-input.ts'

const file = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => at * 31 + (at >> 8))

/** A server of a file, and what it was asked. */
function server(bytes: Uint8Array, change: (answer: RangeAnswer, asked: number) => RangeAnswer = (answer) => answer): RangeRequests & { readonly asked: string[] } {
  const asked: string[] = []
  const answer = (from: number, to: number): RangeAnswer => {
    asked.push(`${from}-${to}`)
    const part = bytes.slice(from, to)
    return change({ status: 206, bytes: part, range: `bytes ${from}-${from + part.length - 1}/${bytes.length}`, tag: 'one' }, asked.length)
  }
  return { asked, now: answer, later: (from, to) => Promise.resolve(answer(from, to)) }
}

/** Bytes that were asked for, in all. */
const bytesOf = (asked: readonly string[]): number => asked.reduce((sum, range) => {
  const [from = 0, to = 0] = range.split('-').map(Number)
  return sum + Math.min(to, 3_000_000) - from
}, 0)

describe('a file of a web server that is read at once', () => {
  it('has the bytes that the server has, each asked for once', async () => {
    const bytes = file(3_000_000)
    const requests = server(bytes)
    const input = await rangedInput('it', requests)
    expect(input.size).toBe(bytes.length)
    fc.assert(fc.property(fc.nat(bytes.length - 1), fc.nat(600_000), (offset, wanted) => {
      const length = Math.min(wanted, bytes.length - offset)
      expect(Buffer.compare(input.read(offset, length), bytes.subarray(offset, offset + length))).toBe(0)
    }), { numRuns: 100 })
    expect(bytesOf(requests.asked)).toBe(bytes.length)
  })

  it('is loaded ahead, and asks for nothing more', async () => {
    const bytes = file(2_000_000)
    const requests = server(bytes)
    const input = await rangedInput('it', requests)
    input.read(1_500_000, 10)
    await input.ahead()
    expect(bytesOf(requests.asked)).toBe(bytes.length)
    expect(Buffer.compare(input.read(0, bytes.length), bytes)).toBe(0)
    expect(bytesOf(requests.asked)).toBe(bytes.length)
    input.close()
  })

  it('is whole where the server has no ranges', async () => {
    const bytes = file(1_000_000)
    const input = await rangedInput('it', server(bytes, () => ({ status: 200, bytes, range: null, tag: null })))
    expect(Buffer.compare(input.read(999_000, 1000), bytes.subarray(999_000))).toBe(0)
    expect(input.size).toBe(bytes.length)
  })

  it.each<[string, string, (answer: RangeAnswer, asked: number) => RangeAnswer]>([
    ['is another by now', 'snapshot-changed', (answer, asked) => asked === 1 ? answer : { ...answer, tag: 'two' }],
    ['has another length by now', 'snapshot-changed', (answer, asked) => asked === 1 ? answer : { ...answer, range: `${answer.range}0` }],
    ['is gone', 'snapshot-load', () => ({ status: 404, bytes: new Uint8Array(), range: null, tag: null })],
    ['comes from another place', 'snapshot-load', (answer, asked) => asked === 1 ? answer : { ...answer, range: 'bytes 5-10/1000000' }],
    ['comes short', 'snapshot-load', (answer, asked) => asked === 1 ? answer : { ...answer, bytes: answer.bytes?.subarray(1) ?? null }],
    ['has no length', 'snapshot-load', (answer) => ({ ...answer, range: 'bytes 0-9/*' })],
    ['is longer than what is loaded whole', 'snapshot-load', (answer) => ({ ...answer, status: 200, bytes: null })],
    ['is whole all of a sudden', 'snapshot-load', (answer, asked) => asked === 1 ? answer : { ...answer, status: 200 }],
  ])('one that %s is refused', async (_, code, change) => {
    let error: unknown
    try {
      (await rangedInput('it', server(file(1_000_000), change))).read(600_000, 10)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code })
  })

  it('is asked for again when the network fails, a few times, at first and later', async () => {
    let lost = 0
    const requests = server(file(1_000_000))
    const fail = (): void => { if (lost++ < 2) throw new TypeError('network') }
    const flaky: RangeRequests = {
      now(from, to) {
        fail()
        return requests.now(from, to)
      },
      async later(from, to, most) {
        fail()
        return requests.later(from, to, most)
      },
    }
    const input = await rangedInput('it', flaky)
    lost = 0
    expect(input.read(600_000, 10)).toEqual(file(1_000_000).subarray(600_000, 600_010))
    lost = -Infinity
    expect(() => input.read(10, 300_000)).toThrow('cannot be loaded')
    await expect(rangedInput('it', flaky)).rejects.toThrow('cannot be loaded')
  })
})
