import { Random } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import { testGuests } from '@machinist/machine/testing'
import { fleet, spec } from '../../test/harness.ts'
import { betterPlace, type Load } from './balance.ts'

const MS = 1_000_000

test('moving as it says ends, with processors that no single move would make more even', () => {
  const random = new Random(Number(process.env['SEED'] ?? 3))
  for (let round = 0; round < 200; round++) {
    const count = 1 + Math.floor(random.next() * 6)
    const loads = Array.from({ length: Math.floor(random.next() * 20) }, (_, index): Load & { processor: number } => ({ name: String(index), processor: Math.floor(random.next() * count), entitled: random.next(), fits: () => true }))
    const most = (): number => Math.max(...Array.from({ length: count }, (_, index) => loads.filter(({ processor }) => processor === index).reduce((sum, { entitled }) => sum + entitled, 0)))
    let moves = 0
    for (let better = betterPlace(loads, count); better !== null; better = betterPlace(loads, count)) {
      const before = most()
      loads[Number(better.name)]!.processor = better.to
      expect(most()).toBeLessThanOrEqual(before + 1e-9)
      expect(++moves).toBeLessThan(50)
    }
    const least = Math.min(...Array.from({ length: count }, (_, index) => loads.filter(({ processor }) => processor === index).reduce((sum, { entitled }) => sum + entitled, 0)))
    const highest = loads.filter(({ processor }) => count > 1 && loads.filter((each) => each.processor === processor).reduce((sum, { entitled }) => sum + entitled, 0) === most())
    for (const { entitled } of highest) expect(Math.max(most() - entitled, least + entitled)).toBeGreaterThan(most() - 0.1 - 1e-9)
  }
})

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
