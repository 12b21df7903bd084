import { Random } from '@machinist/schedulers'
import { expect, test } from 'vitest'
import type { PoolSpec } from '../contract/machines.ts'
import { type Capacity, RESOURCE_KINDS, type ResourceKind, type Resources, type Usage } from '../contract/resources.ts'
import { allocate } from './allocate.ts'
import { type Member, parentOf, Tree } from './tree.ts'

const SEED = 20_261

/** Terms out of a few, so that equal ones, none and tight ones happen. */
function someTerms(random: Random): Resources {
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random.next() * values.length)] ?? values[0]!
  return Object.fromEntries(RESOURCE_KINDS.filter(() => random.next() < 0.6).map((kind) => {
    const reservation = pick(0, 0, 0.1, 0.3, random.next() / 2)
    return [kind, { shares: pick(1, 1000, 2000, 1 + random.next() * 5000), reservation, limit: pick(Infinity, Infinity, 0.5, Math.max(reservation, random.next() * 2) + 1e-3) }]
  }))
}

function someTree(random: Random, capacity: Capacity): Tree {
  const tree = new Tree(capacity)
  const paths = ['']
  const attempt = (work: () => void): boolean => {
    try {
      work()
      return true
    } catch {
      return false
    }
  }
  for (let i = 0; i < 6; i++) {
    const parent = paths[Math.floor(random.next() * paths.length)] ?? ''
    const path = parent === '' ? `p${String(i)}` : `${parent}/p${String(i)}`
    if (attempt(() => { tree.addPool(path, someTerms(random)) })) paths.push(path)
  }
  for (let i = 0; i < 12; i++) attempt(() => { tree.put({ name: `m${String(i)}`, pool: paths[Math.floor(random.next() * paths.length)] ?? '', resources: someTerms(random) }) })
  return tree
}

test('the table adds up for any tree and any demands, keeps reservations and limits, and gives away all that is wanted', () => {
  const random = new Random(Number(process.env['SEED'] ?? SEED))
  for (let round = 0; round < 60; round++) {
    const capacity: Capacity = { cpu: 1 + random.next() * 3, memory: 2, ...(round % 3 === 0 ? {} : { disk: 1.5 }), network: 0.5 }
    const tree = someTree(random, capacity)
    const usages = new Map(tree.machines.flatMap(({ name }) => RESOURCE_KINDS.map((kind): [string, Usage] => {
      const demand = random.next() < 0.2 ? 0 : random.next() * 1.2
      return [`${name} ${kind}`, { demand, used: demand * random.next() }]
    })))
    const { rows } = allocate(capacity, tree.pools, tree.machines, (name, kind) => usages.get(`${name} ${kind}`), 0)
    expect(rows.map(({ kind }) => kind).join(' ')).toMatch(/^host( pool)*( machine)*$/)
    for (const kind of RESOURCE_KINDS) {
      const cell = (name: string, what: string): NonNullable<(typeof rows)[number]['resources'][ResourceKind]> => rows.find((row) => row.name === name && row.kind === what)!.resources[kind]!
      for (const { kind: what, name, pool, resources } of rows) {
        const { demand, used, entitled, reservation, limit, lacking } = resources[kind]!
        const about = `round ${String(round)}: ${kind} of ${what} '${name}'`
        if (what !== 'host') expect(rows.findIndex((row) => row.name === pool && row.kind !== 'machine'), about).toBeLessThan(rows.findIndex((row) => row.name === name && row.kind === what))
        expect(entitled, about).toBeLessThanOrEqual(Math.min(demand, limit) + 1e-9)
        expect(lacking, about).toBeGreaterThanOrEqual(0)
        if (what === 'machine') {
          expect(entitled, about).toBeGreaterThanOrEqual(Math.min(demand, reservation) - 1e-9)
          expect({ demand, used }, about).toEqual(usages.get(`${name} ${kind}`))
          expect(lacking, about).toBeLessThanOrEqual(Math.max(0, demand - used))
          continue
        }
        const children = rows.filter((row) => row !== rows[0] && row.pool === name)
        const sum = (of: (cell: NonNullable<(typeof rows)[number]['resources'][ResourceKind]>) => number): number => children.reduce((all, row) => all + of(row.resources[kind]!), 0)
        expect(sum((each) => each.used), about).toBeCloseTo(used, 9)
        expect(sum((each) => each.demand), about).toBeCloseTo(demand, 9)
        expect(sum((each) => each.lacking), about).toBeCloseTo(lacking, 9)
        // All that a pool is entitled to, one of its children is.
        expect(sum((each) => each.entitled), about).toBeCloseTo(entitled, 9)
      }
      const wanted = (path: string, limit: number): number => Math.min(limit, [
        ...tree.pools.filter((each) => parentOf(each.path) === path).map((each) => wanted(each.path, cell(each.path, 'pool').limit)),
        ...tree.machines.filter(({ pool }) => pool === path).map(({ name }) => Math.min(cell(name, 'machine').demand, cell(name, 'machine').limit)),
      ].reduce((sum, each) => sum + each, 0))
      expect(cell('', 'host').entitled).toBeCloseTo(wanted('', capacity[kind] ?? Infinity), 9)
    }
  }
})

test('shares, reservations and limits of pools in pools come to what they say', () => {
  const pools: PoolSpec[] = [{ path: 'day', resources: { cpu: { shares: 3000 } } }, { path: 'night', resources: { cpu: { shares: 1000 } } }, { path: 'night/batch', resources: { cpu: { limit: 0.1 } } }]
  const machine = (name: string, pool: string, cpu: object = {}): Member => ({ name, pool, resources: { cpu } })
  const machines = [machine('a', 'day', { shares: 2000 }), machine('b', 'day'), machine('c', 'night'), machine('d', 'night/batch'), machine('e', '', { reservation: 0.5, shares: 1 })]
  const entitled = (demand: Readonly<Record<string, number>>): Record<string, number> => Object.fromEntries(
    allocate({ cpu: 1 }, pools, machines, (name) => ({ demand: demand[name] ?? 1, used: 0 }), 0).rows.map(({ name, resources }) => [name, Math.round((resources.cpu?.entitled ?? NaN) * 1000) / 1000]))
  expect(entitled({})).toEqual({ '': 1, 'day': 0.375, 'night': 0.125, 'night/batch': 0.063, 'a': 0.25, 'b': 0.125, 'c': 0.063, 'd': 0.063, 'e': 0.5 })
  expect(entitled({ e: 0 })).toEqual({ '': 1, 'day': 0.75, 'night': 0.25, 'night/batch': 0.1, 'a': 0.5, 'b': 0.25, 'c': 0.15, 'd': 0.1, 'e': 0 })
  expect(entitled({ a: 0.05, b: 0.05 })).toEqual({ '': 1, 'day': 0.1, 'night': 0.4, 'night/batch': 0.1, 'a': 0.05, 'b': 0.05, 'c': 0.3, 'd': 0.1, 'e': 0.5 })
})

test('when there is less than was promised, everybody gets its part of it', () => {
  const machines = ['a', 'b'].map((name, index): Member => ({ name, pool: '', resources: { memory: { reservation: 100 * (index + 1) } } }))
  const { rows } = allocate({ memory: 150 }, [], machines, () => ({ demand: 1000, used: 0 }), 0)
  expect(rows.map(({ resources }) => resources.memory?.entitled)).toEqual([150, 50, 100])
})
