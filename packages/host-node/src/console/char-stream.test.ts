import { isMachinistError } from '@machinist/api'
import { expect, it } from 'vitest'
import { collector, stream } from '../index.ts'

it('what was typed ahead is saved and stays, and comes first where it is restored', () => {
  const from = stream()
  const port = from.connect((callback) => { callback() })
  const read = (of: typeof port, count: number): string => {
    const bytes = new Uint8Array(count)
    return Buffer.from(bytes.subarray(0, of.read(bytes))).toString()
  }
  expect(from.save?.()).toEqual([])
  from.type('one two')
  from.type(' three')
  expect(read(port, 4)).toBe('one ')
  const [state] = from.save?.() ?? []
  if (state === undefined) throw new Error('nothing is saved')
  from.type(' four')
  expect(read(port, 99)).toBe('two three four')
  const to = collector()
  to.type('!')
  expect(to.restore?.(structuredClone(state), 'uart0.console')).toBe(true)
  expect(to.waiting).toBe(10)
  let told = 0
  const restored = to.connect((callback) => { callback() })
  restored.listen({ readable() { told++ }, writable() {} })
  expect([told, read(restored, 99)]).toEqual([1, 'two three!'])
  expect(to.restore?.({ ...state, kind: 'other' }, 'uart0.console')).toBe(false)
  for (const wrong of [{ ...state, version: 2 }, { ...state, state: null }, { ...state, state: { bytes: 'text' } }, { ...state, state: { bytes: new Uint8Array(2 ** 24 + 1) } }]) {
    expect(() => to.restore?.(wrong, 'uart0.console')).toThrow(expect.toSatisfy((error) => isMachinistError(error) && error.code === 'state' && error.part === 'uart0.console') as Error)
  }
})
