import { expect, it } from 'vitest'
import { crash } from './crash.ts'

it('a qcow2 image survives a loss of power at any moment', async () => {
  for (let seed = 1; seed <= 12; seed++) await crash(seed)
  expect.hasAssertions()
})
