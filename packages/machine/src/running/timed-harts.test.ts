import type { TimedCpu, TimedVcpu } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { collector, type TestHost, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, instantiateStored, type Machine, part, type StoredMachine } from '../index.ts'
import { assemble, constant, fakeCpu, gadget, hub, op, poke, say, switchOff, timedCpu } from '../testing.ts'
import { TimedHarts } from './timed-harts.ts'
import { codeOf } from '../../../api/test/code-of.ts'

const RAM = 0x8000_0000
const DATA = RAM + 0x8000
const MS = 1_000_000

interface Made {
  readonly machine: Machine
  readonly console: ReturnType<typeof collector>
  readonly host: TestHost
  word(at: number): number
}

function make(words: readonly number[], harts = 1, processors = 0): Made {
  const console = collector()
  const host = testHost()
  const machine = createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 16 }, cpu: part(timedCpu, { config: { harts, processors } }),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: 0x1000_0000, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(words) }], entry: RAM },
  }), host)
  return {
    machine, console, host,
    word(at) {
      const bytes = new Uint8Array(4)
      machine.memory.read(at, bytes)
      return new DataView(bytes.buffer).getUint32(0, true)
    },
  }
}

function drive({ machine, host }: Made, until: () => boolean, slices = 2000): void {
  machine.start({ drive: 'caller' })
  for (let slice = 0; slice < slices && !until() && machine.state === 'running'; slice++) {
    const result = machine.runSlice(MS)
    if (result.kind === 'idle' && result.at < Infinity) host.loop.time = Math.max(host.loop.time, result.at)
  }
}

/** A program of the first hart; others stop. */
const alone = (...words: readonly number[]): number[] => [op.hart(1), op.branch(1, words.length + 1), ...words, op.stop()]

/** Each hart counts in a word of its own, without end. */
const counting = [...constant(1, DATA), op.hart(2), op.add(2, 2), op.add(2, 2), op.add(1, 2), op.li(4, 1), op.add(3, 4), op.store(3, 1), op.branch(4, -2)]

test('a machine is not idle while one of its harts computes, when another waits again and again', () => {
  const often = [...constant(3, 300_000), op.timer(3), op.wait(), op.li(4, 1), op.branch(4, -3)]
  const made = make([op.hart(1), op.branch(1, often.length + 1), ...often, ...counting], 2)
  made.machine.start({ drive: 'caller' })
  const kinds = Array.from({ length: 100 }, () => made.machine.runSlice(MS).kind)
  expect(new Set(kinds)).toEqual(new Set(['runnable']))
  expect(made.word(DATA + 4)).toBeGreaterThan(1000)
  made.machine.dispose()
})

describe.each([[1, 0], [4, 0], [4, 1], [4, 3], [4, 8]])('%d harts that go by the clock, with %d processors more', (harts, processors) => {
  test('do what their guest wants, with devices, and switch it off', () => {
    const made = make(alone(...say('hello, metal'), ...switchOff(3)), harts, processors)
    drive(made, () => false)
    expect([made.console.text, made.machine.state, made.machine.status]).toEqual(['hello, metal', 'off', 3])
  })

  test('all get on', () => {
    const made = make(counting, harts, processors)
    drive(made, () => false, 40)
    const counts = Array.from({ length: harts }, (_, hart) => made.word(DATA + 4 * hart))
    expect(Math.min(...counts)).toBeGreaterThan(100)
    expect(made.machine.stats.runTime).toBeGreaterThan(10 * MS)
    made.machine.dispose()
  })

  test('are paused, copied and saved at any moment, with nothing in the air', async () => {
    const made = make([...say('x'), ...counting.slice(0, -1), ...poke(20, 0), op.load(5, 7), op.branch(4, -8)], harts, processors)
    const { machine } = made
    drive(made, () => false, 3)
    for (let round = 0; round < 20; round++) {
      machine.runSlice(10_000 * round)
      if (round % 2 === 0) machine.pause()
      const before = machine.stats.virtualTime
      const saved = await machine.save()
      // Time stands still while it is paused.
      if (round % 2 === 0) expect(machine.stats.virtualTime).toBe(before)
      machine.resume()
      const stored: StoredMachine = {
        definition: saved.definition, state: saved.state, image: (file) => saved.image(file), source: { load() {} },
        memory: saved.memory.regions.map(({ name, base, size }) => ({ name, base, size, pages: new Uint32Array(size / 4096) })),
      }
      const again = instantiateStored(stored, [timedCpu, hub, gadget], testHost(), { backends: { 'gadget.console': 'null' } })
      expect(again.vcpus.map((vcpu) => vcpu.save())).toEqual((saved.state as { cpu: { harts: unknown[] } }).cpu.harts)
      again.dispose()
      saved.dispose()
    }
    const counts = Array.from({ length: harts }, (_, hart) => made.word(DATA + 4 * hart))
    machine.runSlice(MS)
    machine.runSlice(MS)
    Array.from(counts, (count, hart) => { expect(made.word(DATA + 4 * hart)).toBeGreaterThan(count) })
    machine.dispose()
  })

  test('begin anew, wherever they were', () => {
    const made = make(alone(...say('ab'), ...poke(8, 0), op.li(1, 1), op.branch(1, -1)), harts, processors)
    drive(made, () => made.console.bytes.length > 8)
    expect(made.console.text.slice(0, 8)).toBe('abababab')
    made.machine.reset()
    drive(made, () => made.console.bytes.length > 16)
    expect([made.machine.state, made.console.text.length > 16]).toEqual(['running', true])
    made.machine.powerOff()
    made.machine.start({ drive: 'caller' })
    expect(made.machine.runSlice(0).kind).not.toBe('stopped')
    made.machine.dispose()
  })

  test('wait for their own timers and for those of devices, and idle until then', () => {
    // Hart 0 waits 5 ms by its own timer, then has the gadget interrupt it after 7.
    const made = make(alone(...constant(1, 5 * MS), op.timer(1), op.wait(), ...poke(12, 7 * MS), op.wait(), ...say('.')), harts, processors)
    drive(made, () => made.console.text === '.')
    expect(made.console.text).toBe('.')
    expect(made.machine.stats.virtualTime).toBeGreaterThan(12 * MS)
    expect(made.machine.stats.virtualTime).toBeLessThan(13 * MS)
    made.machine.dispose()
  })

  test('are interrupted by a device while all of them work', () => {
    const made = make([op.hart(1), op.branch(1, 6), ...poke(12, 2 * MS), op.li(4, 1), op.add(3, 4), ...constant(5, 0x1000_001c), op.load(6, 5), op.branch(4, -5)], harts, processors)
    drive(made, () => made.machine.stats.virtualTime > 4 * MS)
    expect((made.machine.vcpus[0]?.save() as { registers: number[] }).registers[6]).toBe(1)
    made.machine.dispose()
  })

  test('give way when the host has something to do', () => {
    const made = make([op.interrupt(), op.li(1, 1), op.branch(1, -2)], harts, processors)
    made.machine.start({ drive: 'caller' })
    expect(made.machine.runSlice(1000 * MS).kind).toBe('runnable')
    expect(made.machine.stats.virtualTime).toBeLessThan(10 * MS)
    expect(made.machine.stats.exits.interrupt).toBeGreaterThan(0)
    made.machine.dispose()
  })

  test('end their machine when they fail, by name', () => {
    const made = make([op.hart(1), op.li(2, harts - 1), op.sub(1, 2), op.branch(1, 2), op.crash(), op.branch(1, 0)], harts, processors)
    const errors: string[] = []
    made.machine.on('error', ({ part: name }) => { errors.push(name) })
    drive(made, () => false)
    expect([made.machine.state, errors]).toEqual(['off', [`cpu.hart${harts - 1}`]])
  })
})

test('a hart that could run waits for a processor, and for no time, where none may run here', () => {
  const hart = (index: number, runnable: boolean, at: number): TimedVcpu => ({ index, runnable, deadline: () => at, kick: () => undefined }) as unknown as TimedVcpu
  const harts = new TimedHarts(
    { budget: 'time', vcpus: [hart(0, true, 5), hart(1, false, 70)], parallel: { start: () => false, exited: () => -1, finish: () => 'budget' } } as unknown as TimedCpu,
    { hostNow: () => 10, ran: () => undefined, exited: () => undefined, current: () => undefined, goesOn: () => false, fault: (_part, error) => { throw error } })
  expect([harts.deadline(true), harts.deadline(false)]).toEqual([5, 70])
})

test('harts that are lent processors are away until the first of those times is over, whatever times were before', () => {
  const host = { now: 0 }
  const back: number[] = []
  const vcpus = [0, 1].map((index) => ({ index, runnable: true, deadline: () => Infinity, kick: () => undefined })) as unknown as TimedVcpu[]
  const harts = new TimedHarts(
    { budget: 'time', vcpus, parallel: { start: () => true, exited: () => back.shift() ?? -1, finish: () => 'budget' } } as unknown as TimedCpu,
    { hostNow: () => host.now, ran: () => undefined, exited: () => undefined, current: () => undefined, goesOn: () => false, fault: (_part, error) => { throw error } })
  harts.lent = true
  const lend = (processor: number, until: number): void => {
    harts.lend(processor, until)
    harts.run(host.now, host.now, Infinity, false)
  }
  expect(harts.until).toBe(Infinity)
  lend(1, 100_000)
  lend(2, 300_000)
  expect([harts.until, harts.wanting]).toEqual([100_000, 0])
  host.now = 100_000
  back.push(0, 1)
  expect(harts.collect()).toBe(2)
  harts.giveBack()
  expect([harts.until, harts.wanting, harts.takeBack()]).toEqual([Infinity, 2, [{ processor: 1, ran: 100_000 }, { processor: 2, ran: 100_000 }]])
  lend(1, 200_000)
  lend(2, 400_000)
  host.now = 200_000
  back.push(0)
  expect(harts.collect()).toBe(1)
  harts.giveBack()
  lend(1, 600_000)
  expect(harts.until).toBe(400_000)
})

test('more harts than one run at a time', () => {
  const times = [0, 3].map((processors) => {
    const made = make(counting, 4, processors)
    drive(made, () => [0, 1, 2, 3].every((hart) => made.word(DATA + 4 * hart) > 500))
    return made.machine.vcpus.map(({ retired }) => retired)
  })
  const spread = times.map((retired) => Math.max(...retired) / Math.min(...retired))
  expect(spread[1]).toBeLessThan(3)
  // In one slice all have begun.
  const made = make(counting, 4, 3)
  made.machine.start({ drive: 'caller' })
  made.machine.runSlice(MS)
  made.machine.pause()
  expect(made.machine.vcpus.filter(({ retired }) => retired > 0)).toHaveLength(4)
})

test('what needs a count of instructions is refused', () => {
  const options = {
    name: 'test', memory: { base: RAM, size: 1 << 16 }, cpu: part(timedCpu), devices: {},
    boot: { protocol: 'raw', images: [], entry: RAM },
  } as const
  expect(codeOf(() => createMachine(defineMachine({ ...options, time: { instructionsPerSecond: 1e9 } }), testHost()))).toBe('cannot-count')
  const machine = createMachine(defineMachine(options), testHost())
  for (const use of [() => { machine.stopAt({ steps: 100 }) }, () => { machine.stopAt({ retired: 100 }) }, () => { machine.sample({}) }]) expect(codeOf(use)).toBe('cannot-count')
  machine.stopAt(null)
  machine.sample(null)
  machine.dispose()
  // The other kind has all of it.
  const counted = createMachine(defineMachine({ ...options, cpu: part(fakeCpu), time: { instructionsPerSecond: 1e9 } }), testHost())
  counted.stopAt({ steps: 100 })
  counted.dispose()
})
