/** The same as going-on.test.ts, thousands of times; BUSY_SEED is the first of other seeds, BUSY_SEEDS their number. */
import { expect, it } from 'vitest'
import { goesOn, type Met } from './going-on.ts'

const first = Number(process.env['BUSY_SEED'] ?? 10_000)
const count = Number(process.env['BUSY_SEEDS'] ?? 40)

it.each([['prompt', 1], ['late', 0.5], ['sockets', 0.5]] as const)('go on as if nothing had happened, in %s surroundings', async (around, share) => {
  const met: Met = { saves: 0, forks: 0, moves: 0 }
  for (let seed = first; seed < first + count * share; seed++) await goesOn(seed, around, 25, met)
  expect(met.saves + met.forks + met.moves).toBe(25 * Math.ceil(count * share))
})
