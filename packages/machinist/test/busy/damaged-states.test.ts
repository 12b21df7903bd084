/** Saved states of busy machines that were tampered with. See damaged-states.long.test.ts for more. */
import { expect, it } from 'vitest'
import { tamperWithDevices, tamperWithMachine } from './damaged-states.ts'

it('of every device of the catalogue: refused by a typed error that names the device, or believed and survived', async () => {
  const { refused, believed } = await tamperWithDevices(1, 150)
  expect(Math.min(refused, believed)).toBeGreaterThan(20)
})

it('of all else in a machine: refused by a typed error, or believed and survived', async () => {
  const { refused, believed } = await tamperWithMachine(1, 150)
  expect(Math.min(refused, believed)).toBeGreaterThan(5)
})
