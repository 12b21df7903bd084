import { Random } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import { testLoop } from '../../test/harness.ts'
import { CpuController } from '../processor/cpu.ts'
import { Runner } from '../processor/runner.ts'
import { allocate } from './allocate.ts'
import { localTree } from './local.ts'
import { type Member, Tree } from './tree.ts'

const machine = (name: string, pool: string, cpu: object = {}): Member => ({ name, pool, resources: { cpu } })

test('a pool that is on one processor is there as it is; one that is on several is on each what its machines are entitled to', () => {
  const pools = [{ path: 'day', resources: { cpu: { shares: 3000, reservation: 0.6, limit: 1.5 } } }, { path: 'night', resources: { cpu: { shares: 500 } } }]
  const machines = [machine('a', 'day', { shares: 3000 }), machine('b', 'day', { shares: 1000, reservation: 0.1 }), machine('c', 'night'), machine('d', '')]
  const table = allocate({ cpu: 2 }, pools, machines, (name) => ({ demand: name === 'b' ? 0.25 : 0.75, used: 0 }), 0)
  const on = (...names: string[]) => (name: string): boolean => names.includes(name)
  const first = localTree(pools, machines, table, on('a', 'c'), () => true)
  expect(first.pools).toEqual([{ path: 'day', shares: 2250, reservation: 0.6 * 0.75, limit: 1.5 * 0.75 }, { path: 'night', shares: 500, reservation: 0, limit: Infinity }])
  expect(first.machines.map(({ name, pool, shares }) => [name, pool, shares])).toEqual([['a', 'day', 3000], ['c', 'night', 1000]])
  expect(localTree(pools, machines, table, on('b', 'd'), () => true).pools).toEqual([{ path: 'day', shares: 750, reservation: 0.6 * 0.25, limit: 1.5 * 0.25 }])
  // What does not run anywhere takes no part.
  expect(localTree(pools, machines, table, on('a', 'c'), on('a', 'c')).pools[0]).toMatchObject({ shares: 3000, reservation: 0.6 })
})

test('whatever is admitted for the host, and fits on a processor, its policy takes, from any tree to any other', () => {
  const random = new Random(Number(process.env['SEED'] ?? 7))
  const loop = testLoop()
  const runner = new Runner(loop, () => loop.now())
  const controller = new CpuController(runner, () => loop.now())
  let steps = 0
  let here = new Set<string>()
  for (let round = 0; round < 300; round++) {
    const tree = new Tree({ cpu: 2 })
    const terms = (): object => {
      const reservation = random.next() < 0.5 ? 0 : random.next() * 0.4
      return { shares: 1 + random.next() * 2000, reservation, ...(random.next() < 0.3 && { limit: reservation + random.next() + 0.01 }) }
    }
    const paths = ['', 'a', 'b', 'a/c', 'a/c/d', 'b/e'].filter((path) => {
      if (path === '') return true
      try {
        tree.addPool(path, { cpu: terms() })
        return true
      } catch {
        return false
      }
    })
    let free = 0.95
    const now = new Set<string>()
    for (let i = 0; i < 10; i++) {
      const member = machine(`m${String(i)}`, paths[Math.floor(random.next() * paths.length)] ?? '', terms())
      try {
        tree.put(member)
      } catch {
        continue
      }
      const { reservation } = member.resources.cpu as { reservation: number }
      if (reservation > free || random.next() < 0.3) continue
      free -= reservation
      now.add(member.name)
    }
    const table = allocate({ cpu: 2 }, tree.pools, tree.machines, () => ({ demand: random.next(), used: 0 }), 0)
    // Those that leave are gone before the processor hears of it, those that come come after.
    for (const name of here) {
      if (now.has(name)) continue
      controller.remove(name)
      runner.remove(name)
    }
    controller.apply(localTree(tree.pools, tree.machines, table, (name) => now.has(name), () => true))
    for (const name of now) {
      if (here.has(name)) continue
      runner.add(name, () => ({ kind: 'stopped' }), controller.parameters(name))
      controller.add(name)
    }
    here = now
    const kept = runner.policy.allocations().filter(({ entity }) => entity !== null)
    expect(kept.map(({ entity, pool }) => [entity, pool]).sort()).toEqual(tree.machines.filter(({ name }) => now.has(name)).map(({ name, pool }) => [name, pool === '' ? 'root' : `/${pool}`]).sort())
    for (const { entity, shares, reservation, limit } of kept) {
      const { cpu } = tree.machines.find(({ name }) => name === entity)!.resources
      expect([shares, Math.round((limit ?? 0) * 1e5)]).toEqual([cpu?.shares, Math.round((cpu?.limit ?? Infinity) * 1e5)])
      expect(reservation).toBeCloseTo(cpu?.reservation ?? 0, 5)
    }
    steps += kept.length
  }
  expect(steps).toBeGreaterThan(500)
})
