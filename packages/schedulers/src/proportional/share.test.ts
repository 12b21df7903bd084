import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { bursts, busy, divide, ProportionalShare, Random, Simulation, type EntityParameters } from '../index.ts'
import { PairLag, RateWatch, watched } from '../../test/measures.ts'

type Name = string
const SLICE = 1e6
const codeOf = (act: () => void): string => {
  try {
    act()
  } catch (error) {
    return isMachinistError(error) ? error.code : String(error)
  }
  return ''
}

/** Each one's part of all CPU time. */
function parts(simulation: Simulation<Name, EntityParameters>, names: readonly Name[]): number[] {
  return names.map((name) => simulation.report(name).ran / simulation.now)
}

describe('shares', () => {
  it.each([1, 2, 3, 4])('two that want to run are never further apart than two runs of each (seed %i)', (seed) => {
    const random = new Random(seed)
    const pairs: { pair: PairLag; members: [number, number] }[] = []
    const shares = Array.from({ length: 7 }, () => random.between(1, 9))
    for (let one = 0; one < 7; one++) for (let other = 0; other < one; other++) pairs.push({ pair: new PairLag(shares[one]!, shares[other]!), members: [one, other] })
    const each = (who: number, act: (pair: PairLag, which: 0 | 1) => void): void => {
      for (const { pair, members } of pairs) if (members.includes(who)) act(pair, members[0] === who ? 0 : 1)
    }
    const policy = new ProportionalShare<number>({ processors: 1 })
    const simulation = new Simulation(policy, { seed, supply: () => 0.3 + 0.7 * random.next(), onRun: (run) => { each(run.entity as number, (pair, which) => { pair.ran(which, run.ran) }) } })
    for (const [who, share] of shares.entries()) {
      const load = who < 2 ? busy() : bursts(random.between(1, 50) * 1e5, random.between(1, 50) * 1e5)
      simulation.add(who, { shares: share }, watched(load, {
        woke: () => { each(who, (pair, which) => { pair.woke(which) }) }, slept: () => { each(who, (pair, which) => { pair.slept(which) }) },
      }))
    }
    simulation.run(10e9)
    expect(simulation.runs).toBeGreaterThan(5000)
    expect(simulation.wasted).toBe(0)
    for (const { pair, members: [one, other] } of pairs) expect(pair.worst).toBeLessThanOrEqual(2 * (SLICE / shares[one]! + SLICE / shares[other]!) * (1 + 1e-9))
    // It has something to be bounded.
    expect(Math.max(...pairs.map(({ pair, members: [one, other] }) => pair.worst / (SLICE / shares[one]! + SLICE / shares[other]!)))).toBeGreaterThan(0.9)
  })

  it('are kept to among pools, and in each of them', () => {
    const policy = new ProportionalShare<Name>({ processors: 2 })
    policy.addPool('x', { shares: 3000 })
    policy.addPool('y', { shares: 1000 })
    policy.addPool('y/z', { parent: 'y', shares: 4000 })
    const simulation = new Simulation(policy)
    const of = (pool: string, count: number, shares: number): Name[] => Array.from({ length: count }, (_, index) => {
      simulation.add(`${pool}${String(index)}-${String(shares)}`, { pool, shares }, busy())
      return `${pool}${String(index)}-${String(shares)}`
    })
    const names = [...of('x', 4, 1), ...of('x', 4, 2), ...of('y', 2, 1000), ...of('y/z', 3, 7)]
    simulation.run(4e9)
    const [x, y] = [1.5, 0.5]
    const due = [...Array<number>(4).fill(x / 12), ...Array<number>(4).fill(x / 6), y / 6, y / 6, ...Array<number>(3).fill(y * 4 / 18)]
    for (const [index, part] of parts(simulation, names).entries()) expect(Math.abs(part - due[index]!)).toBeLessThan(0.002)
    expect(policy.allocations().find(({ pool, entity }) => pool === 'x' && entity === null)?.used).toBeCloseTo(6e9, -8)
  })

  it('greater than a processor do not starve those that come later', () => {
    // `wide` can use one processor only, and has been far behind of its shares for long.
    const simulation = new Simulation(new ProportionalShare<Name>({ processors: 2 }))
    simulation.add('wide', { shares: 10_000 }, busy())
    simulation.add('narrow', { shares: 1 }, busy())
    simulation.add('late', { shares: 1 }, busy(5e9))
    simulation.run(5e9)
    const before = parts(simulation, ['wide', 'narrow'])
    expect(before).toEqual([1, 1])
    simulation.run(5.1e9)
    expect(simulation.report('late').ran).toBeGreaterThan(48e6)
    expect(simulation.report('narrow').ran - 5e9).toBeGreaterThan(48e6)
  })

  it('that were too great for the processors give no claim to what could not be had', () => {
    const simulation = new Simulation(new ProportionalShare<Name>({ processors: 2 }))
    simulation.add('wide', { shares: 3 }, busy())
    simulation.add('narrow', { shares: 1 }, busy())
    simulation.run(5e9)
    simulation.resize(1)
    const before = simulation.report('narrow').ran
    simulation.run(6e9)
    expect((simulation.report('narrow').ran - before) / 1e9).toBeCloseTo(0.25, 1)
  })

  it('count a run from the moment of the decision: processors that decide at once do not all choose one pool', () => {
    const policy = new ProportionalShare<Name>({ processors: 4 })
    for (const pool of ['a', 'b', 'c', 'd']) {
      policy.addPool(pool)
      for (let index = 0; index < 4; index++) {
        policy.add(`${pool}${String(index)}`, { pool })
        policy.wake(`${pool}${String(index)}`, 0)
      }
    }
    const pools = [0, 1, 2, 3].map((processor) => policy.pick(processor, 0)).map((choice) => 'entity' in choice ? choice.entity[0] : '')
    expect(new Set(pools)).toEqual(new Set(['a', 'b', 'c', 'd']))
  })

  it('that change while they run hold from then on', () => {
    const simulation = new Simulation(new ProportionalShare<Name>({ processors: 1 }))
    const policy = new ProportionalShare<Name>({ processors: 1 })
    const changing = new Simulation(policy)
    for (const name of ['a', 'b']) {
      simulation.add(name, {}, busy())
      changing.add(name, {}, busy())
    }
    changing.at(1e9, () => { policy.set('a', { shares: 3000 }) })
    changing.run(3e9)
    expect(changing.report('a').ran).toBeCloseTo(0.5e9 + 1.5e9, -7)
  })

  it('of one that overran its slice are paid back', () => {
    const policy = new ProportionalShare<Name>({ processors: 1 })
    policy.add('a', {})
    policy.add('b', {})
    policy.wake('a', 0)
    policy.wake('b', 0)
    let now = 0
    const got = { a: 0, b: 0 }
    for (let turn = 0; turn < 1000; turn++) {
      const choice = policy.pick(0, now)
      if (!('entity' in choice)) throw new Error('nobody')
      const ran = choice.entity === 'a' ? 20e6 : choice.slice
      now += ran
      got[choice.entity as 'a' | 'b'] += ran
      policy.charge(choice.entity, ran, now)
    }
    expect(got.a / got.b).toBeCloseTo(1, 1)
  })
})

describe('reservations and limits', () => {
  it.each([1, 1 / 3])('divide what there is as `divide` says (the host gives %f of a processor)', (supply) => {
    const claims = { res: { shares: 1, reservation: 0.3 }, lim: { shares: 9000, limit: 0.2 }, two: { shares: 2000 }, one: { shares: 1000 } }
    const simulation = new Simulation(new ProportionalShare<Name>({ processors: 1 }), { supply: () => supply })
    for (const [name, parameters] of Object.entries(claims)) simulation.add(name, parameters, busy())
    simulation.run(5e9)
    const due = divide(1, Object.values(claims))
    for (const [index, part] of parts(simulation, Object.keys(claims)).entries()) expect(Math.abs(part / supply - due[index]!)).toBeLessThan(0.003)
    expect(simulation.wasted).toBe(0)
  })

  it.each([[1, 1], [1, 2], [4, 3], [4, 4], [16, 5]])('are neither missed nor exceeded on %i processors (seed %i)', (processors, seed) => {
    const random = new Random(seed)
    const policy = new ProportionalShare<number>({ processors })
    policy.addPool('even', { shares: 500 })
    policy.addPool('odd', { reservation: processors * 0.2 })
    const watches: { promise: RateWatch; limit: RateWatch; reservation: number; most: number }[] = []
    const simulation = new Simulation(policy, { seed, onRun(run) {
      const watch = watches[run.entity as number]
      watch?.promise.ran(run)
      watch?.limit.ran(run)
    } })
    const count = processors * 6
    let left = processors * 0.74
    for (let who = 0; who < count; who++) {
      const reservation = who % 3 === 0 ? 0 : Math.round(Math.min(left, random.next() * 0.6) * 1000) / 1000
      left -= reservation
      const limit = who % 4 === 0 ? Math.max(0.05, reservation) * 1.5 : Infinity
      const watch = { promise: new RateWatch(reservation), limit: new RateWatch(limit), reservation, most: limit }
      watches.push(watch)
      const load = who % 5 < 3 ? busy() : bursts(random.between(1, 80) * 1e5, random.between(1, 40) * 1e5)
      simulation.add(who, { reservation, limit, shares: random.between(1, 4000), pool: random.of(['root', 'even', 'odd']) }, watched(load, {
        woke: (now) => { watch.promise.woke(now) }, slept: (now) => { watch.promise.slept(now) },
      }))
    }
    for (let who = 0; who < processors; who++) simulation.add(count + who, { shares: 1 }, busy())
    simulation.run(6e9 / processors ** 0.5)
    expect(left).toBeLessThan(0.5 * processors)
    for (const { promise, limit, reservation, most } of watches) {
      // A run, and what falls due while others end theirs; one level of pools.
      if (reservation > 0) expect(promise.short).toBeLessThanOrEqual(2 * SLICE + reservation * 6 * SLICE)
      if (most < Infinity) expect(limit.over).toBeLessThanOrEqual(2 * SLICE + most * 10 * SLICE)
    }
    expect(Math.max(...watches.map(({ promise }) => promise.short))).toBeGreaterThan(SLICE / 2)
    // Those with the least shares and no promise do not starve.
    for (let who = 0; who < processors; who++) expect(simulation.report(count + who).ran).toBeGreaterThan(0)
  })

  it('hold for pools, whoever in them wants it, and go to others when nobody does', () => {
    const policy = new ProportionalShare<Name>({ processors: 4 })
    policy.addPool('mine', { shares: 1, reservation: 2.5 })
    policy.addPool('few', { shares: 50_000, limit: 0.5 })
    const simulation = new Simulation(policy)
    for (let index = 0; index < 5; index++) simulation.add(`mine${String(index)}`, { pool: 'mine' }, index < 2 ? busy() : busy(1e9))
    for (let index = 0; index < 3; index++) simulation.add(`few${String(index)}`, { pool: 'few' }, busy())
    for (let index = 0; index < 6; index++) simulation.add(`other${String(index)}`, { shares: 5000 }, busy())
    const used = (name: string): number => policy.allocations().find(({ pool, entity }) => pool === name && entity === null)?.used ?? 0
    simulation.run(1e9)
    expect(used('mine') / 1e9).toBeCloseTo(2, 1)
    expect(used('few') / 1e9).toBeCloseTo(0.5, 1)
    const before = used('mine')
    simulation.run(2e9)
    expect((used('mine') - before) / 1e9).toBeCloseTo(2.5, 1)
    expect(simulation.picks).toBeGreaterThan(1000)
  })

  it('kick as many processors as can run somebody, and let one look in time for those that are held back', () => {
    const policy = new ProportionalShare<Name>({ processors: 3 })
    const kicked: number[] = []
    policy.kick = (processor) => kicked.push(processor)
    policy.addPool('p', { limit: 0.01 })
    for (const name of ['x', 'y', 'z']) policy.add(name, { pool: 'p' })
    policy.add('free', { slice: 100e6 })
    for (const processor of [0, 1, 2]) expect(policy.pick(processor, 0)).toEqual({ until: Infinity })
    policy.wake('x', 0)
    expect(kicked.splice(0)).toEqual([0])
    expect(policy.pick(0, 0)).toMatchObject({ entity: 'x' })
    policy.charge('x', 1e6, 1e6)
    // Nobody may run, but one that is idle looks when somebody may.
    policy.wake('y', 1e6)
    expect(kicked.splice(0)).toEqual([1])
    const alarm = policy.pick(1, 1e6)
    expect('until' in alarm && alarm.until < 120e6).toBe(true)
    policy.wake('z', 1e6)
    expect(kicked.splice(0)).toEqual([])
    // When that one is given somebody, another looks.
    policy.wake('free', 1e6)
    expect(kicked.splice(0)).toEqual([1])
    expect(policy.pick(1, 1e6)).toMatchObject({ entity: 'free' })
    expect(kicked.splice(0)).toEqual([2])
    expect(policy.pick(2, 1e6)).toEqual(alarm)
    expect(policy.pick(0, 1e6)).toEqual(alarm)
    // Three may run now, and two processors are free.
    policy.setPool('p', { limit: Infinity })
    const ran: Name[] = []
    for (let turn = 0; turn < 3 && kicked.length > 0; turn++) {
      const choice = policy.pick(kicked.shift()!, 2e6)
      if ('entity' in choice) ran.push(choice.entity)
    }
    expect(ran).toHaveLength(2)
  })

  it('are not saved up by sleeping, nor paid for later', () => {
    const policy = new ProportionalShare<Name>({ processors: 1 })
    const simulation = new Simulation(policy)
    simulation.add('sleeper', { shares: 1, reservation: 0.4 }, busy(5e9))
    simulation.add('favoured', { shares: 1, reservation: 0.5 }, busy())
    simulation.add('other', { shares: 1000 }, busy())
    simulation.run(5e9)
    expect(simulation.report('favoured').ran / 5e9).toBeCloseTo(0.5, 2)
    simulation.run(5.5e9)
    // Five seconds of sleep are worth nothing.
    expect(simulation.report('sleeper').ran / 0.5e9).toBeCloseTo(0.4, 1)
    // Nor does it cost anything to have had more than the shares.
    policy.set('favoured', { shares: 1000, reservation: 0 })
    policy.set('sleeper', { reservation: 0 })
    const before = simulation.report('favoured').ran
    simulation.run(6e9)
    expect((simulation.report('favoured').ran - before) / 0.5e9).toBeCloseTo(0.5, 1)
  })

  it.each([1, 2])('go by what the host gives, however that changes (seed %i)', (seed) => {
    const random = new Random(seed)
    const reservations = [0.35, 0.3, 0.2, 0.05]
    let capacity = 0
    const got = reservations.map(() => 0)
    const most = reservations.map(() => 0)
    let worst = 0
    const simulation = new Simulation(new ProportionalShare<number>({ processors: 1 }), {
      seed, supply: (_processor, now) => Math.floor(now / 500e6) % 2 === 0 ? 1 : 0.1 + 0.4 * random.next(), onRun({ entity, ran }) {
        for (const [who, reservation] of reservations.entries()) {
          // Behind at the beginning of a run of somebody else, most of all.
          if (entity === who) got[who]! += ran
          const ahead = got[who]! - reservation * (capacity + ran)
          most[who] = Math.max(most[who]!, ahead)
          worst = Math.max(worst, most[who]! - ahead)
        }
        capacity += ran
      },
    })
    for (const [who, reservation] of reservations.entries()) simulation.add(who, { reservation, shares: 1 }, busy())
    for (let hog = 10; hog < 14; hog++) simulation.add(hog, { shares: 1000 }, busy())
    simulation.run(10e9)
    expect(worst).toBeLessThanOrEqual(2 * SLICE + 0.35 * 6 * SLICE)
    for (const [who, reservation] of reservations.entries()) expect(simulation.report(who).ran / capacity).toBeCloseTo(reservation, 2)
  })

  it('that are raised or lowered while they run hold from then on', () => {
    const policy = new ProportionalShare<Name>({ processors: 1 })
    const simulation = new Simulation(policy)
    simulation.add('promised', { shares: 1, reservation: 0.000_01 }, busy())
    simulation.add('limited', { shares: 1e6, limit: 0.000_1 }, busy())
    simulation.add('other', { shares: 100 }, busy())
    const from = (name: Name, time: number): number => {
      const before = simulation.report(name).ran
      simulation.run(simulation.now + time)
      return (simulation.report(name).ran - before) / time
    }
    simulation.run(1e9)
    policy.set('promised', { reservation: 0.4 })
    policy.set('limited', { limit: 0.3 })
    expect(from('promised', 0.5e9)).toBeCloseTo(0.4, 1)
    expect(from('limited', 0.5e9)).toBeCloseTo(0.3, 1)
    policy.set('promised', { reservation: 0 })
    policy.set('limited', { limit: Infinity })
    expect(from('limited', 0.5e9)).toBeGreaterThan(0.98)
    policy.set('limited', { limit: 0.1 })
    policy.set('promised', { shares: 100 })
    expect(from('limited', 0.5e9)).toBeCloseTo(0.1, 1)
    expect(from('promised', 0.5e9)).toBeCloseTo(0.45, 1)
  })

  it('of a child that sleeps go to nobody by name', () => {
    const policy = new ProportionalShare<Name>({ processors: 1 })
    policy.addPool('p', { shares: 1 })
    const simulation = new Simulation(policy)
    simulation.add('asleep', { pool: 'p', reservation: 0.8 }, busy(2e9))
    simulation.add('sibling', { pool: 'p' }, busy())
    simulation.add('other', { shares: 1000 }, busy())
    simulation.run(2e9)
    expect(simulation.report('sibling').ran).toBeLessThan(20e6)
    simulation.run(4e9)
    expect(simulation.report('asleep').ran / 2e9).toBeCloseTo(0.8, 2)
  })
})

describe('admission', () => {
  it('refuses what cannot be kept, and changes nothing', () => {
    const policy = new ProportionalShare<Name>({ processors: 2 })
    policy.addPool('fixed', { reservation: 0.5, expandable: false })
    policy.addPool('open', { reservation: 0.2, limit: 1 })
    policy.addPool('open/inner', { parent: 'open' })
    policy.add('a', { pool: 'fixed', reservation: 0.3 })
    expect(codeOf(() => { policy.add('b', { pool: 'fixed', reservation: 0.3 }) })).toBe('not-admitted')
    policy.add('c', { pool: 'open/inner', reservation: 0.9 })
    expect(codeOf(() => { policy.add('d', { pool: 'open/inner', reservation: 0.2 }) })).toBe('not-admitted')
    expect(policy.allocations().map(({ entity, pool, promised }) => [entity ?? pool, promised])).toEqual([['root', 1.9], ['fixed', 0.5], ['open', 0.9], ['open/inner', 0.9], ['a', 0.3], ['c', 0.9]])
    // 1.9 can be promised, 1.4 are.
    expect(codeOf(() => { policy.add('e', { reservation: 0.6 }) })).toBe('not-admitted')
    policy.add('e', { reservation: 0.5 })
    expect(codeOf(() => { policy.set('c', { pool: 'fixed' }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.set('a', { reservation: 0.51 }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.set('a', { limit: 0.2 }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.setPool('fixed', { reservation: 0.2 }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.setPool('open', { limit: 0.5 }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.setPool('open', { expandable: false }) })).toBe('not-admitted')
    expect(codeOf(() => { policy.resize(1) })).toBe('not-admitted')
    expect(codeOf(() => { policy.removePool('open') })).toBe('pool-used')
    expect(codeOf(() => { policy.add('f', { pool: 'none' }) })).toBe('pool-unknown')
    expect(codeOf(() => { policy.addPool('open') })).toBe('pool-known')
    expect(codeOf(() => { policy.add('f', { reservation: 1.1 }) })).toBe('parameter')
    expect(codeOf(() => { policy.add('f', { shares: 0 }) })).toBe('parameter')
    expect(codeOf(() => { policy.add('f', { limit: -1 }) })).toBe('parameter')
    // What goes gives back.
    policy.remove('e')
    policy.remove('c')
    policy.removePool('open/inner')
    policy.removePool('open')
    policy.add('g', { reservation: 1 })
    policy.add('h', { reservation: 0.4 })
    expect(codeOf(() => { policy.add('i', { reservation: 0.01 }) })).toBe('not-admitted')
    policy.resize(3)
    policy.add('i', { reservation: 0.9 })
  })

  it('keeps what it admitted through random changes, and forgets what has gone', () => {
    const random = new Random(5)
    const policy = new ProportionalShare<number>({ processors: 4 })
    for (const name of ['a', 'b', 'c']) policy.addPool(name, { parent: name === 'c' ? 'a' : 'root', reservation: random.next(), expandable: name !== 'b' })
    const simulation = new Simulation(policy, { seed: 5 })
    const alive = new Set<number>()
    for (let step = 0; step < 1500; step++) {
      simulation.at(step * 2e6, () => {
        const who = random.between(0, 30)
        const pool = random.of(['root', 'a', 'b', 'c'])
        const parameters = { pool, reservation: random.of([0, 0.1, 0.4]), limit: random.of([0.5, Infinity]), shares: random.between(1, 100) }
        const code = codeOf(() => {
          if (!alive.has(who)) {
            simulation.add(who, parameters, random.next() < 0.5 ? busy() : bursts(2e6, 3e6))
            alive.add(who)
          } else if (random.next() < 0.3) {
            simulation.remove(who)
            alive.delete(who)
          } else {
            policy.set(who, parameters)
          }
          if (random.next() < 0.1) policy.setPool(random.of(['a', 'b', 'c']), { reservation: random.next(), limit: random.of([1, 2, Infinity]), shares: random.between(1, 100) })
        })
        if (code !== '' && code !== 'not-admitted') throw new Error(code)
        const rows = policy.allocations()
        for (const parent of rows.filter(({ entity }) => entity === null)) {
          const children = rows.filter((row) => row.entity === null ? row.parent === parent.pool : row.parent === parent.pool)
          const sum = Math.round(children.reduce((all, row) => all + row.promised, 0) * 1e6)
          if (sum > Math.round(parent.promised * 1e6)) throw new Error(`${parent.pool} promises more than it has`)
        }
      })
    }
    simulation.run(3.1e9)
    for (const who of alive) simulation.remove(who)
    for (const name of ['c', 'b', 'a']) policy.removePool(name)
    expect(policy.allocations()).toMatchObject([{ pool: 'root', promised: 3.8 }])
    for (let who = 0; who < 38; who++) simulation.add(who, { reservation: 0.1, shares: 38 - who }, busy(simulation.now))
    const begin = simulation.now
    simulation.run(begin + 1e9)
    for (let who = 0; who < 38; who++) expect(simulation.report(who).ran).toBeGreaterThan(0.1e9 - 3e6)
  })

  it('bounds the depth of pools', () => {
    const policy = new ProportionalShare<Name>({ processors: 1 })
    let parent = 'root'
    for (let depth = 1; depth < 30; depth++) {
      policy.addPool(`p${String(depth)}`, { parent })
      parent = `p${String(depth)}`
    }
    expect(codeOf(() => { policy.addPool('deeper', { parent }) })).toBe('pool-depth')
    policy.add('deep', { pool: parent, reservation: 0.5 })
    policy.add('flat', { shares: 1e6 })
    const simulation = new Simulation(policy)
    expect(codeOf(() => { simulation.report('deep') })).toBe('entity-unknown')
    policy.wake('deep', 0)
    policy.wake('flat', 0)
    let [now, deep] = [0, 0]
    for (let turn = 0; turn < 1000; turn++) {
      const choice = policy.pick(0, now)
      if (!('entity' in choice)) throw new Error('nobody')
      now += choice.slice
      if (choice.entity === 'deep') deep += choice.slice
      policy.charge(choice.entity, choice.slice, now)
    }
    expect(deep / now).toBeCloseTo(0.5, 2)
  })
})

it('passes over who had better run elsewhere, while somebody else wants the processor, and all have their shares', () => {
  const policy = new ProportionalShare<string>({ processors: 2, slice: 4e6 })
  policy.addPool('several', { shares: 1000 })
  for (const name of ['s0', 's1']) policy.add(name, { pool: 'several' })
  for (const name of ['stays', 'one']) policy.add(name, { shares: 1000 })
  for (const name of ['s0', 's1', 'stays', 'one']) policy.wake(name, 0)
  const used = new Map<string, number>()
  const places: { entity: string; until: number; slice: number }[] = []
  let passed = 0
  for (let now = 0; now < 3e9;) {
    for (const processor of [1, 0]) {
      if (places[processor] !== undefined) continue
      const choice = policy.pick(processor, now, processor === 1 ? (entity) => entity === 'stays' && ++passed > 0 : undefined)
      if (!('entity' in choice)) throw new Error('all want to run')
      if (processor === 1) expect(choice.entity).not.toBe('stays')
      places[processor] = { entity: choice.entity, slice: choice.slice, until: now + choice.slice * (processor === 0 ? 0.7 : 1) }
    }
    now = Math.min(...places.map(({ until }) => until))
    for (const [processor, place] of places.entries()) {
      if (place.until > now) continue
      policy.charge(place.entity, place.slice * (processor === 0 ? 0.7 : 1), now)
      used.set(place.entity, (used.get(place.entity) ?? 0) + place.slice * (processor === 0 ? 0.7 : 1))
      Reflect.deleteProperty(places, processor)
    }
  }
  const all = [(used.get('s0') ?? 0) + (used.get('s1') ?? 0), used.get('stays') ?? 0, used.get('one') ?? 0]
  for (const each of all) expect(Math.abs(each / 2e9 - 1)).toBeLessThan(0.02)
  expect(passed).toBeGreaterThan(100)
  for (const name of ['s0', 's1', 'one']) policy.block(name, 4e9)
  for (const place of places) if ((place as typeof place | undefined) !== undefined) policy.charge(place.entity, 0, 4e9)
  expect(policy.pick(1, 4e9, () => true)).toMatchObject({ entity: 'stays' })
})

it('those who are always passed over on one processor divide the other by their shares, and who comes back to it is not behind them', () => {
  const policy = new ProportionalShare<string>({ processors: 2, slice: 1e6 })
  policy.addPool('elsewhere', { shares: 10 })
  const bound = new Set(['one', 'two', 'sleeper'])
  for (const [name, shares] of [['one', 1000], ['two', 2000], ['sleeper', 1000]] as const) policy.add(name, { shares })
  for (const [name, shares] of [['x', 1000], ['y', 3000]] as const) policy.add(name, { shares, pool: 'elsewhere' })
  for (const name of ['one', 'two', 'x', 'y']) policy.wake(name, 0)
  const used = new Map<string, number>()
  let longest = 0
  for (let turn = 0; turn < 6000; turn++) {
    const now = turn * 1e6
    if (turn % 200 === 100) policy.wake('sleeper', now)
    const on: string[] = []
    for (const processor of [1, 0]) {
      const choice = policy.pick(processor, now, processor === 1 ? (entity) => bound.has(entity) : undefined)
      if (!('entity' in choice)) throw new Error('all want to run')
      expect(bound.has(choice.entity)).toBe(processor === 0)
      on.push(choice.entity)
      used.set(choice.entity, (used.get(choice.entity) ?? 0) + 1)
    }
    if (on.includes('sleeper')) {
      longest = Math.max(longest, turn % 200 - 100)
      policy.block('sleeper', now)
    }
    for (const entity of on) policy.charge(entity, 1e6, now + 1e6)
  }
  const ratio = (one: string, other: string): number => (used.get(one) ?? 0) / (used.get(other) ?? 1)
  expect(ratio('two', 'one')).toBeCloseTo(2, 1)
  expect(ratio('y', 'x')).toBeCloseTo(3, 1)
  expect(longest).toBeLessThan(4)
})
