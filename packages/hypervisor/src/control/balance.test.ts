import { expect, test } from 'vitest'
import { constant, op, testGuests } from '@machinist/machine/testing'
import { fleet, spec } from '../../test/harness.ts'
import { memoryController } from '../index.ts'

const MS = 1_000_000
const PAGE = 4096

test('machines go to where they can have what they are entitled to, and stay there; those of a host that does not balance stay anyway', async () => {
  for (const balance of [true, false]) {
    const { hypervisor, wait, run, events } = fleet({ processors: 2, balance })
    for (const [name, shares] of [['one', 1000], ['two', 2000], ['four', 4000]] as const) {
      await wait(hypervisor.add(spec(name, testGuests.busy, { resources: { cpu: { shares } } })))
      await hypervisor.move(name, 0)
      await wait(hypervisor.start(name))
    }
    await wait(hypervisor.add(spec('sleeps', testGuests.sleeping)))
    await wait(hypervisor.start('sleeps'))
    await run(8000 * MS)
    const where = Object.fromEntries((await hypervisor.machines()).map(({ name, processor }) => [name, processor]))
    if (!balance) expect([where['one'], where['two'], where['four']]).toEqual([0, 0, 0])
    else {
      // Of two processors, four is entitled to one, and the others share the other.
      expect(where['one']).toBe(where['two'])
      expect(where['four']).toBe(1 - (where['one'] ?? NaN))
    }
    const moves = events.filter(({ kind, text }) => kind === 'moved' && text.includes('less to do')).length
    expect(moves).toBeLessThanOrEqual(balance ? 2 : 0)
    hypervisor.close()
  }
})

test('machines with all kinds of terms, wherever they begin, end where each processor has as much to give as is due on it', async () => {
  const { hypervisor, wait, run } = fleet({ processors: 2 })
  const due = { one: 0.1, two: 0.2, four: 0.4, reserved: 0.2, limited: 0.1 }
  const terms = { one: { shares: 1000 }, two: { shares: 2000 }, four: { shares: 4000 }, reserved: { shares: 100, reservation: 0.2 }, limited: { shares: 8000, limit: 0.1 } }
  const names = Object.keys(due) as (keyof typeof due)[]
  for (const name of names) {
    for (const [index, processor] of (name === 'reserved' || name === 'limited' ? [0, 1] : [name === 'four' ? 0 : 1, name === 'four' ? 0 : 1]).entries()) {
      await wait(hypervisor.add(spec(`${name}-${String(index)}`, testGuests.busy, { resources: { cpu: terms[name] } })))
      await hypervisor.move(`${name}-${String(index)}`, processor)
      await wait(hypervisor.start(`${name}-${String(index)}`))
    }
  }
  await run(8000 * MS)
  const machines = await hypervisor.machines()
  for (const processor of [0, 1]) expect(machines.filter((machine) => machine.processor === processor).reduce((sum, { name }) => sum + due[name.split('-')[0] as keyof typeof due], 0)).toBeCloseTo(1, 6)
  hypervisor.close()
})

test('machines go from a processor that is short of memory to one that is not, within what each has by itself, and no further', async () => {
  // Each writes to a hundred pages, and then waits.
  const words = (salt: number): number[] => [
    ...constant(1, 0x8001_0000), ...constant(2, 100), ...constant(3, PAGE), op.li(4, 1), ...constant(5, salt),
    op.store(5, 1), op.add(5, 2), op.add(1, 3), op.sub(2, 4), op.branch(2, -4), op.wait(),
  ]
  for (const group of [undefined, 'all']) {
    const { hypervisor, wait, run, events } = fleet({ processors: 3 }, () => ({ controllers: [memoryController({ budget: 250 * PAGE })] }))
    for (let index = 0; index < 6; index++) {
      const name = `m${String(index)}`
      await wait(hypervisor.add(spec(name, words(index * 1_000_000), { ...(group !== undefined && { group }) })))
      await wait(hypervisor.move(name, index < 5 ? 0 : 1))
      await wait(hypervisor.start(name))
    }
    await run(30_000 * MS)
    const machines = await hypervisor.machines()
    // Three of a hundred pages are more than there is for them; two are not.
    expect([0, 1, 2].map((processor) => machines.filter((machine) => machine.processor === processor).length)).toEqual([2, 2, 2])
    expect(machines.every(({ state, memory: { own, compressed } }) => state === 'running' && own + compressed >= 100)).toBe(true)
    const moves = events.filter(({ kind, text }) => kind === 'moved' && text.endsWith('which has more memory'))
    expect(moves.length).toBe(3)
    hypervisor.close()
  }
})
