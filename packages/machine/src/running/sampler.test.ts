import { afterEach, expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op, work } from '../testing/fake-cpu.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { collector, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type Machine, type MachineOptions, type MachineSample, part } from '../index.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000
const COUNTED = { instructionsPerSecond: 1e9 }

afterEach(() => { work.watch = null })

function machine(code: readonly number[], more: Partial<MachineOptions> & { readonly harts?: number } = {}, host = testHost()): Machine {
  const { harts = 1, ...rest } = more
  return createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts } }),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console: collector() } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
    ...rest,
  }), host)
}

function sampled(m: Machine, interval: number, turns: number): MachineSample[] {
  const samples: MachineSample[] = []
  m.on('sample', (sample) => { samples.push(sample) })
  m.sample({ interval })
  m.start({ drive: 'caller' })
  for (let turn = 0; turn < turns && m.runSlice(1_000_000).kind !== 'stopped'; turn++);
  m.sample(null)
  return samples
}

const sum = (samples: readonly MachineSample[]): number => samples.reduce((total, { duration }) => total + duration, 0)
const places = (samples: readonly MachineSample[]): Map<number, number> => {
  const counts = new Map<number, number>()
  for (const sample of samples) if (sample.kind === 'run') counts.set(Number(sample.at.stack[0]) - RAM, (counts.get(Number(sample.at.stack[0]) - RAM) ?? 0) + 1)
  return counts
}

/** Runs a machine for so many instructions, from the host's loop; what the fake harts say of themselves is the truth about `part`s of the code. */
function compared(code: readonly number[], parts: readonly string[], instructions: number, interval: number, more: Parameters<typeof machine>[1]) {
  const host = testHost()
  host.loop.step = 20
  const m = machine(code, more, host)
  const [truth, seen] = [new Map<string, number>(), new Map<string, number>()]
  const add = (to: Map<string, number>, at: string, duration: number): void => { to.set(at, (to.get(at) ?? 0) + duration) }
  const partAt = (pc: number): string => parts[(pc - RAM) / 4] ?? 'nowhere'
  work.watch = (pc, duration) => { add(truth, partAt(pc), duration) }
  m.on('sample', (sample) => { add(seen, sample.kind === 'run' ? partAt(Number(sample.at.stack[0])) : `(${sample.kind})`, sample.duration) })
  m.sample({ interval })
  m.start()
  while (m.stats.retired < instructions) host.turns(1)
  m.powerOff()
  m.sample(null)
  const { virtualTime, idleTime } = m.stats
  const running = (of: Map<string, number>): number => [...of].reduce((total, [part, duration]) => total + (part.startsWith('(') ? 0 : duration), 0)
  /** Of the time that harts ran. */
  const shares = (of: Map<string, number>) => Object.fromEntries(Array.from(of, ([part, duration]) => [part, duration / running(of)]))
  return { virtualTime, idle: m.resolved.definition.time === 'real' ? idleTime : virtualTime - running(truth), seen, shares: shares(seen), truth: shares(truth) }
}

/** Ten instructions, again and again. */
const loop = [op.li(1, 1), ...new Array<number>(8).fill(op.nop()), op.branch(1, -8)]

test.each([['counted', COUNTED, 10_000], ['real', 'real' as const, 200_000]])('in %s time, samples add up to the time, come about as often as was asked for, and fall evenly', (_name, time, interval) => {
  const m = machine(loop, { time })
  const samples = sampled(m, interval, time === 'real' ? 200 : 1)
  const now = m.stats.virtualTime
  expect(sum(samples)).toBeLessThanOrEqual(now)
  // What is left is less than a sample's.
  expect(sum(samples)).toBeGreaterThan(now - 5 * interval)
  const mean = now / samples.length
  expect(mean).toBeGreaterThan(interval / 2)
  expect(mean).toBeLessThan(2 * interval)
  const counts = places(samples)
  for (let at = 8; at < 40; at += 4) expect(counts.get(at)).toBeGreaterThan(samples.length / 9 / 3)
})

test('waiting is a sample of its own, and is booked to nobody', () => {
  // A burst of 300 instructions, then 1 ms of waiting.
  const m = machine([op.li(1, 1), ...constant(2, 1_000_000), ...new Array<number>(295).fill(op.nop()), op.timer(2), op.wait(), op.branch(1, -296)], { time: COUNTED })
  const samples = sampled(m, 100, 1500)
  const idle = samples.filter(({ kind }) => kind === 'idle')
  expect(idle.length).toBeGreaterThan(700)
  for (const { duration } of idle) expect(Math.abs(duration - 1_000_000)).toBeLessThan(10)
  expect(Math.abs(m.stats.virtualTime - sum(samples))).toBeLessThan(2000)
  // The wait is one instruction of 300 and is seen about as often.
  const counts = places(samples)
  const total = [...counts.values()].reduce((a, b) => a + b)
  expect(counts.get(4 * 300) ?? 0).toBeLessThan(total / 20)
})

test.each([
  ['real', 1], ['real', 3], ['counted', 1], ['counted', 3],
] as const)('in %s time, what %i harts that sleep often do is seen for as long as it takes', (time, harts) => {
  let seed = 5
  const random = (below: number): number => (seed = (seed * 48_271) % 0x7fff_ffff) % below
  const code = [op.li(1, 1)]
  const parts = ['start']
  const put = (part: string, ...words: readonly number[]): void => {
    code.push(...words)
    for (const _ of words) parts.push(part)
  }
  // Bursts that are shorter than the interval, each cut into what follows an interrupt, what goes before a wait, and what is between.
  const interval = time === 'real' ? 80_000 : 600
  const pause = (time === 'real' ? 60_000 : 500) * harts ** 2
  for (let burst = 0; burst < 4; burst++) {
    const body = Array.from({ length: 60 + random(200) }, (_, i) => i % 20 === 19 ? op.branch(0, 1) : op.nop())
    put(`after ${burst}`, ...body.slice(0, 20))
    put(`between ${burst}`, ...body.slice(20, -16))
    put(`before ${burst}`, ...body.slice(-16), ...constant(2, random(pause)), op.timer(2), op.wait())
  }
  put('after 0', op.branch(1, 1 - code.length))
  const { seen, virtualTime, idle, shares, truth } = compared(code, parts, 1_200_000, interval, { harts, time: time === 'real' ? time : COUNTED })
  const total = [...seen.values()].reduce((a, b) => a + b)
  expect(total).toBeLessThanOrEqual(virtualTime)
  expect(total).toBeGreaterThan(virtualTime - 4 * harts * interval)
  expect(idle / virtualTime).toBeGreaterThan(0.1)
  expect(Math.abs((seen.get('(idle)') ?? 0) - idle) / virtualTime).toBeLessThan(0.01)
  for (const part of new Set(parts.slice(1))) expect(Math.abs((shares[part] ?? 0) - (truth[part] ?? 0)), `${part} of ${JSON.stringify({ shares, truth })}`).toBeLessThan(0.025)
})

test('in real time, slow code is seen for its time, and not for its instructions', () => {
  const phase = (count: number, word: number): number[] => [...constant(2, count), ...new Array<number>(18).fill(word), op.sub(2, 1), op.branch(2, -19)]
  const code = [op.li(1, 1), ...phase(500, op.nop()), ...phase(125, op.slow(10)), ...constant(2, 100_000), op.timer(2), op.wait(), op.branch(1, -48)]
  const { shares, truth } = compared(code, code.map((_, at) => at <= 22 ? 'fast' : 'slow'), 1_500_000, 3_000_000, {})
  expect(truth.slow).toBeGreaterThan(0.6)
  expect(Math.abs((shares.slow ?? 0) - (truth.slow ?? 0))).toBeLessThan(0.2)
})

test('each hart is sampled', () => {
  const m = machine(loop, { harts: 3, time: COUNTED })
  const samples = sampled(m, 20_000, 40)
  for (const hart of [0, 1, 2]) {
    const own = samples.filter((sample) => sample.kind === 'run' && sample.hart === hart)
    expect(sum(own) / m.stats.virtualTime).toBeCloseTo(1 / 3, 1)
  }
})

test.each([1, 3])('with %i harts and counted time, a sampled run is the same run', (harts) => {
  const run = (interval: number | null): unknown => {
    const m = machine([op.time(3), ...constant(2, 7777), op.timer(2), op.wait(), op.time(4), op.add(5, 4), op.li(1, 1), op.branch(1, -8)], { harts, time: COUNTED })
    if (interval !== null) m.sample({ interval })
    m.start({ drive: 'caller' })
    while (m.stats.retired < 20_000) m.runSlice(1_000_000)
    return [m.vcpus.map((vcpu) => vcpu.save()), m.stats.retired, m.stats.virtualTime]
  }
  expect(run(100)).toEqual(run(null))
})

test('a CPU that cannot tell is an error, and a listener that throws is not in the way of the machine', () => {
  const m = machine(loop)
  const hart = m.vcpus[0] as { sample?: unknown }
  m.on('sample', () => { throw new Error('listener') })
  m.sample({ interval: 1000 })
  m.start({ drive: 'caller' })
  expect(m.runSlice(10_000_000).kind).toBe('runnable')
  hart.sample = undefined
  expect(() => { m.sample({}) }).toThrow(/cannot tell/)
})
