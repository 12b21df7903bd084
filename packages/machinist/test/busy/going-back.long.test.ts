/** Recordings of machines with every device at work, more of them. Others: BUSY_SEED. */
import { expect, it } from 'vitest'
import { type Checkpoints, goesBack } from './going-back.ts'

const FIRST = Number(process.env['BUSY_SEED'] ?? 1) * 1000

it.each([['prompt', 15], ['late', 15], ['sockets', 30]] as const)('from any checkpoint the run is the same again, in %s surroundings', async (around, seeds) => {
  const met: Checkpoints = { wanted: 0, taken: 0, files: 0, connections: 0 }
  for (let seed = FIRST; seed < FIRST + seeds; seed++) await goesBack(seed, around, 2000, met)
  expect(met.taken).toBeGreaterThan(0.75 * met.wanted)
  if (around !== 'prompt') expect(met.files).toBeGreaterThan(seeds)
  if (around === 'sockets') expect(met.connections).toBeGreaterThan(seeds)
}, 1_200_000)
