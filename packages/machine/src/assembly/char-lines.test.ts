import type { Backend, CharPort } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { assemble, constant, fakeCpu, op } from '../testing/fake-cpu.ts'
import { gadget, hub } from '../testing/fake-devices.ts'
import { testHost } from '../../test/harness.ts'
import { slowReader } from '../../test/slow-reader.ts'
import { createMachine, defineMachine, type Machine, type MachineOptions, part } from '../index.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000
const [WRITE, OFF, RESET, SEND] = [0, 4, 8, 36]

const poke = (offset: number, value: number): number[] => [...constant(7, GADGET + offset), ...constant(6, value), op.store(6, 7)]
const each = (register: number, text: string): number[] => [...text].flatMap((letter) => poke(register, letter.charCodeAt(0)))

function make(code: readonly number[], console: Backend<CharPort>, more: Partial<MachineOptions> & { harts?: number } = {}): Machine {
  const { harts = 1, ...rest } = more
  return createMachine(defineMachine({
    name: 'test', memory: { base: RAM, size: 1 << 20 }, cpu: part(fakeCpu, { config: { harts } }),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(code) }], entry: RAM },
    ...rest,
  }), testHost())
}

/** Runs until the machine has nothing to do. */
function run(machine: Machine): void {
  for (let i = 0; i < 10_000 && machine.runSlice(1_000_000).kind === 'runnable'; i++);
}

describe.each(['real', { instructionsPerSecond: 1e9 }] as const)('a slow reader, time %s', (time) => {
  test.each([1, 3])('%i harts wait until what was sent has been taken, and all of it arrives in order', (harts) => {
    const text = 'the quick brown fox jumps over the lazy dog'
    const reader = slowReader(5)
    const machine = make([...each(SEND, text), op.stop()], reader, { time, harts })
    machine.start({ drive: 'caller' })
    run(machine)
    const { retired } = machine.stats
    run(machine)
    expect({ text: reader.text, more: machine.stats.retired - retired }).toEqual({ text: harts === 1 ? 'the q' : reader.text, more: 0 })
    for (let i = 0; i < harts * text.length; i++) {
      expect(reader.text).toHaveLength(Math.min(harts * text.length, 5 + i))
      reader.take(1)
      run(machine)
    }
    expect([...reader.text].sort()).toEqual([...text.repeat(harts)].sort())
    if (harts === 1) expect(reader.text).toBe(text)
    machine.dispose()
  })

  test.each([['by the device', WRITE], ['by the machine', SEND]] as const)('a guest that switches off goes when its output has gone; kept %s', (_how, register) => {
    const reader = slowReader(2)
    const machine = make([...each(register, 'abc'), ...poke(OFF, 4), ...each(WRITE, 'x'), op.stop()], reader, { time })
    machine.start({ drive: 'caller' })
    run(machine)
    expect([machine.state, reader.text]).toEqual(['running', 'ab'])
    reader.take(9)
    run(machine)
    // The gadget has no place for what its port does not take: it is the wait that is shown.
    expect([machine.state, machine.status, reader.text]).toEqual(['off', 4, register === SEND ? 'abc' : 'ab'])
  })

  test('and when a device that has more to write has written it, which takes turns of its own', () => {
    const machine = make([...poke(40, 1), ...poke(12, 0), ...poke(OFF, 0), op.stop()], slowReader(9), { time })
    machine.start({ drive: 'caller' })
    run(machine)
    expect(machine.state).toBe('off')
    const waiting = make([...poke(40, 1), ...poke(OFF, 0), op.stop()], slowReader(9), { time })
    waiting.start({ drive: 'caller' })
    run(waiting)
    expect(waiting.state).toBe('running')
    waiting.dispose()
  })

  test('the same holds for a guest that starts over', () => {
    const reader = slowReader(2)
    const machine = make([...each(SEND, 'ab'), ...each(WRITE, 'c'), ...poke(RESET, 0), op.stop()], reader, { time })
    let resets = 0
    machine.on('reset', () => { if (++resets === 2) machine.powerOff(0) })
    machine.start({ drive: 'caller' })
    run(machine)
    expect([resets, reader.text]).toEqual([0, 'ab'])
    reader.take(2)
    run(machine)
    expect([resets, reader.text]).toEqual([1, 'abab'])
    reader.take(2)
    run(machine)
    expect([resets, machine.state]).toEqual([2, 'off'])
  })
})

test('the host need not wait: it pulls the plug', () => {
  const machine = make([...each(SEND, 'abc'), op.stop()], slowReader(0))
  machine.start({ drive: 'caller' })
  run(machine)
  machine.powerOff(7)
  expect([machine.state, machine.status]).toEqual(['off', 7])
})

test('whoever shares a stream waits with it', () => {
  const reader = slowReader(1)
  const machine = make([...each(SEND, 'a'), ...poke(0x100 + SEND, 0x62), ...poke(0x100 + SEND, 0x63), ...each(SEND, 'd'), op.stop()], reader, {
    devices: {
      hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console: reader } }),
      other: part(gadget, { at: GADGET + 0x100, backends: { console: { type: 'share', with: 'gadget.console' } } }),
    },
  })
  machine.start({ drive: 'caller' })
  for (const text of ['a', 'ab', 'abc', 'abcd']) {
    run(machine)
    expect(reader.text).toBe(text)
    reader.take(1)
  }
  machine.dispose()
})
