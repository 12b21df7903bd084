import { expect, test } from 'vitest'
import { testGuests } from '@machinist/machine/testing'
import { fleet, spec } from '../../test/harness.ts'

const MS = 1_000_000
const SECOND = 1000 * MS

/** CPU time that each got in some time, as a part of it. */
async function parts(trial: ReturnType<typeof fleet>, time: number): Promise<Record<string, number>> {
  const used = async (): Promise<Record<string, number>> => Object.fromEntries((await trial.hypervisor.machines()).map(({ name, cpu }) => [name, cpu.used]))
  /** The time of the next report. */
  const report = async (): Promise<number> => {
    const before = JSON.stringify(await used())
    await trial.until(async () => JSON.stringify(await used()) !== before)
    return trial.loop.time
  }
  await trial.run(SECOND)
  const began = await report()
  const before = await used()
  await trial.run(time)
  const took = await report() - began
  const after = await used()
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, (value - (before[name] ?? 0)) / took]))
}

test('machines get what they were promised by shares, reservations, limits and pools, and what is changed while they run holds from then on', async () => {
  const trial = fleet()
  const { hypervisor, wait } = trial
  await hypervisor.addPool({ path: 'batch', resources: { cpu: { shares: 1000 } } })
  await wait(hypervisor.add(spec('one', testGuests.busy, { resources: { cpu: { shares: 1000 } } })))
  await wait(hypervisor.add(spec('two', testGuests.busy, { resources: { cpu: { shares: 2000 } } })))
  await wait(hypervisor.add(spec('four', testGuests.busy, { pool: 'batch', resources: { cpu: { shares: 3000 } } })))
  await wait(hypervisor.add(spec('five', testGuests.busy, { pool: 'batch', resources: { cpu: { shares: 1000 } } })))
  const names = ['one', 'two', 'four', 'five']
  // The first turns of each are longer than these harts are fast, which would be paid back.
  for (const name of names) {
    await wait(hypervisor.start(name))
    await trial.run(SECOND / 2)
    await wait(hypervisor.pause(name))
  }
  for (const name of names) await wait(hypervisor.resume(name))
  const close = (got: Record<string, number>, wanted: Record<string, number>): void => {
    for (const [name, part] of Object.entries(wanted)) expect(Math.abs((got[name] ?? 0) - part), `${name}: ${JSON.stringify(got)}`).toBeLessThan(0.01)
  }
  close(await parts(trial, 2 * SECOND), { one: 0.25, two: 0.5, four: 0.1875, five: 0.0625 })
  await wait(hypervisor.set('one', { resources: { cpu: { reservation: 0.5 } } }))
  await wait(hypervisor.set('two', { resources: { cpu: { limit: 0.2 } } }))
  close(await parts(trial, 2 * SECOND), { one: 0.5, two: 0.2, four: 0.225, five: 0.075 })
  await hypervisor.setPool('batch', { cpu: { limit: 0.1 } })
  await wait(hypervisor.set('five', { pool: '' }))
  // Five has 1000 shares, as one has.
  close(await parts(trial, 2 * SECOND), { one: 0.5, two: 0.2, four: 0.1, five: 0.2 })
  const cells = Object.fromEntries((await hypervisor.table()).rows.map(({ name, resources }) => [name, resources.cpu]))
  expect(cells['two']).toMatchObject({ limit: 0.2, reservation: 0, shares: 2000 })
  for (const [name, entitled] of Object.entries({ one: 0.5, two: 0.2, four: 0.1, five: 0.2, batch: 0.1 })) {
    expect(cells[name]?.entitled, name).toBeCloseTo(entitled, 1)
    expect(Math.abs((cells[name]?.used ?? 0) - entitled), name).toBeLessThan(0.02)
  }
  expect(cells['one']?.demand).toBeGreaterThan(0.99)
  expect(cells['one']?.lacking).toBeGreaterThan(0.4)
  hypervisor.close()
})

test('who is idle has a demand of what it takes, and what it does not use goes to others; time held back by a limit is told apart', async () => {
  const trial = fleet()
  const { hypervisor, wait } = trial
  await wait(hypervisor.add(spec('halves', testGuests.halves, { resources: { cpu: { shares: 100_000 } } })))
  await wait(hypervisor.add(spec('sleeping', testGuests.sleeping)))
  await wait(hypervisor.add(spec('busy', testGuests.busy)))
  for (const name of ['halves', 'sleeping', 'busy']) await wait(hypervisor.start(name))
  const got = await parts(trial, 2 * SECOND)
  expect(Math.abs((got['halves'] ?? 0) - 0.2), JSON.stringify(got)).toBeLessThan(0.04)
  expect((got['halves'] ?? 0) + (got['busy'] ?? 0)).toBeGreaterThan(0.98)
  expect(got['sleeping']).toBe(0)
  const demand = async (name: string): Promise<number | undefined> => (await hypervisor.table()).rows.find((row) => row.name === name)?.resources.cpu?.demand
  expect(await demand('sleeping')).toBe(0)
  expect(await demand('halves')).toBeLessThan(0.45)
  await wait(hypervisor.stop('halves'))
  await wait(hypervisor.set('busy', { resources: { cpu: { limit: 0.3 } } }))
  const before = (await hypervisor.machines()).find(({ name }) => name === 'busy')?.cpu
  expect((await parts(trial, 2 * SECOND))['busy']).toBeCloseTo(0.3, 1)
  const after = (await hypervisor.machines()).find(({ name }) => name === 'busy')?.cpu
  expect((after?.held ?? 0) - (before?.held ?? 0)).toBeGreaterThan(1.3 * SECOND)
  expect((after?.ready ?? 0) - (before?.ready ?? 0)).toBeLessThan(0.2 * SECOND)
  hypervisor.close()
})
