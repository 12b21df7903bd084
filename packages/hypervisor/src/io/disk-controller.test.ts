import type { Backend, BlockPort } from '@machinist/api'
import type { Machine, MachineHost } from '@machinist/machine'
import { divide } from '@machinist/schedulers'
import { expect, it } from 'vitest'
import { generator, type VirtualLoop, virtualLoop } from '../../test/virtual-loop.ts'
import { diskController, type Grant, type MachineSpec, type ResourceController, type Terms } from '../index.ts'

const second = 1e9
const MB = 1e6
const PERIOD = 0.25 * second

/** A disk that answers at once. */
const instant = (): Backend<BlockPort> => ({
  kind: 'block',
  connect: (deliver) => {
    const now = (...rest: unknown[]): void => { deliver(() => { (rest.at(-1) as (status: 'ok') => void)('ok') }) }
    return { size: 2 ** 40, readOnly: false, blockSize: 512, read: now, write: now, flush: now }
  },
})

/** What a machine asks of its disk. */
interface Load {
  readonly terms?: Terms
  readonly pool?: string
  /** Bytes of requests that come by themselves, in time: `[at, bytes]`; or one that always has so many requests of so many bytes under way. */
  readonly arrivals: readonly (readonly [number, number])[] | { readonly depth: number, readonly bytes: number, readonly takes?: number, readonly disks?: number }
}

interface Run {
  readonly name: string
  /** When how much was done. */
  readonly done: { readonly at: number, readonly bytes: number }[]
}

/** What a hypervisor with one level of pools, and capacity for the host, does of the table. */
function control(controller: ResourceController, loads: ReadonlyMap<string, Load>, capacity: number, pools: Readonly<Record<string, Terms>>, ceilings: boolean): void {
  const entries = [...loads].map(([name, { terms = {}, pool = '' }]) => ({
    name, pool, shares: terms.shares ?? 1000, reservation: terms.reservation ?? 0, limit: terms.limit ?? Infinity, ...controller.usage(name),
  }))
  const groups = [...new Set(entries.map(({ pool }) => pool))].map((pool) => ({ pool, terms: pools[pool], members: entries.filter((each) => each.pool === pool) }))
  const tops = groups.flatMap(({ pool, terms, members }) => (pool === '' ? members.map((each) => ({ ...each, members: [each] }))
    : [{ shares: terms?.shares ?? 1000, reservation: terms?.reservation ?? 0, limit: terms?.limit ?? Infinity, demand: members.reduce((sum, { demand, limit }) => sum + Math.min(demand, limit), 0), members }]))
  const given = capacity === Infinity ? tops.map(({ demand, limit }) => Math.min(demand, limit)) : divide(capacity, tops)
  const spare = capacity - given.reduce((sum, each) => sum + each, 0)
  tops.forEach(({ members, limit }, index) => {
    const own = given[index] ?? 0
    const parts = members.length === 1 ? [own] : divide(own, members)
    members.forEach(({ name, shares, reservation, limit: most, pool }, at) => {
      const entitled = parts[at] ?? 0
      const grant: Grant = { shares, reservation, limit: most, entitled, pool, ...(ceilings && { ceiling: Math.min(most, entitled + Math.min(spare, limit - own)) }) }
      controller.grant(name, grant)
    })
  })
}

function simulate(loads: Readonly<Record<string, Load>>, seconds: number, { capacity = Infinity, pools = {}, ceilings = false }: { capacity?: number, pools?: Readonly<Record<string, Terms>>, ceilings?: boolean } = {}) {
  const loop: VirtualLoop = virtualLoop()
  const host: MachineHost = { loop, linearMemory: () => { throw new Error('none') } }
  const controller = diskController(ceilings ? {} : { capacity })
  const named = new Map(Object.entries(loads))
  const runs: Run[] = []
  for (const [name, { terms, pool, arrivals }] of named) {
    const spec: MachineSpec = { name, machine: { file: name }, ...(pool !== undefined && { pool }), ...(terms !== undefined && { resources: { disk: terms } }) }
    const own = controller.host?.(spec, host)
    const run: Run = { name, done: [] }
    runs.push(run)
    const disks = 'disks' in arrivals ? arrivals.disks ?? 1 : 1
    for (let disk = 0; disk < disks; disk++) {
      const port = (own?.attach?.(instant(), 'block', `disk${disk}.disk`) as Backend<BlockPort>).connect((callback) => { callback() })
      const ask = (bytes: number, then: () => void): void => {
        port.write(0, [{ length: bytes } as Uint8Array], () => {
          run.done.push({ at: loop.now(), bytes: Math.max(4096, bytes) })
          then()
        })
      }
      if ('depth' in arrivals) {
        const again = (): void => { ask(arrivals.bytes, () => { loop.after(arrivals.takes ?? 1e5, again) }) }
        for (let index = 0; index < arrivals.depth; index++) loop.soon(again)
      } else {
        for (const [at, bytes] of arrivals) loop.after(at, () => { ask(bytes, () => undefined) })
      }
    }
    controller.add(name, {} as Machine, spec)
  }
  for (let at = PERIOD; at <= seconds * second; at += PERIOD) {
    loop.runUntil(at)
    control(controller, named, capacity, pools, ceilings)
  }
  controller.dispose?.()
  /** Bytes a second that each got, from a time on. */
  const rates = (from = 0, to = seconds): Record<string, number> => Object.fromEntries(runs.map(({ name, done }) =>
    [name, done.filter(({ at }) => at >= from * second && at < to * second).reduce((sum, { bytes }) => sum + bytes, 0) / (to - from)]))
  return { runs, rates, controller }
}

const always = (depth = 8, bytes = 65536): Load['arrivals'] => ({ depth, bytes })
const within = (is: number, due: number, part: number): void => {
  expect(is).toBeGreaterThan(due * (1 - part))
  expect(is).toBeLessThan(due * (1 + part))
}

it.each([[false], [true]])('gives 1 : 2 : 4 by shares, whatever the size and number of requests, and of disks (ceilings in grants: %s)', (ceilings) => {
  const { rates } = simulate({
    one: { terms: { shares: 1000 }, arrivals: always(64, 262_144) },
    two: { terms: { shares: 2000 }, arrivals: always(2, 4096) },
    four: { terms: { shares: 4000 }, arrivals: { depth: 8, bytes: 65536, disks: 2 } },
  }, 12, { capacity: 70 * MB, ceilings })
  for (const [from, to] of [[2, 12], [2, 4], [7, 9]] as const) {
    const { one = 0, two = 0, four = 0 } = rates(from, to)
    within(one, 10 * MB, 0.03)
    within(two, 20 * MB, 0.03)
    within(four, 40 * MB, 0.03)
  }
})

it('keeps reservations and limits, and shares out the rest', () => {
  const terms: Record<string, Terms> = { reserved: { shares: 1000, reservation: 40 * MB }, limited: { shares: 4000, limit: 10 * MB }, one: { shares: 1000 }, two: { shares: 2000 } }
  const { rates } = simulate(Object.fromEntries(Object.entries(terms).map(([name, own]) => [name, { terms: own, arrivals: always() }])), 8, { capacity: 100 * MB })
  const due = divide(100 * MB, Object.values(terms).map((own) => ({ shares: 1000, ...own })))
  const got = rates(1)
  Object.keys(terms).forEach((name, index) => { within(got[name] ?? 0, due[index] ?? 0, 0.03) })
})

it('gives all to whoever is alone, at once, and takes it back as soon as others come', () => {
  const { rates } = simulate({
    steady: { arrivals: always() },
    // 20 requests of 1 MB at 3 s, which take 0.4 s of half of the disk.
    late: { arrivals: Array.from({ length: 20 }, () => [3.1 * second, MB] as const) },
  }, 6, { capacity: 100 * MB })
  const busy = rates(3.1, 3.5)
  within(rates(0.1, 3)['steady'] ?? 0, 100 * MB, 0.03)
  within(busy['late'] ?? 0, 50 * MB, 0.1)
  within(busy['steady'] ?? 0, 50 * MB, 0.1)
  within(rates(3.6, 6)['steady'] ?? 0, 100 * MB, 0.03)
})

it.each([[1], [2], [3]])('with loads that come and go gives what an ideal division at each moment would (seed %d)', (seed) => {
  const random = generator(Number(process.env['IO_SEED'] ?? seed))
  const capacity = 50 * MB
  const seconds = 20
  const loads: Record<string, Load & { readonly arrivals: (readonly [number, number])[] }> = {}
  for (let machine = 0; machine < 6; machine++) {
    const arrivals: (readonly [number, number])[] = []
    // Bursts at two to eight times what there is for each, and pauses.
    for (let at = random() * second; at < (seconds - 2) * second;) {
      const end = at + (0.2 + 2 * random()) * second
      const rate = (capacity / 6) * (0.5 + 4 * random())
      while (at < end && at < (seconds - 2) * second) {
        const bytes = 4096 * (1 + Math.floor(random() * 32))
        arrivals.push([at, bytes])
        at += (bytes / rate) * second * -Math.log(1 - random())
      }
      at += 3 * random() * second
    }
    loads[`vm${machine}`] = {
      arrivals,
      terms: { shares: 1000 * (1 + Math.floor(4 * random())), ...(machine === 0 && { reservation: 15 * MB }), ...(machine === 1 && { limit: 6 * MB }) },
    }
  }
  const { runs } = simulate(loads, seconds, { capacity })
  // The ideal: a fluid, divided anew each millisecond.
  const step = 1e6
  const names = Object.keys(loads)
  const left = names.map(() => 0)
  const next = names.map(() => 0)
  const ideal = names.map(() => [] as number[])
  for (let at = 0; at < seconds * second; at += step) {
    names.forEach((name, index) => {
      const arrivals = loads[name]?.arrivals ?? []
      for (let found = arrivals[next[index] ?? 0]; found !== undefined && found[0] <= at; found = arrivals[next[index] ?? 0]) {
        left[index] = (left[index] ?? 0) + found[1]
        next[index] = (next[index] ?? 0) + 1
      }
    })
    const part = step / second
    const given = divide(capacity * part, names.map((name, index) => {
      const { shares = 1000, reservation = 0, limit = Infinity } = loads[name]?.terms ?? {}
      return { shares, reservation: reservation * part, limit: limit * part, demand: left[index] ?? 0 }
    }))
    given.forEach((bytes, index) => {
      left[index] = (left[index] ?? 0) - bytes
      ideal[index]?.push(bytes)
    })
  }
  // Up to each second, each has had what it would have had, but for 3 % and bursts.
  names.forEach((name, index) => {
    let [due, got] = [0, 0]
    const served = runs[index]?.done ?? []
    let at = 0
    for (let until = 1; until < seconds; until++) {
      due += (ideal[index] ?? []).slice((until - 1) * 1000, until * 1000).reduce((sum, bytes) => sum + bytes, 0)
      for (; (served[at]?.at ?? Infinity) < until * second; at++) got += served[at]?.bytes ?? 0
      expect(Math.abs(got - due), `${name} until ${until}`).toBeLessThan(0.03 * due + 0.06 * capacity)
    }
  })
  // Limits hold always.
  const limitedDone = runs[1]?.done ?? []
  for (let first = 0; first < limitedDone.length; first += 7) {
    let sum = 0
    for (let last = first; last < Math.min(limitedDone.length, first + 400); last++) {
      sum += limitedDone[last]?.bytes ?? 0
      expect(sum).toBeLessThanOrEqual(6 * MB * (((limitedDone[last]?.at ?? 0) - (limitedDone[first]?.at ?? 0)) / second + 0.02) + 2 * 131_072)
    }
  }
})

it('limits nobody where the host says of no capacity, but for limits', () => {
  const { rates } = simulate({ free: { arrivals: { depth: 8, bytes: 65536, takes: 1e6 } }, limited: { terms: { limit: 5 * MB }, arrivals: always() } }, 4)
  within(rates(0.5)['free'] ?? 0, 8 * 65536 * 1000, 0.03)
  within(rates(0.5)['limited'] ?? 0, 5 * MB, 0.03)
})

it.each([[false], [true]])('keeps the limit of a pool, and shares it out inside (ceilings in grants: %s)', (ceilings) => {
  const { rates } = simulate({
    a: { pool: 'batch', terms: { shares: 1000 }, arrivals: always() },
    b: { pool: 'batch', terms: { shares: 3000 }, arrivals: always() },
    c: { arrivals: always() },
  }, 8, { capacity: 100 * MB, pools: { batch: { limit: 20 * MB } }, ceilings })
  const { a = 0, b = 0, c = 0 } = rates(3)
  within(a, 5 * MB, 0.03)
  within(b, 15 * MB, 0.03)
  within(c, 80 * MB, 0.03)
})

/** A machine with some disks that answer at once, and how to write to one. */
function member(controller: ResourceController, loop: VirtualLoop, name: string, disks = 1): (disk: number, bytes: number, then?: () => void) => void {
  const spec: MachineSpec = { name, machine: { file: name }, pool: 'batch' }
  const own = controller.host?.(spec, { loop, linearMemory: () => { throw new Error('none') } })
  const ports = Array.from({ length: disks }, (_, disk) => (own?.attach?.(instant(), 'block', `disk${String(disk)}.disk`) as Backend<BlockPort>).connect((callback) => { callback() }))
  controller.add(name, {} as Machine, spec)
  return (disk, bytes, then = () => undefined) => { ports[disk]?.write(0, [{ length: bytes } as Uint8Array], then) }
}

it.each([[1], [2]])('takes grants of nothing, and what is idle then gets what it wants with the next (disks: %d)', (disks) => {
  const loop = virtualLoop()
  const controller = diskController()
  const write = member(controller, loop, 'idle', disks)
  const terms = { shares: 1000, reservation: 0, limit: Infinity, pool: 'batch' }
  loop.runUntil(second)
  controller.grant('idle', { ...terms, entitled: 0, ceiling: 0 })
  loop.runUntil(2 * second)
  let done = 0
  for (let index = 0; index < 10; index++) write(index % disks, 100_000, () => { done++ })
  loop.runUntil(3 * second)
  // It waits, and says so.
  expect(done).toBeLessThan(10)
  expect(controller.usage('idle').demand).toBeGreaterThan(100_000)
  controller.grant('idle', { ...terms, entitled: 5 * MB, ceiling: 5 * MB })
  loop.runUntil(4 * second)
  expect(done).toBe(10)
})

it('limits nobody where what others are entitled to has no limit', () => {
  const loop = virtualLoop()
  const controller = diskController()
  const terms = { shares: 1000, reservation: 0, limit: Infinity }
  const write = member(controller, loop, 'some')
  member(controller, loop, 'all')
  loop.runUntil(second)
  controller.grant('all', { ...terms, entitled: Infinity, pool: 'other' })
  controller.grant('some', { ...terms, entitled: MB, pool: 'batch' })
  let done = 0
  loop.runUntil(1.1 * second)
  for (let index = 0; index < 100; index++) write(0, MB, () => { done++ })
  loop.runUntil(1.2 * second)
  expect(done).toBe(100)
})

it.each([[1], [2], [3]])('takes whatever grants come, and goes on (seed %d)', (seed) => {
  const random = generator(Number(process.env['IO_SEED'] ?? seed))
  const pick = (...values: number[]): number => values[Math.floor(random() * values.length)] ?? 0
  const loop = virtualLoop()
  const controller = diskController(random() < 0.5 ? {} : { capacity: 10 * MB })
  const names = ['a', 'b', 'c', 'd']
  const writes = names.map((name, index) => member(controller, loop, name, 1 + index % 2))
  const terms = { shares: 1000, reservation: 0, limit: Infinity }
  for (let at = PERIOD; at < 100 * PERIOD; at += PERIOD * random()) {
    loop.runUntil(at)
    for (const write of writes) if (random() < 0.3) write(0, 1 + Math.floor(random() * MB))
    for (const name of names) {
      controller.usage(name)
      const limit = pick(1e-9, 1, 1000, MB, Infinity)
      const grant: Grant = { shares: pick(1e-3, 1, 1000, 1e9), limit, reservation: Math.min(limit, pick(0, 0, 1e-9, MB)), entitled: pick(0, 0, 1e-9, 1, MB, 1e12, Infinity), pool: random() < 0.5 ? 'batch' : 'batch/night' }
      if (random() < 0.8) controller.grant(name, random() < 0.5 ? grant : { ...grant, ceiling: pick(0, 1e-9, grant.entitled, 2 * grant.entitled, Infinity) })
    }
  }
  // All that was asked for comes in the end.
  let done = 0
  for (const name of names) controller.grant(name, { ...terms, entitled: Infinity, ceiling: Infinity, pool: 'batch' })
  for (const write of writes) write(0, 4096, () => { done++ })
  loop.runUntil(102 * PERIOD)
  expect(done).toBe(names.length)
  controller.dispose?.()
})

it('reports what is used and wanted', () => {
  const loop = virtualLoop()
  const controller = diskController({ capacity: 10 * MB })
  const spec: MachineSpec = { name: 'vm', machine: { file: 'vm' }, resources: { disk: { limit: 1 * MB } } }
  const own = controller.host?.(spec, { loop, linearMemory: () => { throw new Error('none') } })
  const net = instant()
  expect(own?.attach?.(net, 'net', 'net0.net')).toBe(net)
  const port = (own?.attach?.(instant(), 'block', 'disk0.disk') as Backend<BlockPort>).connect((callback) => { callback() })
  controller.add('vm', {} as Machine, spec)
  expect(controller.usage('vm')).toEqual({ demand: 0, used: 0 })
  port.read(0, [new Uint8Array(512)], () => undefined)
  port.write(0, [new Uint8Array(100_000)], () => undefined)
  loop.runUntil(second)
  expect(controller.usage('vm')).toEqual({ demand: expect.closeTo(104_096 / 0.9, -5) as number, used: 104_096 })
  expect(controller.report?.('vm')).toEqual({ disk: { readBytes: 512, writtenBytes: 100_000, requests: 2 } })
  for (let index = 0; index < 100; index++) port.write(0, [new Uint8Array(100_000)], () => undefined)
  loop.runUntil(2 * second)
  const { demand, used } = controller.usage('vm')
  within(used, MB, 0.12)
  expect(demand).toBe(Math.max(MB, used))
  expect(controller.usage('nobody')).toEqual({ demand: 0, used: 0 })
})

it('nobody is looked at once what somebody took is forgotten, and somebody who takes again is seen', () => {
  const loop = virtualLoop()
  let timers = 0
  const after: VirtualLoop['after'] = (ns, callback) => {
    timers++
    return loop.after(ns, callback)
  }
  const host: MachineHost = { loop: { ...loop, after }, linearMemory: () => { throw new Error('none') } }
  const controller = diskController({ capacity: 10 * MB })
  const spec: MachineSpec = { name: 'one', machine: { file: 'one' } }
  const port = (controller.host?.(spec, host).attach?.(instant(), 'block', 'disk.disk') as Backend<BlockPort>).connect((callback) => { callback() })
  controller.add('one', {} as Machine, spec)
  const takes = (from: number): number => {
    loop.runUntil(from)
    port.write(0, [new Uint8Array(4096)], () => {})
    loop.runUntil(from + 0.1 * second)
    expect(controller.usage('one').used).toBeGreaterThan(1000)
    const before = timers
    loop.runUntil(from + 0.6 * second)
    return timers - before
  }
  // 40 looks after the last byte its rate is less than a byte a second.
  for (const at of [1, 3]) {
    expect(takes(at * second)).toBeGreaterThan(20)
    const before = timers
    loop.runUntil((at + 1.5) * second)
    expect(timers).toBe(before)
  }
})
