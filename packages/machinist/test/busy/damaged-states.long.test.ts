/** The same as damaged-states.test.ts, for longer; DAMAGE_SEED is the first of other seeds, DAMAGE_SEEDS their number. */
import { expect, it } from 'vitest'
import { tamperWithDevices, tamperWithMachine } from './damaged-states.ts'

const first = Number(process.env['DAMAGE_SEED'] ?? 10_000)
const count = Number(process.env['DAMAGE_SEEDS'] ?? 2)

it.each(Array.from({ length: count }, (_, n) => first + n))('tampered states, seed %d', async (seed) => {
  const devices = await tamperWithDevices(seed, 1500)
  expect(Math.min(devices.refused, devices.believed)).toBeGreaterThan(100)
  const rest = await tamperWithMachine(seed, 150)
  expect(Math.min(rest.refused, rest.believed)).toBeGreaterThan(10)
})
