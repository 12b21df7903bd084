import { Arena } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { coreModule, freeCore, placeCore } from './core.ts'

const arenaOf = (maximum: number): Arena => new Arena(createMemory({ initial: 16, maximum: maximum / 65536, shared: true }), maximum)

test('arenas of all sizes, whatever is in them, have the same module, which is compiled once', () => {
  const places = [2 ** 28, 2 ** 31].map((maximum, index) => {
    const arena = arenaOf(maximum)
    arena.allocate(4096 * (index + 1))
    return placeCore(arena)
  })
  expect(places[1]).toEqual(places[0])
  const [first] = places
  if (first === undefined) throw new Error('no places')
  expect(coreModule(first, true)).toBe(coreModule({ ...first }, true))
  expect(coreModule(first, false)).not.toBe(coreModule(first, true))
})

test('a second engine of an arena has places of its own, one after the first has gone those of the first, and a small arena any', () => {
  const arena = arenaOf(2 ** 28)
  const [first, second] = [placeCore(arena), placeCore(arena)]
  expect(new Set([...Object.values(first), ...Object.values(second)]).size).toBe(10)
  arena.u8.fill(1, first.window, first.window + 8)
  freeCore(arena, first)
  expect(placeCore(arena)).toEqual(first)
  expect(arena.u8[first.window]).toBe(0)
  expect(coreModule(second, true)).not.toBe(coreModule(first, true))
  const small = placeCore(arenaOf(2 ** 22))
  expect(Math.min(...Object.values(small))).toBeGreaterThan(0)
})
