import { expect, test } from 'vitest'
import { Random } from '../host/random.ts'
import { deliverAtRandom, deviceAccesses, starts } from './deliveries.ts'

const seed = Number(process.env['MACHINIST_SEED'] ?? 1)
/** Deliveries from each mode. */
const runs = Number(process.env['MACHINIST_RUNS'] ?? 3000)

// Tables are the guest's: whatever they say, an event ends at a handler or in shutdown (SDM volume 3, 7.15).
for (const start of starts()) test(`an event with random tables ends at a handler or in shutdown: ${start.name}`, () => {
  const before = deviceAccesses.count
  expect(deliverAtRandom(new Random(seed), start, runs)).toEqual([])
  // Some of them lay in a device.
  expect(deviceAccesses.count - before).toBeGreaterThan(runs / 100)
})
