import { expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../test/fake-cpu.ts'
import { gadget, hub } from '../test/fake-devices.ts'
import { collector, testHost } from '../test/harness.ts'
import { createMachine, defineMachine, type Machine, type MachineOptions, type MachineSample, part } from './index.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000
const COUNTED = { instructionsPerSecond: 1e9 }

function machine(code: readonly number[], more: Partial<MachineOptions> & { readonly harts?: number } = {}): Machine {
  const { harts = 1, ...rest } = more
  return createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts } }),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console: collector() } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
    ...rest,
  }), testHost())
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

/** Ten instructions, again and again. */
const loop = [op.li(1, 1), ...new Array<number>(8).fill(op.nop()), op.branch(1, -8)]

test.each([['counted', COUNTED, 10_000], ['real', 'real' as const, 200_000]])('in %s time, samples add up to the time, come about as often as was asked for, and fall evenly', (_name, time, interval) => {
  const m = machine(loop, { time })
  const samples = sampled(m, interval, time === 'real' ? 200 : 100)
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

test('each hart is sampled', () => {
  const m = machine(loop, { harts: 3, time: COUNTED })
  const samples = sampled(m, 20_000, 40)
  for (const hart of [0, 1, 2]) {
    const own = samples.filter((sample) => sample.kind === 'run' && sample.hart === hart)
    expect(sum(own) / m.stats.virtualTime).toBeCloseTo(1 / 3, 1)
  }
})

test('with one hart and counted time, a sampled run is the same run', () => {
  const run = (interval: number | null): unknown => {
    const m = machine([op.time(3), ...constant(2, 7777), op.timer(2), op.wait(), op.time(4), op.add(5, 4), op.li(1, 1), op.branch(1, -8)], { time: COUNTED })
    if (interval !== null) m.sample({ interval })
    m.start({ drive: 'caller' })
    while (m.stats.retired < 20_000) m.runSlice(1_000_000)
    return [m.vcpus[0]?.save(), m.stats.retired, m.stats.virtualTime]
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
