/** Machines with every device of the catalogue at work, that are saved and copied at any moment. See going-on.long.test.ts for thousands. */
import { expect, it } from 'vitest'
import { goesOn, type Met } from './going-on.ts'

// Seeds with which faults were found, and others.
it.each([['prompt', [32, 107, 140, 10_004]], ['late', [203, 204]], ['sockets', [1, 2]]] as const)('go on as if nothing had happened, in %s surroundings', async (around, seeds) => {
  const met: Met = { saves: 0, forks: 0, moves: 0 }
  for (const seed of seeds) await goesOn(seed, around, 20, met)
  expect(met.saves).toBeGreaterThan(10)
  expect(met.forks).toBeGreaterThan(10)
  expect(met.moves).toBeGreaterThan(3)
})
