import { describe, expect, it } from 'vitest'
import { bursts, busy, Credit, Random, Simulation, type CreditParameters } from './index.ts'
import { PairLag, RateWatch, watched } from '../test/measures.ts'

type Name = string

describe('the credit scheduler', () => {
  it('gives CPU time by weights, even where they are far apart', () => {
    const simulation = new Simulation<Name, CreditParameters>(new Credit({ processors: 1 }))
    const weights = { a: 2, b: 100, c: 200, d: 400 }
    for (const [name, weight] of Object.entries(weights)) simulation.add(name, { weight }, busy())
    simulation.run(20e9)
    for (const [name, weight] of Object.entries(weights)) expect(Math.abs(simulation.report(name).ran / 20e9 - weight / 702)).toBeLessThan(0.002)
    expect(simulation.wasted).toBe(0)
  })

  it.each([1, 2, 3])('two that never sleep are never further apart than an allotment and a longest run (seed %i)', (seed) => {
    const random = new Random(seed)
    const weights = [512, 512, ...Array.from({ length: 4 }, () => random.between(64, 512))]
    const pairs = weights.flatMap((one, index) => weights.slice(0, index).map((other, before) => ({ pair: new PairLag(one, other), members: [index, before] })))
    const simulation = new Simulation<number, CreditParameters>(new Credit({ processors: 1 }), {
      seed, onRun({ entity, ran }) {
        for (const { pair, members } of pairs) if (members.includes(entity as number)) pair.ran(members[0] === entity ? 0 : 1, ran)
      },
    })
    for (const [who, weight] of weights.entries()) simulation.add(who, { weight }, watched(busy(), { woke() { for (const { pair, members } of pairs) if (members.includes(who)) pair.woke(members[0] === who ? 0 : 1) } }))
    for (let who = 10; who < 14; who++) simulation.add(who, { weight: 512 }, bursts(1e6, 9e6))
    simulation.run(10e9)
    // Credit counts in nanoseconds of the heaviest; it is between the debt of a longest run and an allotment.
    for (const { pair } of pairs) expect(pair.worst * 512).toBeLessThanOrEqual(2 * (10e6 + 0.5e6 * 512 / 64 + 0.5e6))
    expect(Math.max(...pairs.map(({ pair }) => pair.worst * 512))).toBeGreaterThan(1e6)
    expect(simulation.wasted).toBe(0)
  })

  it('lets those that mostly sleep interrupt those that compute', () => {
    const simulation = new Simulation<Name, CreditParameters>(new Credit({ processors: 1 }))
    for (let index = 0; index < 7; index++) simulation.add(`hog${String(index)}`, {}, busy())
    simulation.add('keys', {}, bursts(0.2e6, 50e6))
    simulation.run(20e9)
    expect(simulation.report('keys').latency.count).toBeGreaterThan(300)
    expect(simulation.report('keys').latency.quantile(0.9)).toBeLessThan(1e6)
    expect(simulation.report('keys').latency.max).toBeLessThan(30e6)
    expect(simulation.preemptions).toBeGreaterThan(200)
  })

  it('keeps next to nothing for those that sleep long', () => {
    const simulation = new Simulation<Name, CreditParameters>(new Credit({ processors: 1 }))
    for (const name of ['a', 'b', 'c']) simulation.add(name, {}, busy())
    simulation.add('late', {}, busy(5e9))
    simulation.run(5.2e9)
    expect(simulation.report('late').ran).toBeGreaterThan(45e6)
    expect(simulation.report('late').ran).toBeLessThan(50e6 + 12e6)
  })

  it('starves nobody, whoever comes and goes', () => {
    const simulation = new Simulation<number, CreditParameters>(new Credit({ processors: 4 }), { seed: 9 })
    for (let who = 0; who < 40; who++) simulation.add(who, { weight: 1000 }, bursts(2e6, 10e6))
    simulation.add(99, { weight: 10 }, busy())
    let before = 0
    for (let second = 1; second <= 10; second++) {
      simulation.run(second * 2e9)
      expect(simulation.report(99).ran).toBeGreaterThan(before)
      before = simulation.report(99).ran
    }
  })

  it.each([1, 1 / 2])('holds caps in any piece of time (the host gives %f of a processor)', (supply) => {
    const watch = new RateWatch(0.25 * supply)
    const simulation = new Simulation<Name, CreditParameters>(new Credit({ processors: 2 }), { supply: () => supply, onRun(run) { if (run.entity === 'capped') watch.ran(run) } })
    simulation.add('capped', { weight: 1000, cap: 0.25 }, busy())
    for (let index = 0; index < 3; index++) simulation.add(`other${String(index)}`, {}, busy())
    simulation.run(10e9)
    expect(simulation.report('capped').ran / 10e9 / supply).toBeGreaterThan(0.24)
    expect(watch.over).toBeLessThan(2 * 0.25 * 10e6 + 0.5e6)
  })

  it('weighs anew while they run', () => {
    const policy = new Credit<Name>({ processors: 1 })
    const simulation = new Simulation<Name, CreditParameters>(policy)
    for (const name of ['a', 'b', 'c']) simulation.add(name, {}, busy())
    simulation.at(3e9, () => { policy.set('a', { weight: 1024 }) })
    simulation.at(6e9, () => { simulation.remove('a') })
    simulation.run(6e9 - 1)
    expect(simulation.report('a').ran / 1e9).toBeCloseTo(1 + 2, 1)
    simulation.run(8e9)
    expect(simulation.report('b').ran / 1e9).toBeCloseTo(1 + 0.5 + 1, 1)
  })
})
