import { expect, test } from 'vitest'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { collector, testHost } from '../../test/harness.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { createMachine, defineMachine, type GateRecord, instantiateStored, type Machine, part, type StoredMachine } from '../index.ts'
import { codeOf } from '../../../api/test/code-of.ts'

const RAM = 0x8000_0000

function make(console = collector(), harts = 1): Machine {
  const machine = createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 16 }, cpu: part(fakeCpu, { config: { harts } }), time: { instructionsPerSecond: 1e8 },
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: 0x1000_0000, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.nop(), op.li(1, 1), op.branch(1, -1)]) }], entry: RAM },
  }), testHost())
  machine.start({ drive: 'caller' })
  return machine
}

function toPause(machine: Machine): void {
  machine.resume()
  while (machine.state === 'running') machine.runSlice(1e6)
}

test('what comes in while events are delivered waits for the next turn, also when the machine was paused between', () => {
  const run = (pauses: boolean): GateRecord[] => {
    const console = collector()
    const machine = make(console)
    const records: GateRecord[] = []
    machine.record((record) => {
      records.push(record)
      if (pauses) machine.pause()
    })
    let left = 5
    const event = (): void => { if (left-- > 0) console.deliver?.(event) }
    console.deliver?.(event)
    for (let slice = 0; slice < 20; slice++) {
      machine.resume()
      machine.runSlice(0)
    }
    machine.dispose()
    return records
  }
  const right = run(false)
  expect(new Set(right.map(({ retired }) => retired)).size).toBe(6)
  expect(run(true)).toEqual(right)
})

test('where it is to stop is above where it is, and is taken back', () => {
  const machine = make()
  for (const at of [0, -1, 1.5, NaN, Infinity]) expect([codeOf(() => { machine.stopAt({ retired: at }) }), codeOf(() => { machine.stopAt({ steps: at }) })]).toEqual(['bad-stop', 'bad-stop'])
  machine.stopAt({ retired: 1000 })
  machine.stopAt({ steps: 777 })
  toPause(machine)
  expect(machine.stats).toMatchObject({ retired: 777, steps: 777 })
  expect(codeOf(() => { machine.stopAt({ retired: 777 }) })).toBe('bad-stop')
  expect(codeOf(() => { machine.stopAt({ steps: 1e9, hart: 1 }) })).toBe('bad-stop')
  machine.stopAt({ retired: 778 })
  machine.stopAt(null)
  machine.resume()
  machine.runSlice(0)
  expect([machine.state, machine.stats.retired > 5000]).toEqual(['running', true])
  machine.dispose()
  expect(codeOf(() => { machine.stopAt(null) })).toBe('disposed')
})

test('it stops where one hart is', () => {
  const machine = make(collector(), 3)
  for (const [hart, steps] of [[2, 7], [0, 6000], [1, 9000], [2, 20_000]] as const) {
    machine.stopAt({ steps, hart })
    toPause(machine)
    expect(machine.vcpus[hart]?.steps).toBe(steps)
  }
  machine.dispose()
})

test('a reset begins anew, whatever was left in the middle', () => {
  const machine = make(collector(), 2)
  machine.stopAt({ retired: 7 })
  toPause(machine)
  machine.powerOff()
  machine.start({ drive: 'caller' })
  expect(machine.vcpus.map((vcpu) => (vcpu.save() as { pc: number }).pc)).toEqual([RAM, RAM])
  const { virtualTime } = machine.stats
  machine.stopAt({ retired: 8 })
  toPause(machine)
  // The other hart's turn, which begins now: 5 ns for an instruction of each of two.
  expect([machine.vcpus.map(({ retired }) => retired), machine.stats.virtualTime - virtualTime]).toEqual([[7, 1], 5])
  machine.dispose()
})

test('turns from a file are checked', async () => {
  const machine = make(collector(), 2)
  machine.stopAt({ retired: 7 })
  toPause(machine)
  const saved = await machine.save()
  const state = saved.state as { turns: { turn: object } }
  const restore = (turns: unknown): Machine => {
    const stored: StoredMachine = {
      definition: saved.definition, state: { ...state, turns }, image: (file) => saved.image(file), source: { load() {} },
      memory: saved.memory.regions.map(({ name, base, size }) => ({ name, base, size, pages: new Uint32Array(size / 4096) })),
    }
    return instantiateStored(stored, [fakeCpu, hub, gadget], testHost(), { exact: true, backends: { 'gadget.console': 'null' } })
  }
  const { turns } = state
  expect(turns.turn).toMatchObject({ hart: 0, runnable: 2, from: 0, again: true })
  restore(turns).dispose()
  restore({ last: 0, spun: [] }).dispose()
  const wrong: object[] = [
    { last: 2 }, { spun: [5] }, { delivered: 1 }, { turn: 5 },
    ...[{ hart: 2 }, { hart: 0.5 }, { runnable: 0 }, { runnable: 3 }, { deadline: 'never' }, { from: 8 }, { from: -1 }, { end: 3 }, { end: 2 ** 40 }, { end: NaN }, { mark: 1e9 }, { growth: 1 }, { stretch: -1 },
      { longest: Infinity }, { again: 0 }, { asking: null }].map((part) => ({ turn: { ...turns.turn, ...part } })),
  ]
  for (const each of wrong) expect(codeOf(() => restore({ ...turns, ...each })), JSON.stringify(each)).toBe('state')
  for (const each of [null, 5, {}]) expect(codeOf(() => restore(each))).toBe('state')
  saved.dispose()
  machine.dispose()
})
