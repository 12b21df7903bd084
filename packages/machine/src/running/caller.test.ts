import { expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../testing/fake-cpu.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { collector, testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type Machine, type MachineHost, part } from '../index.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000
const MS = 1_000_000

const poke = (offset: number, value: number): number[] => [...constant(7, GADGET + offset), ...constant(6, value), op.store(6, 7)]

function make(code: readonly number[], host: MachineHost, console = collector()): Machine {
  return createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
  }), host)
}

/** Runs it until it waits. */
function rest(machine: Machine): { readonly until: number; readonly at: number } {
  for (let i = 0; i < 1000; i++) {
    const result = machine.runSlice(MS)
    if (result.kind === 'idle') return result
  }
  throw new Error('it does not wait')
}

test('a caller is told once, after a slice that was idle, that something came in', () => {
  const console = collector()
  const machine = make([op.wait(), op.stop()], testHost(), console)
  let woken = 0
  machine.start({ drive: 'caller', onWake: () => { woken++ } })
  expect(rest(machine)).toEqual({ kind: 'idle', until: Infinity, at: Infinity })
  expect(woken).toBe(0)
  let delivered = 0
  console.deliver?.(() => { delivered++ })
  console.deliver?.(() => { delivered++ })
  expect([woken, delivered]).toEqual([1, 0])
  rest(machine)
  expect([woken, delivered]).toEqual([1, 2])
  console.deliver?.(() => {
    // Within a slice there is nobody to be told.
    console.deliver?.(() => { delivered++ })
  })
  expect(woken).toBe(2)
  rest(machine)
  expect([woken, delivered]).toEqual([2, 3])
  machine.reset()
  expect(woken).toBe(3)
  rest(machine)
  machine.pause()
  machine.resume()
  machine.runSlice(MS)
  console.deliver?.(() => {})
  expect(woken).toBe(4)
  machine.dispose()
})

test('an idle machine tells when it wants to be looked at by the clock of the host, even when it stood still before', () => {
  const host = testHost()
  const machine = make([...poke(12, 5 * MS), op.wait(), ...poke(20, 0), op.stop()], host)
  machine.start({ drive: 'caller' })
  machine.runSlice(0)
  machine.pause()
  host.loop.time += 7e9
  machine.resume()
  const { until, at } = rest(machine)
  expect(until).toBeGreaterThan(5 * MS)
  expect(until).toBeLessThan(6 * MS)
  expect(at - 7e9).toBeGreaterThan(until)
  expect(at - 7e9 - until).toBeLessThan(MS)
  host.loop.time = at
  expect(rest(machine).at).toBe(Infinity)
  machine.dispose()
})

test('a slice that is preempted ends soon, and what it was at goes on in the next', () => {
  const host = testHost()
  // Counts in register 1 for ever, and says so after every eight.
  const loop = [op.li(2, 1), op.add(1, 2), ...poke(0, 46), op.li(3, 1)]
  const machine: Machine = make([...loop, op.branch(3, -loop.length)], host, {
    ...collector(),
    connect: () => ({ write: (bytes) => { if (stops) machine.preempt(); return bytes.length }, read: () => 0, listen() {} }),
  })
  let stops = false
  machine.preempt()
  machine.start({ drive: 'caller' })
  expect(machine.runSlice(100 * MS)).toEqual({ kind: 'runnable' })
  const long = machine.stats.retired
  stops = true
  expect(machine.runSlice(100 * MS)).toEqual({ kind: 'runnable' })
  const short = machine.stats.retired - long
  expect(short).toBeLessThan(20)
  const turns = machine.stats.exits.budget
  expect(machine.runSlice(100 * MS)).toEqual({ kind: 'runnable' })
  expect(machine.stats.retired - long - short).toBeLessThan(20)
  expect(machine.stats.exits.budget).toBe(turns)
  stops = false
  machine.runSlice(100 * MS)
  expect(machine.stats.retired).toBeGreaterThan(2 * long - 1000)
  machine.dispose()
})
