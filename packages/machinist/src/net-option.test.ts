import { isMachinistError } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { parseNet } from './net-option.ts'

/** Numbers that look random, the same for each seed. */
function random(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

describe('--net', () => {
  test.each([
    ['none', []],
    ['nat', [{ type: 'nat' }]],
    ['tap=tap0', [{ type: 'tap', name: 'tap0' }]],
    ['switch=lan', [{ type: 'switch', name: 'lan' }]],
    ['nat,switch=lan,mtu=9000', [{ type: 'nat', switch: 'lan', mtu: 9000 }]],
    ['nat,network6=none', [{ type: 'nat', network6: false }]],
    ['nat,network6=fd00:1::/64,network=10.9.0.0/24,mtu=9000', [{ type: 'nat', network6: 'fd00:1::/64', network: '10.9.0.0/24', mtu: 9000 }]],
    ['nat,mode=isolated', [{ type: 'nat', mode: 'isolated' }]],
    ['nat,forward=tcp:[::1]:1-[fd00::15]:2,service=udp:10.0.2.9:5-127.0.0.1:6', [{ type: 'nat', forward: ['tcp:[::1]:1-[fd00::15]:2'], service: ['udp:10.0.2.9:5-127.0.0.1:6'] }]],
  ])('%s', (text, expected) => { expect(parseNet(text)).toEqual(expected) })

  test('what is given more than once is gathered, and rules keep their order', () => {
    const below = random(4)
    for (let round = 0; round < 300; round++) {
      const expected: Record<string, string[]> = {}
      const parts: string[] = []
      for (let count = below(8); count > 0; count--) {
        const name = ['forward', 'service', 'resolver', 'allow', 'deny'][below(5)] ?? ''
        const text = `${'abc:/.=-[]'.charAt(below(10))}${below(1000)}`
        parts.push(`${name}=${text}`)
        const list = name === 'allow' || name === 'deny' ? 'rules' : name === 'resolver' ? 'resolvers' : name
        ;(expected[list] ??= []).push(list === 'rules' ? `${name} ${text}` : text)
      }
      expect(parseNet(['nat', ...parts].join())).toEqual([{ type: 'nat', ...expected }])
    }
  })

  test.each(['', 'nat0', 'none,mtu=1500', 'tap', 'tap=', 'tap=tap0,mtu=9000', 'switch', 'switch=', 'switch=lan,mtu=9000', 'nat,', 'nat,forward', 'nat,forward=', 'nat,rules=allow any', 'nat,toString=1', 'nat,constructor=1', 'nat,type=tap'])(
    '%j is refused', (text) => {
      let error: unknown
      try {
        parseNet(text)
      } catch (thrown) {
        error = thrown
      }
      expect(isMachinistError(error) && [error.code, error.part]).toEqual(['usage', '--net'])
    })
})
