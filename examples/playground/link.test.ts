import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromLink, GUESTS, isName, LEAST_MEMORY, type SharedMachine, toLink } from './page/link.ts'

const name = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/)
const machine: fc.Arbitrary<SharedMachine> = fc.record({ guest: fc.constantFrom(...GUESTS), name, memory: fc.integer({ min: LEAST_MEMORY, max: 256 }), network: fc.option(name) })
const machines = fc.uniqueArray(machine, { selector: (each) => each.name, maxLength: 8 })

test('machines come back from their link, which a URL holds as it is', () => {
  fc.assert(fc.property(machines, (all) => {
    const link = toLink(all)
    expect(fromLink(`#${link}`)).toEqual(all)
    expect(new URL(`http://page.invalid/#${link}`).hash).toBe(link === '' ? '' : `#${link}`)
  }))
})

test('a link reads as it looks', () => {
  expect(fromLink('#machines=riscv64,name=one;amd64,name=two,memory=512,network=')).toEqual([
    { guest: 'riscv64', name: 'one', memory: 256, network: 'lan' }, { guest: 'amd64', name: 'two', memory: 512, network: null },
  ])
  expect(fromLink('')).toEqual([])
})

describe('what anybody may send', () => {
  test.each([
    'x', 'machines=', 'machines=;', 'machines=pdp11,name=a', 'machines=__proto__,name=a', 'machines=riscv64', 'machines=riscv64,name=', 'machines=riscv64,name=A', 'machines=riscv64,name=a-',
    'machines=riscv64,name=a b', 'machines=riscv64,name=<img>', 'machines=riscv64,name=%3Cimg%3E', 'machines=riscv64,name=a,name=b', 'machines=riscv64,name=a,run=rm', 'machines=riscv64,name=a,memory=95',
    'machines=riscv64,name=a,memory=1e3', 'machines=riscv64,name=a,memory=', 'machines=riscv64,name=a,memory=-5', 'machines=riscv64,name=a,memory=2049', 'machines=riscv64,name=a,network=..', 'machines=riscv64,name=a;riscv64,name=a',
    'machines=riscv64,name=a,memory=1025;i386,name=b,memory=1024', `machines=${Array.from({ length: 9 }, (_, at) => `i386,name=m${at}`).join(';')}`, `machines=riscv64,name=${'a'.repeat(2000)}`,
  ])('%j is refused by a typed error', (link) => {
    let error: unknown = null
    try {
      fromLink(`#${link}`)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'link' })
    expect((error as Error).message.length).toBeLessThan(300)
  })

  test('is machines within bounds, or such an error', () => {
    const hostile = fc.array(fc.constantFrom('machines=', 'riscv64', 'amd64', ',', ';', 'name=', 'memory=', 'network=', '256', '9', 'a', '<', '"', '%3C', '=', 'constructor', '\u0000'), { maxLength: 40 }).map((parts) => parts.join(''))
    fc.assert(fc.property(hostile, (text) => {
      try {
        for (const each of fromLink(text)) expect(isName(each.name) && each.memory <= 2048 && GUESTS.includes(each.guest) && (each.network === null || isName(each.network))).toBe(true)
      } catch (error) {
        expect(error).toMatchObject({ code: 'link' })
      }
    }), { numRuns: 2000 })
  })
})
