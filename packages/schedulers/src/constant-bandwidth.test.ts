import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { bursts, busy, ConstantBandwidth, periodic, Random, Simulation, type ConstantBandwidthParameters } from './index.ts'
import { RateWatch, watched } from '../test/measures.ts'

type Name = string
const codeOf = (act: () => void): string => {
  try {
    act()
  } catch (error) {
    return isMachinistError(error) ? error.code : String(error)
  }
  return ''
}

describe('constant-bandwidth servers', () => {
  it('give no more than the bandwidth to those that overrun, and the rest to those without a server', () => {
    const simulation = new Simulation<Name, ConstantBandwidthParameters>(new ConstantBandwidth({ processors: 1 }))
    simulation.add('a', { budget: 4e6, period: 20e6 }, busy())
    simulation.add('b', { budget: 1e6, period: 10e6 }, busy())
    simulation.add('rest', {}, busy())
    simulation.add('too', {}, busy())
    simulation.run(10e9)
    for (const [name, part] of [['a', 0.2], ['b', 0.1], ['rest', 0.35], ['too', 0.35]] as const) expect(Math.abs(simulation.report(name).ran / 10e9 - part)).toBeLessThan(0.001)
  })

  it.each([[1, 1], [1, 2], [1, 3], [2, 4], [4, 5], [8, 6]])('miss no deadline on %i processors, whatever others do (seed %i)', (processors, seed) => {
    const random = new Random(seed)
    const policy = new ConstantBandwidth<number>({ processors })
    const watches = new Map<number, RateWatch>()
    const simulation = new Simulation(policy, { seed, onRun(run) { watches.get(run.entity as number)?.ran(run) } })
    const honest: { who: number; period: number; budget: number }[] = []
    let refused = 0
    for (let who = 0; who < 20 * processors; who++) {
      const period = random.between(4, 50) * 1e6
      const budget = Math.max(0.5e6, Math.round(period * random.next() * 0.25 / 1e5) * 1e5)
      const overruns = who % 3 === 0
      const load = overruns ? busy(random.between(0, 50) * 1e6) : periodic(budget, period, random.between(0, 50) * 1e6)
      const watch = new RateWatch(budget / period)
      const code = codeOf(() => { simulation.add(who, { budget, period, overrun: overruns && who % 2 === 0 ? 'share' : 'wait' }, watched(load, {})) })
      if (code === '') {
        if (!overruns) honest.push({ who, period, budget })
        else if (who % 2 !== 0) watches.set(who, watch)
      } else {
        expect(code).toBe('not-admitted')
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(0)
    expect(honest.length).toBeGreaterThan(2)
    for (let who = 0; who < processors; who++) simulation.add(1000 + who, {}, who % 2 === 0 ? busy() : bursts(3e6, 1e6))
    simulation.run(4e9 / processors ** 0.5)
    // Late by what others may run when they should not any more: a shortest run of each that ends at a bad time.
    for (const { who, period } of honest) {
      expect(simulation.report(who).response.count).toBeGreaterThan(20)
      expect(simulation.report(who).response.max).toBeLessThanOrEqual(period + 0.5e6)
    }
    for (const [who, { over }] of watches) expect(over, String(who)).toBeLessThan(2 * 13e6)
    // Part of the processors is never promised.
    expect(simulation.report(1000).ran).toBeGreaterThan(simulation.now * 0.001)
  })

  it('follow the clock of capacity', () => {
    const simulation = new Simulation<Name, ConstantBandwidthParameters>(new ConstantBandwidth({ processors: 1 }), { supply: () => 1 / 3 })
    simulation.add('a', { budget: 6e6, period: 20e6 }, busy())
    simulation.add('rest', {}, busy())
    simulation.run(9e9)
    expect(simulation.report('a').ran / 3e9).toBeCloseTo(0.3, 2)
    expect(simulation.report('rest').ran / 3e9).toBeCloseTo(0.7, 2)
  })

  it('that share use what nobody else was promised', () => {
    const simulation = new Simulation<Name, ConstantBandwidthParameters>(new ConstantBandwidth({ processors: 1 }))
    simulation.add('soft', { budget: 1e6, period: 10e6, overrun: 'share' }, busy())
    simulation.add('hard', { budget: 5e6, period: 10e6 }, periodic(5e6, 10e6))
    simulation.run(1e9)
    expect(simulation.report('soft').ran).toBeCloseTo(0.5e9, -7)
    expect(simulation.report('hard').response.max).toBeLessThanOrEqual(10e6)
    expect(simulation.wasted).toBe(0)
  })

  it('are admitted up to what can be kept', () => {
    const one = new ConstantBandwidth<Name>({ processors: 1 })
    one.add('a', { budget: 5e6, period: 10e6 })
    one.add('b', { budget: 4.5e6, period: 10e6 })
    expect(codeOf(() => { one.add('c', { budget: 1e4, period: 10e6 }) })).toBe('not-admitted')
    expect(codeOf(() => { one.set('b', { budget: 5e6 }) })).toBe('not-admitted')
    one.set('a', { budget: 1e6 })
    one.add('c', { budget: 4e6, period: 10e6 })
    one.remove('a')
    one.add('d', {})
    one.set('d', { budget: 1e6, period: 10e6 })
    expect(codeOf(() => { one.set('d', { period: 5e6 }) })).toBe('not-admitted')
    // On several, one wide server takes room from all (Goossens, Funk, Baruah): 0.95 × (4 − 3 × 0.5) = 2.375.
    const four = new ConstantBandwidth<Name>({ processors: 4 })
    for (const name of ['a', 'b', 'c', 'd']) four.add(name, { budget: 5e6, period: 10e6 })
    expect(codeOf(() => { four.add('e', { budget: 5e6, period: 10e6 }) })).toBe('not-admitted')
    four.add('e', { budget: 3e6, period: 10e6 })
    expect(codeOf(() => { four.add('f', { budget: 9e6, period: 10e6 }) })).toBe('not-admitted')
    expect(codeOf(() => { four.resize(3) })).toBe('not-admitted')
    four.resize(5)
    for (const wrong of [{ budget: 1e6 }, { period: 1e6 }, { budget: 0, period: 1e6 }, { budget: 2e6, period: 1e6 }]) expect(codeOf(() => { four.add('x', wrong) })).toBe('parameter')
  })
})
