/** Saved states of busy machines that were tampered with. See damaged-states.long.test.ts for more. */
import { expect, it } from 'vitest'
import { tamperWithDevices, tamperWithMachine } from './damaged-states.ts'

it('of every device of the catalogue: refused by a typed error that names the device, or believed and survived', async () => {
  for (const seed of [1, 2]) {
    const { refused, believed } = await tamperWithDevices(seed, 250)
    expect(Math.min(refused, believed)).toBeGreaterThan(30)
  }
}, 300_000)

it('of all else in a machine: refused by a typed error, or believed and survived', async () => {
  const { refused, believed } = await tamperWithMachine(1, 100)
  expect(Math.min(refused, believed)).toBeGreaterThan(10)
}, 300_000)
