import { isMachinistError } from '@machinist/api'
import { describe, expect, it } from 'vitest'
import { ConstantBandwidth, CoScheduling, Credit, ProportionalShare, Random, RoundRobin, type Scheduler } from './index.ts'

/** A policy, and what an entity may be given; `conserving`: nobody is held back. */
interface Subject {
  readonly make: () => Scheduler<number, object>
  readonly parameters: (random: Random) => object
  readonly conserving: boolean
}

const proportional = (): ProportionalShare<number> => {
  const policy = new ProportionalShare<number>({ processors: 3 })
  policy.addPool('a', { reservation: 0.5 })
  policy.addPool('b', { parent: 'a', shares: 10 })
  policy.addPool('c', { limit: 10 })
  return policy
}
const pool = (random: Random): string => random.of(['root', 'a', 'b', 'c'])

const subjects: Record<string, Subject> = {
  'proportional share': { make: proportional, parameters: (random) => ({ shares: random.between(1, 9), pool: pool(random), reservation: random.of([0, 0, 0.1, 0.3]) }), conserving: true },
  'proportional share with limits': { make: proportional, parameters: (random) => ({ pool: pool(random), limit: random.of([0.1, 0.5, Infinity]), reservation: random.of([0, 0.05]), slice: random.of([0.3e6, 2e6]) }), conserving: false },
  'credit': { make: () => new Credit({ processors: 3 }), parameters: (random) => ({ weight: random.between(1, 512) }), conserving: true },
  'credit with caps': { make: () => new Credit({ processors: 3 }), parameters: (random) => ({ weight: random.between(1, 512), cap: random.of([0.1, 0.5, Infinity]) }), conserving: false },
  'constant bandwidth that shares': {
    make: () => new ConstantBandwidth({ processors: 3 }),
    parameters: (random) => random.of<object>([{ budget: undefined, period: undefined }, { budget: 1e6, period: 10e6, overrun: 'share' }, { budget: 2e6, period: 40e6, overrun: 'share' }]), conserving: true,
  },
  'constant bandwidth that waits': { make: () => new ConstantBandwidth({ processors: 3 }), parameters: (random) => random.of<object>([{ budget: undefined, period: undefined }, { budget: 1e6, period: 10e6, overrun: 'wait' }]), conserving: false },
  'round robin': { make: () => new RoundRobin({ processors: 3 }), parameters: (random) => ({ slice: random.between(1, 5) * 1e6 }), conserving: true },
  'co-scheduling': {
    make: () => new CoScheduling(new RoundRobin<number>({ processors: 3 }), { machineOf: (entity) => entity % 4 === 3 ? undefined : entity % 4 }),
    parameters: (random) => ({ slice: random.between(1, 5) * 1e6 }), conserving: false,
  },
}

/** `expect` takes longer than what is tested. */
function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return ''
}

describe.each(Object.entries(subjects))('%s', (_name, { make, parameters, conserving }) => {
  it.each([1, 2, 3])('keeps the contract through random calls (seed %i)', (seed) => {
    const random = new Random(seed + Number(process.env['MACHINIST_SEED'] ?? 0))
    const scheduler = make()
    const kicked = new Set<number>()
    scheduler.kick = (processor) => kicked.add(processor)
    const known = new Map<number, { runnable: boolean; running: number }>()
    const running = new Map<number, number>()
    /** Processors that were given nobody, and have not been kicked since. */
    const idle = new Set<number>()
    let [now, next] = [0, 0]
    const pick = (processor: number): void => {
      const choice = scheduler.pick(processor, now)
      kicked.delete(processor)
      idle.delete(processor)
      if ('entity' in choice) {
        const entity = known.get(choice.entity)
        must(entity?.runnable === true && entity.running === -1, 'it chooses somebody who is ready')
        must(choice.slice > 0, 'it gives a slice')
        entity!.running = processor
        running.set(processor, choice.entity)
      } else {
        must(choice.until > now, 'it looks again later')
        must(!conserving || ![...known.values()].some(({ runnable, running: where }) => runnable && where < 0), 'it chooses somebody if somebody is ready')
        idle.add(processor)
      }
    }
    for (let turn = 0; turn < 4000; turn++) {
      now += random.exponential(0.5e6)
      const entity = random.between(0, Math.max(0, next - 1))
      const state = known.get(entity)
      const processor = random.between(0, scheduler.processors - 1)
      const action = random.between(0, 19)
      if (action === 0 && known.size < 40) {
        const code = codeOf(() => { scheduler.add(next, parameters(random)) })
        if (code === '') known.set(next, { runnable: false, running: -1 })
        else must(code === 'not-admitted', `add: ${code}`)
        next += 1
      } else if (action === 1 && known.size > 10) {
        const code = codeOf(() => { scheduler.remove(entity) })
        must(code === (state === undefined ? 'entity-unknown' : state.running >= 0 ? 'entity-running' : ''), `remove: ${code}`)
        if (code === '') known.delete(entity)
      } else if (action === 2) {
        const code = codeOf(() => { scheduler.set(entity, parameters(random)) })
        must(['', 'not-admitted', 'entity-unknown'].includes(code), `set: ${code}`)
      } else if (action === 3) {
        const count = random.between(2, 5)
        const code = codeOf(() => { scheduler.resize(count) })
        if (code === 'processor-busy') must(Math.max(...running.keys()) >= count, 'only processors that go need be free')
        else if (code === '') for (const gone of [...idle, ...kicked]) if (gone >= count) { idle.delete(gone); kicked.delete(gone) }
      } else if (action < 8 && state !== undefined) {
        scheduler.wake(entity, now)
        const fresh = !state.runnable && state.running < 0
        state.runnable = true
        // Somebody is told, if somebody has nothing to do.
        must(!conserving || !fresh || idle.size === 0 || [...idle].some((one) => kicked.has(one)), 'an idle processor is told of work')
      } else if (action < 11 && state !== undefined) {
        scheduler.block(entity, now)
        state.runnable = false
      } else if (running.has(processor)) {
        const who = running.get(processor)!
        if (turn % 100 === 0) must(codeOf(() => scheduler.pick(processor, now)) === 'processor-busy', 'a processor runs one')
        scheduler.charge(who, random.exponential(1e6), now)
        known.get(who)!.running = -1
        running.delete(processor)
        if (turn % 100 === 1) must(codeOf(() => { scheduler.charge(who, 1, now) }) === 'entity-idle', 'a run is charged once')
        pick(processor)
      } else {
        pick(processor)
      }
    }
    expect(known.size).toBeGreaterThanOrEqual(10)
    // All can go, and nothing is left of what was promised to them.
    for (const [processor, who] of running) scheduler.charge(who, 0, now + processor)
    for (const entity of known.keys()) scheduler.remove(entity)
    scheduler.add('full' as unknown as number, parameters(random))
    expect(codeOf(() => scheduler.pick(99, now))).toBe('processor')
  })

  it('refuses what makes no sense, by name', () => {
    const scheduler = make()
    const random = new Random(1)
    scheduler.add(1, parameters(random))
    expect(codeOf(() => { scheduler.add(1, parameters(random)) })).toBe('entity-known')
    expect(codeOf(() => { scheduler.wake(2, 0) })).toBe('entity-unknown')
    expect(codeOf(() => { scheduler.block(2, 0) })).toBe('entity-unknown')
    expect(codeOf(() => { scheduler.charge(1, 0, 0) })).toBe('entity-idle')
    expect(codeOf(() => { scheduler.resize(0) })).toBe('parameter')
    expect(codeOf(() => { scheduler.resize(1.5) })).toBe('parameter')
    scheduler.wake(1, 0)
    expect(scheduler.pick(0, 0)).toMatchObject({ entity: 1 })
    expect(codeOf(() => { scheduler.charge(1, NaN, 0) })).toBe('parameter')
    expect(codeOf(() => { scheduler.charge(1, -1, 0) })).toBe('parameter')
    scheduler.charge(1, 1e6, 1e6)
  })
})
