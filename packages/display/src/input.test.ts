import type { InputEvent } from '@machinist/api'
import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { inputSource, keysOf } from './index.ts'

const atOnce = (callback: () => void): void => { callback() }

it('types text as keys', () => {
  const source = inputSource()
  const port = source.connect(atOnce)
  expect(source.type('aZ ~\n')).toBe(true)
  const events: string[] = []
  for (let packet = port.receive(); packet !== null; packet = port.receive()) events.push(packet.map(({ type, code, value }) => `${type}.${code}.${value}`).join(' '))
  expect(events).toEqual(['1.30.1', '1.30.0', '1.42.1', '1.44.1', '1.44.0', '1.42.0', '1.57.1', '1.57.0', '1.42.1', '1.41.1', '1.41.0', '1.42.0', '1.28.1', '1.28.0'].map((key) => `${key} 0.0.0`))
  // Each printable character has keys of its own.
  const all = Array.from({ length: 95 }, (_, index) => keysOf(String.fromCharCode(32 + index))?.join())
  expect([new Set(all).size, all.includes(undefined)]).toEqual([95, false])
  expect(() => source.type('aé')).toThrow(expect.toSatisfy(isMachinistError) as Error)
  expect(port.receive()).toBe(null)
})

it('keeps no more than it may, and no key pressed that the program released', () => {
  fc.assert(fc.property(fc.array(fc.record({ code: fc.integer({ min: 1, max: 20 }), down: fc.boolean(), take: fc.integer({ min: 0, max: 1 }) }), { maxLength: 400 }), (steps) => {
    const source = inputSource({ queueEvents: 64 })
    const port = source.connect(atOnce)
    const down = new Set<number>()
    const apply = (packet: readonly InputEvent[] | null): void => {
      for (const { type, code, value } of packet ?? []) if (type === 1) down[value === 0 ? 'delete' : 'add'](code)
    }
    const pressed = new Set<number>()
    for (const { code, down: press, take } of steps) {
      const taken = source.key(code, press)
      if (!press) pressed.delete(code)
      else if (taken) pressed.add(code)
      expect(source.waiting).toBeLessThanOrEqual(32 + 20)
      if (take === 1) apply(port.receive())
    }
    for (let packet = port.receive(); packet !== null; packet = port.receive()) apply(packet)
    expect(down).toEqual(pressed)
  }))
})

it('what the guest has not taken, keys that are down and lights are saved, and come first where they are restored', () => {
  const source = inputSource()
  const port = source.connect(atOnce)
  source.key(30, true)
  source.key(31, true)
  port.receive()
  port.status({ type: 17, code: 1, value: 1 })
  const [state] = source.save?.() ?? []
  if (state === undefined) throw new Error('nothing is saved')
  const again = inputSource({ queueEvents: 64 })
  expect([again.restore?.(structuredClone(state), 'kbd0.host'), again.restore?.({ ...state, kind: 'typed' }, 'kbd0.host')]).toEqual([true, false])
  expect([again.waiting, [...again.lights]]).toEqual([1, [1]])
  const restored = again.connect(atOnce)
  again.key(30, false)
  expect(restored.receive()).toEqual([{ type: 1, code: 31, value: 1 }, { type: 0, code: 0, value: 0 }])
  expect(restored.receive()?.[0]).toEqual({ type: 1, code: 30, value: 0 })
  // Keys that go up are never dropped, also those that went down before.
  for (let i = 0; i < 100; i++) again.moveBy(1, 1)
  expect([again.key(31, false), again.moveBy(1, 1)]).toEqual([true, false])
  const fields = state.state as object
  for (const changes of [
    { packets: 5 }, { packets: [[]] }, { packets: [[[1, 30]]] }, { packets: [[[1, 30, 2 ** 31]]] }, { packets: [[[70_000, 30, 1]]] }, { packets: [new Array(64).fill([1, 30, 1])] },
    { packets: new Array(40_000).fill([[1, 30, 1]]) }, { down: [-1] }, { down: new Array(1025).fill(1) }, { lights: null }, { lights: ['x'] },
  ]) expect(() => inputSource().restore?.({ ...state, state: { ...fields, ...changes } }, 'kbd0.host'), JSON.stringify(changes).slice(0, 60)).toThrow(expect.toSatisfy((error) => isMachinistError(error) && error.code === 'state') as Error)
})
