import { expect, it } from 'vitest'
import { busy, RoundRobin, Simulation, type Run } from './index.ts'

it('gives each a turn before anybody has another', () => {
  const runs: Run<unknown>[] = []
  const simulation = new Simulation<number, object>(new RoundRobin({ processors: 2, slice: 1e6 }), { onRun: (run) => runs.push(run) })
  for (let who = 0; who < 7; who++) simulation.add(who, {}, busy())
  simulation.run(350e6 - 1)
  const turns = Array<number>(7).fill(0)
  for (const { entity } of runs) {
    turns[entity as number]! += 1
    expect(Math.max(...turns) - Math.min(...turns)).toBeLessThanOrEqual(1)
  }
  expect(turns).toEqual(Array(7).fill(100))
})

it('lets a turn be of another length', () => {
  const policy = new RoundRobin<string>({ processors: 1 })
  const simulation = new Simulation(policy)
  simulation.add('short', {}, busy())
  simulation.add('long', { slice: 3e6 }, busy())
  simulation.run(400e6)
  expect(simulation.report('long').ran).toBe(300e6)
  policy.set('short', { slice: 3e6 })
  simulation.run(1000e6)
  expect(simulation.report('short').ran).toBe(400e6)
})
