import { expect, it } from 'vitest'
import { CapacityClock } from './index.ts'

it('goes with the time while processors run at full speed or are idle, and stands still otherwise', () => {
  const clock = new CapacityClock(2)
  clock.advance(100)
  expect(clock.now).toBe(0)
  const run = clock.begin()
  clock.idle(1)
  clock.advance(300)
  expect(clock.now).toBe(200)
  clock.end(run, 200, 200)
  expect(clock.now).toBe(200)
  clock.advance(400)
  // One idle, the other nobody asked.
  expect(clock.now).toBe(250)
  clock.advance(350)
  expect(clock.now).toBe(250)
  clock.idle(-1)
  clock.advance(1000)
  expect(clock.now).toBe(250)
})

it('counts what runs got, and learns at which speed they go', () => {
  const clock = new CapacityClock(1)
  clock.advance(0)
  let [time, farthest] = [0, 0]
  for (let turn = 1; turn <= 200; turn++) {
    const run = clock.begin()
    time += 1000
    clock.advance(time)
    farthest = turn > 100 ? Math.max(farthest, Math.abs(clock.now - turn * 250)) : 0
    const before = clock.now
    clock.end(run, 250, 1000)
    expect(clock.now).toBeGreaterThanOrEqual(before)
  }
  expect(farthest).toBeLessThan(20)
})
