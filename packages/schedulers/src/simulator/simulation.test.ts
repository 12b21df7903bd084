import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { bursts, busy, ConstantBandwidth, gantt, latencyTable, periodic, ProportionalShare, recordRuns, RoundRobin, Samples, Simulation, type Run } from '../index.ts'

describe('a simulation', () => {
  it('charges CPU time, and tells who ran when', () => {
    const runs: Run<unknown>[] = []
    const simulation = new Simulation(new RoundRobin<string>({ processors: 1, slice: 10e6 }), { supply: () => 0.5, onRun: (run) => runs.push(run) })
    simulation.add('a', {}, periodic(4e6, 100e6))
    simulation.add('b', {}, periodic(15e6, 50e6, 2e6))
    simulation.run(50e6)
    expect(runs).toEqual([
      { entity: 'a', processor: 0, from: 0, to: 8e6, ran: 4e6 },
      { entity: 'b', processor: 0, from: 8e6, to: 28e6, ran: 10e6 },
      { entity: 'b', processor: 0, from: 28e6, to: 38e6, ran: 5e6 },
    ])
    expect(simulation.report('b')).toMatchObject({ ran: 15e6, runs: 2, waited: 6e6 })
    expect(simulation.report('b').latency.max).toBe(6e6)
    expect(simulation.report('b').response.max).toBe(36e6)
    expect(simulation.idle(0)).toBe(12e6)
    expect(simulation.wasted).toBe(0)
  })

  it('interrupts who should give way, and counts it', () => {
    const simulation = new Simulation(new ConstantBandwidth<string>({ processors: 1 }))
    simulation.add('rest', {}, busy())
    simulation.add('urgent', { budget: 1e6, period: 10e6 }, periodic(1e6, 10e6, 3.5e6))
    simulation.run(100e6)
    expect(simulation.report('urgent').latency.max).toBe(0)
    expect(simulation.preemptions).toBe(10)
    expect(simulation.report('rest').ran).toBe(90e6)
  })

  it('is the same for the same seed, and another for another', () => {
    const once = (seed: number): string => {
      const simulation = new Simulation(new ProportionalShare<number>({ processors: 3 }), { seed })
      for (let who = 0; who < 20; who++) simulation.add(who, { shares: 1 + who }, bursts(2e6, 3e6))
      simulation.run(1e9)
      return latencyTable(simulation.reports())
    }
    expect(once(1)).toBe(once(1))
    expect(once(1)).not.toBe(once(2))
  })

  it('sees what a policy wastes', () => {
    class Lazy extends RoundRobin<string> {
      override pick(processor: number, now: number): ReturnType<RoundRobin<string>['pick']> {
        return processor === 1 ? { until: Infinity } : super.pick(processor, now)
      }
    }
    const simulation = new Simulation(new Lazy({ processors: 2 }))
    for (const name of ['a', 'b', 'c']) simulation.add(name, {}, busy())
    simulation.run(50e6)
    expect(simulation.wasted).toBe(50e6)
  })

  it('lets entities and processors come and go', () => {
    const simulation = new Simulation(new RoundRobin<string>({ processors: 1 }))
    for (const name of ['a', 'b', 'c']) simulation.add(name, {}, busy())
    simulation.at(300e6, () => { simulation.resize(3) })
    simulation.at(400e6, () => { simulation.remove('b') })
    simulation.at(500e6, () => { simulation.resize(1) })
    simulation.run(600e6)
    expect(simulation.report('a').ran).toBeCloseTo(350e6, -6.5)
    expect(simulation.report('c').ran).toBeCloseTo(350e6, -6.5)
    expect(simulation.wasted).toBe(0)
    expect(() => simulation.report('b')).toThrow(/no such entity/)
    expect(() => simulation.idle(1)).toThrow(/no such processor/)
  })

  it('refuses loads that make no sense, and a policy that chooses wrongly', () => {
    for (const wrong of [() => periodic(0, 1), () => bursts(1, NaN), () => busy(-1)]) {
      let code = ''
      try {
        wrong()
      } catch (error) {
        code = isMachinistError(error) ? error.code : ''
      }
      expect(code).toBe('parameter')
    }
    class Wrong extends RoundRobin<string> {
      override pick(): ReturnType<RoundRobin<string>['pick']> {
        return { entity: 'a', slice: 1 }
      }
    }
    const simulation = new Simulation(new Wrong({ processors: 1 }))
    simulation.add('a', {}, busy(1e6))
    expect(() => { simulation.run(1e9) }).toThrow(/cannot run/)
  })
})

describe('what it draws', () => {
  const log = recordRuns<string>()
  const simulation = new Simulation(new ProportionalShare<string>({ processors: 2 }), { onRun: log.onRun as (run: Run<unknown>) => void })
  simulation.add('one', { shares: 1000 }, busy())
  simulation.add('two', { shares: 2000 }, busy())
  simulation.add('capped', { shares: 2000, limit: 0.25 }, busy())
  simulation.add('late', { shares: 1000 }, busy(16e6))
  simulation.run(24e6)

  it('is a Gantt chart of entities, or of processors', () => {
    expect(gantt(log.runs, { width: 24 })).toBe([
      '       |0 ms           24 ms|'.replace('0 ms           24 ms', `${'0 ms'.padEnd(12)}${'24 ms'.padStart(12)}`),
      ...gantt(log.runs, { width: 24 }).split('\n').slice(1),
    ].join('\n'))
    const rows = gantt(log.runs, { width: 24 }).split('\n')
    expect(rows.slice(1, 5).map((row) => row.length)).toEqual([33, 33, 33, 33])
    const busyColumns = (name: string): number => [...rows.find((row) => row.startsWith(name))!.split('|')[1]!].filter((mark) => mark !== ' ').length
    expect(busyColumns('one') + busyColumns('two') + busyColumns('capped') + busyColumns('late')).toBe(48)
    expect(busyColumns('late')).toBeLessThanOrEqual(8)
    const processors = gantt(log.runs, { width: 24, rows: 'processors' })
    expect(processors).toContain('processor 1 |')
    expect(processors).toContain('0 one, 1 two, 2 capped, 3 late')
    expect(gantt([])).toBe('')
  })

  it('is a table of CPU time and latencies', () => {
    const [head, ...rows] = latencyTable(simulation.reports()).trimEnd().split('\n')
    expect(head).toMatch(/CPU +% +runs +waited +latency p50 +p99 +max +done p99 +max$/)
    expect(rows).toHaveLength(4)
  })
})

it('samples keep quantiles within a bucket', () => {
  const samples = new Samples()
  for (let value = 1; value <= 10_000; value++) samples.add(value)
  expect(samples).toMatchObject({ count: 10_000, max: 10_000, mean: 5000.5 })
  for (const part of [0.01, 0.5, 0.9, 0.99]) expect(Math.abs(samples.quantile(part) / (part * 10_000) - 1)).toBeLessThan(0.05)
  expect(samples.quantile(1)).toBe(10_000)
  expect(new Samples().quantile(0.5)).toBe(0)
})
