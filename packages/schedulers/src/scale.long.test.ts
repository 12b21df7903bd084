import { describe, expect, it } from 'vitest'
import { CoScheduling, divide, ProportionalShare, Random, Simulation, bursts, busy } from './index.ts'
import { RateWatch, watched } from '../test/measures.ts'
import { expectLogarithm, policies } from '../test/scale.ts'

const SLICE = 1e6

describe('millions of events', () => {
  it.each(Object.keys(policies))('%s: 10 000 entities on 512 processors, a million decisions', (policy) => {
    const many = expectLogarithm(policy, 1_000_000)
    // Nobody starves.
    for (const [entity, { ran }] of many.reports()) expect(ran, String(entity)).toBeGreaterThan(0)
    if (policy === 'round robin') expect(many.wasted).toBe(0)
  })

  it.each([1, 2, 3])('no reservation is missed, no limit exceeded: 2000 entities in pools on 64 processors (seed %i)', (seed) => {
    const random = new Random(seed + Number(process.env['MACHINIST_SEED'] ?? 0))
    const processors = 64
    const policy = new ProportionalShare<number>({ processors })
    const pools = ['root', ...Array.from({ length: 40 }, (_, index) => `p${String(index)}`)] as [string, ...string[]]
    for (const [index, name] of pools.slice(1).entries()) policy.addPool(name, { parent: index < 20 ? 'root' : `p${String(index - 20)}`, shares: random.between(1, 4000) })
    const watches: { promise: RateWatch; limit: RateWatch; reservation: number; most: number }[] = []
    const simulation = new Simulation(policy, { seed, onRun(run) {
      watches[run.entity as number]?.promise.ran(run)
      watches[run.entity as number]?.limit.ran(run)
    } })
    let left = processors * 0.94
    for (let who = 0; who < 2000; who++) {
      const reservation = Math.round(Math.min(left, random.next() ** 4 * 0.2) * 1e4) / 1e4
      left -= reservation
      const most = random.next() < 0.2 ? Math.max(0.01, reservation) * (1 + random.next()) : Infinity
      const watch = { promise: new RateWatch(reservation), limit: new RateWatch(most), reservation, most }
      watches.push(watch)
      const load = random.next() < 0.5 ? busy(random.between(0, 1e9)) : bursts(random.between(1, 80) * 1e5, random.between(1, 400) * 1e5)
      simulation.add(who, { reservation, limit: most, shares: random.between(1, 4000), pool: random.of(pools) }, watched(load, {
        woke: (now) => { watch.promise.woke(now) }, slept: (now) => { watch.promise.slept(now) },
      }))
    }
    simulation.run(15e9)
    expect(simulation.picks).toBeGreaterThan(900_000)
    for (const { promise, limit, reservation, most } of watches) {
      if (reservation > 0) expect(promise.short).toBeLessThanOrEqual(2 * SLICE + reservation * 8 * SLICE)
      if (most < Infinity) expect(limit.over).toBeLessThanOrEqual(2 * SLICE + most * 10 * SLICE)
    }
  })

  it.each([1, 2])('what each gets is what `divide` says: 10 000 entities in 200 pools on 512 processors (seed %i)', (seed) => {
    const random = new Random(seed)
    const policy = new ProportionalShare<number>({ processors: 512 })
    const simulation = new Simulation(policy, { seed })
    const pools = Array.from({ length: 200 }, () => ({ shares: random.between(500, 4000), reservation: random.next() < 0.3 ? 2 : 0, limit: random.next() < 0.2 ? random.between(1, 3) : Infinity, demand: 50 }))
    for (const [index, pool] of pools.entries()) policy.addPool(`p${String(index)}`, { ...pool, reservation: Math.min(pool.reservation, pool.limit) })
    const shares = Array.from({ length: 10_000 }, () => random.between(1, 4))
    for (const [who, share] of shares.entries()) simulation.add(who, { pool: `p${String(Math.floor(who / 50))}`, shares: share }, busy())
    simulation.run(4e9)
    const due = divide(512, pools.map((pool) => ({ ...pool, reservation: Math.min(pool.reservation, pool.limit) })))
    for (const [index, pool] of due.entries()) {
      const members = shares.slice(index * 50, index * 50 + 50)
      const inside = divide(pool, members.map((share) => ({ shares: share, demand: 1 })))
      for (const [place, part] of inside.entries()) expect(Math.abs(simulation.report(index * 50 + place).ran / simulation.now - part)).toBeLessThan(0.003)
    }
    expect(simulation.wasted).toBe(0)
  })

  it('harts of 2500 machines stay together', () => {
    const scheduler = new CoScheduling(new ProportionalShare<number>({ processors: 512 }), { machineOf: (entity) => Math.floor(entity / 4) })
    let worst = 0
    const simulation = new Simulation(scheduler, { seed: 4, onRun({ entity }) { worst = Math.max(worst, scheduler.skewOf(entity as number)) } })
    const random = new Random(4)
    for (let hart = 0; hart < 10_000; hart++) simulation.add(hart, { shares: random.between(1, 1000) }, hart % 3 === 0 ? bursts(2e6, 10e6) : busy())
    simulation.run(2e9)
    expect(simulation.picks).toBeGreaterThan(900_000)
    expect(worst).toBeLessThanOrEqual(4e6 + 1)
    expect(worst).toBeGreaterThan(3e6)
  })
})
