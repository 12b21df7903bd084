import { expect, test } from 'vitest'
import { Random } from '../host/random.ts'
import { deliverAtRandom, starts } from './deliveries.ts'

const seed = Number(process.env['MACHINIST_SEED'] ?? 1)
/** Deliveries from each mode. */
const runs = Number(process.env['MACHINIST_RUNS'] ?? 3000)

// Tables are the guest's: whatever they say, an event ends at a handler or in shutdown (SDM volume 3, 7.15).
for (const start of starts()) test(`an event with random tables ends at a handler or in shutdown: ${start.name}`, () => expect(deliverAtRandom(new Random(seed), start, runs)).toEqual([]))
