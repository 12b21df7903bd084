import { Arena } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { coreModule, placeWindow } from './core-module.ts'
import { STATE_SIZE } from './emit/layout.ts'

const arenaOf = (maximum: number): Arena => new Arena(createMemory({ initial: 16, maximum: maximum / 65536, shared: true }), maximum)

test('arenas of all sizes, whatever is in them, have the same module, which is compiled once', () => {
  const windows = [2 ** 28, 2 ** 31].map((maximum, index) => {
    const arena = arenaOf(maximum)
    arena.allocate(4096 * (index + 1))
    // What a CPU of another kind takes for itself.
    if (index === 1) arena.allocateFirst(500_000)
    return placeWindow(arena)
  })
  expect(windows[1]).toBe(windows[0])
  const [window = 0] = windows
  expect(coreModule(window, true)).toBe(coreModule(window, true))
})

test('a second engine has a place of its own, one after the first has gone that of the first, and a small arena any; another kind of CPU has the places that it has alone', () => {
  const arena = arenaOf(2 ** 28)
  const [first, second] = [placeWindow(arena), placeWindow(arena)]
  expect(Math.abs(first - second)).toBeGreaterThanOrEqual(STATE_SIZE)
  arena.free(first, STATE_SIZE)
  expect(placeWindow(arena)).toBe(first)
  expect(arena.allocateFirst(1000)).toBe(arenaOf(2 ** 28).allocateFirst(1000))
  expect(placeWindow(arenaOf(2 ** 22))).toBeGreaterThan(0)
})

test('what is taken from both ends never overlaps', () => {
  const arena = arenaOf(2 ** 28)
  const taken: [number, number][] = []
  // More than there is room for: the rest is elsewhere.
  for (let index = 0; index < 40; index++) {
    const bytes = 40_000 + index
    taken.push([arena.allocateFirst(bytes, index % 2 === 0), bytes])
  }
  taken.sort(([a], [b]) => a - b)
  taken.forEach(([at, bytes], index) => { expect(at + bytes).toBeLessThanOrEqual(taken[index + 1]?.[0] ?? Infinity) })
})
