import { testGuests } from '@machinist/machine/testing'
import { expect, it } from 'vitest'
import { fleet, spec } from '../../test/harness.ts'
import type { ResourceController } from '../index.ts'

it('says of a controller that does not take a grant, and goes on', async () => {
  let grants = 0
  const broken: ResourceController = {
    kind: 'disk',
    add() {},
    remove() {},
    usage: () => ({ demand: 1, used: 1 }),
    grant() {
      grants++
      throw new Error('not like this')
    },
  }
  const { hypervisor, events, wait, until, run } = fleet({}, { controllers: [broken] })
  await wait(hypervisor.add(spec('one', testGuests.busy)))
  await wait(hypervisor.start('one'))
  await until(() => grants > 0)
  await run(1e9)
  expect(events.filter(({ kind }) => kind === 'warning')).toContainEqual(expect.objectContaining({ name: 'one', text: 'a grant of disk was not taken: not like this' }))
  expect((await wait(hypervisor.machines())).map(({ state }) => state)).toEqual(['running'])
})
