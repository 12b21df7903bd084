import { describe, expect, it } from 'vitest'
import { bursts, busy, CoScheduling, Credit, ProportionalShare, Random, RoundRobin, Simulation, type Scheduler } from './index.ts'

const SKEW = 3e6
const machineOf = (entity: number): number | undefined => entity < 0 ? undefined : Math.floor(entity / 100)

const policies: Record<string, [() => Scheduler<number, object>, (random: Random) => object, longest: number]> = {
  'proportional share': [() => new ProportionalShare({ processors: 4 }), (random) => ({ shares: random.between(1, 1000) }), 1e6],
  'credit': [() => new Credit({ processors: 4 }), (random) => ({ weight: random.between(20, 1000) }), 10e6],
  'round robin': [() => new RoundRobin({ processors: 4 }), (random) => ({ slice: random.between(1, 4) * 1e6 }), 4e6],
}

describe.each(Object.entries(policies))('relaxed co-scheduling over %s', (_name, [make, parameters, longest]) => {
  it.each([1, 2])('no hart is further ahead than the skew and a run of the slowest that wants to run (seed %i)', (seed) => {
    const random = new Random(seed)
    const scheduler = new CoScheduling(make(), { machineOf, skew: SKEW })
    let [worst, looks] = [0, 0]
    const simulation = new Simulation(scheduler, { seed, onRun({ entity }) {
      if ((entity as number) < 0) return
      worst = Math.max(worst, scheduler.skewOf(entity as number))
      looks += 1
    } })
    // Machines of 2 to 8 harts, some busy, some not; and others beside them.
    for (let machine = 0; machine < 4; machine++) {
      for (let hart = 0; hart < 2 + machine * 2; hart++) simulation.add(machine * 100 + hart, parameters(random), machine % 2 === 0 || hart % 3 > 0 ? busy() : bursts(2e6, 4e6))
    }
    for (let other = 1; other < 4; other++) simulation.add(-other, parameters(random), busy())
    simulation.run(10e9)
    expect(looks).toBeGreaterThan(2000)
    expect(worst).toBeLessThanOrEqual(SKEW + longest)
    expect(worst).toBeGreaterThan(SKEW)
    // All went on to the end.
    const before = [...simulation.reports()].map(([entity, { ran }]) => [entity, ran] as const)
    simulation.run(12e9)
    for (const [entity, ran] of before) expect(simulation.report(entity).ran, String(entity)).toBeGreaterThan(ran)
    let stopped = 0
    for (const [entity] of before) if (entity >= 0) stopped += scheduler.coStopped(entity, simulation.now)
    expect(stopped).toBeGreaterThan(0)
  })
})

it('harts of other machines, and those without one, are left alone', () => {
  const scheduler = new CoScheduling(new ProportionalShare<number>({ processors: 1 }), { machineOf })
  const simulation = new Simulation(scheduler)
  simulation.add(100, { shares: 1 }, busy())
  simulation.add(200, { shares: 9 }, busy())
  simulation.add(-1, { shares: 10 }, busy())
  simulation.run(1e9)
  expect([100, 200, -1].map((entity) => Math.round(simulation.report(entity).ran / 50e6))).toEqual([1, 9, 10])
  expect(scheduler.coStopped(200, simulation.now)).toBe(0)
})

it('a hart that sleeps holds nobody up, and comes back where the others are', () => {
  const scheduler = new CoScheduling(new ProportionalShare<number>({ processors: 2 }), { machineOf })
  const simulation = new Simulation(scheduler)
  simulation.add(0, {}, busy())
  simulation.add(1, {}, busy(1e9))
  simulation.run(1e9)
  expect(simulation.report(0).ran).toBe(1e9)
  simulation.run(2e9)
  expect(simulation.report(1).ran).toBeGreaterThan(0.99e9)
  expect(simulation.report(0).ran).toBeGreaterThan(1.99e9)
})

it('those that were stopped go on when the slowest sleeps or goes', () => {
  const scheduler = new CoScheduling(new ProportionalShare<number>({ processors: 1 }), { machineOf, skew: 1e6 })
  scheduler.add(0, { shares: 1e6 })
  scheduler.add(1, { shares: 1 })
  for (const hart of [0, 1]) scheduler.wake(hart, 0)
  let now = 0
  const run = (): number => {
    const choice = scheduler.pick(0, now)
    if (!('entity' in choice)) return -1
    now += choice.slice
    scheduler.charge(choice.entity, choice.slice, now)
    return choice.entity
  }
  const untilStopped = (): void => {
    for (let turn = 0; turn < 100; turn++) if (scheduler.coStopped(0, now) === scheduler.coStopped(0, now + 1)) run()
    expect(scheduler.coStopped(0, now + 1)).toBeGreaterThan(scheduler.coStopped(0, now))
  }
  const order = Array.from({ length: 8 }, run)
  expect(new Set(order)).toEqual(new Set([0, 1]))
  untilStopped()
  scheduler.block(1, now)
  expect(Array.from({ length: 5 }, run)).toEqual([0, 0, 0, 0, 0])
  scheduler.wake(1, now)
  untilStopped()
  scheduler.remove(1)
  expect(Array.from({ length: 5 }, run)).toEqual([0, 0, 0, 0, 0])
})
