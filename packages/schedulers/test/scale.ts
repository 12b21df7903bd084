import { expect } from 'vitest'
import { bursts, busy, ConstantBandwidth, CoScheduling, Credit, ProportionalShare, RoundRobin, Simulation, type Scheduler } from '../src/index.ts'

/** Each policy for many entities: how it is made, what the one with a number asks for, and what its decisions have cost so far. */
export const policies: Readonly<Record<string, (processors: number, entities: number) => readonly [Scheduler<number, object>, (entity: number) => object, () => number]>> = {
  'proportional share, in pools': (processors, entities) => {
    const policy = new ProportionalShare<number>({ processors })
    const each = processors / entities
    for (let pool = 0; pool < entities / 50; pool++) policy.addPool(`p${String(pool)}`, { shares: 1000 + pool % 7 })
    return [policy, (entity) => ({ pool: `p${String(Math.floor(entity / 50))}`, shares: 1 + entity % 4, reservation: entity % 3 === 0 ? 0.6 * each : 0, limit: entity % 5 === 0 ? 1.5 * each : Infinity }), () => policy.work.steps]
  },
  'credit': (processors, entities) => {
    const policy = new Credit<number>({ processors })
    return [policy, (entity) => ({ weight: 128 * (1 + entity % 4), cap: entity % 5 === 0 ? processors / entities : Infinity }), () => policy.work.steps]
  },
  'constant bandwidth': (processors, entities) => {
    const policy = new ConstantBandwidth<number>({ processors })
    return [policy, (entity) => entity % 4 === 0 ? {} : { budget: 1e6, period: (2e6 * entities) / processors, overrun: entity % 4 === 1 ? 'share' : 'wait' }, () => policy.work.steps]
  },
  'round robin': (processors) => {
    const policy = new RoundRobin<number>({ processors })
    return [policy, () => ({}), () => policy.work.steps]
  },
  'co-scheduling': (processors) => {
    const policy = new ProportionalShare<number>({ processors })
    const scheduler = new CoScheduling<number, object>(policy, { machineOf: (entity) => Math.floor(entity / 4) })
    return [scheduler, () => ({}), () => scheduler.work.steps + policy.work.steps]
  },
}

/** Runs a policy with so many entities, half of which always compute, for about so many decisions; says what one cost. */
function cost(policy: string, processors: number, entities: number, decisions: number): { readonly steps: number; readonly simulation: Simulation<number, object> } {
  const [scheduler, parameters, steps] = policies[policy]!(processors, entities)
  const simulation = new Simulation(scheduler, { seed: 11 })
  for (let entity = 0; entity < entities; entity++) simulation.add(entity, parameters(entity), entity % 2 === 0 ? busy(entity) : bursts(1e6, 20e6, entity))
  simulation.run(2e6)
  const before = { steps: steps(), picks: simulation.picks }
  while (simulation.picks - before.picks < decisions) simulation.run(simulation.now + (decisions * 1e6) / processors / 8)
  return { steps: (steps() - before.steps) / (simulation.picks - before.picks), simulation }
}

/** Expects: each time that there are eight times as many entities and processors, a decision takes the same number of steps more, not eight times as many. Gives back the greatest simulation. */
export function expectLogarithm(policy: string, decisions: number): Simulation<number, object> {
  const costs = [[8, 160], [64, 1280], [512, 10_240]].map(([processors, entities]) => cost(policy, processors!, entities!, decisions))
  const [few, some, many] = costs.map(({ steps }) => steps) as [number, number, number]
  expect(many - some, `${String(few)}, ${String(some)}, ${String(many)} steps`).toBeLessThanOrEqual(1.5 * (some - few) + 3)
  expect(many).toBeLessThan(2 * few + 10)
  if (process.env['MACHINIST_SHOW'] !== undefined) console.log(policy, few, some, many)
  return costs[2]!.simulation
}
