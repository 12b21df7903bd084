/** Replays of machines with every device of the catalogue at work that go on from checkpoints, while files are open and connections are there. See going-back.long.test.ts for more. */
import { expect, it } from 'vitest'
import { type Checkpoints, goesBack } from './going-back.ts'

it.each([['prompt', 1], ['late', 2], ['sockets', 3]] as const)('a checkpoint can be taken at nearly any moment, in %s surroundings', async (around, seed) => {
  const met: Checkpoints = { wanted: 0, taken: 0, files: 0, connections: 0 }
  await goesBack(seed, around, 900, met)
  expect(met.taken).toBeGreaterThan(0.75 * met.wanted)
  if (around !== 'prompt') expect(met.files).toBeGreaterThan(0)
  if (around === 'sockets') expect(met.connections).toBeGreaterThan(0)
})
