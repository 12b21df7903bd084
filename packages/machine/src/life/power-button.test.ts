import type { DeviceSpec, InputPort } from '@machinist/api'
import { describe, expect, test } from 'vitest'
import { testHost } from '../../test/harness.ts'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { createMachine, defineMachine, instantiateHanded, part } from '../index.ts'

const RAM = 0x8000_0000

/** Leaves what comes to a test. */
const ports: InputPort[] = []
const keys: DeviceSpec<object, object, never, { readonly input: 'input' }> = {
  kind: 'keys',
  stateVersion: 1,
  backends: { input: 'input' },
  configure: () => ({}),
  regions: () => [{ name: 'registers', size: 8, space: 'mmio' }],
  irqs: () => [],
  create(_config, { backends: { input } }) {
    ports.push(input)
    input.listen({ readable() {} })
    return { read: () => 0, write() {}, reset() {}, save: () => ({}), restore() {} }
  },
}

const blueprint = (devices: object = { power: part(keys, { at: 0x1000_0000, backends: { input: 'power-button' } }) }) => defineMachine({
  name: 'test', memory: { base: RAM, size: 1 << 16 }, cpu: part(fakeCpu), devices: { ...devices },
  boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.wait(), op.stop()]) }], entry: RAM },
})

function taken(port: InputPort | undefined): (readonly number[])[][] {
  const packets: (readonly number[])[][] = []
  for (let packet = port?.receive() ?? null; packet !== null; packet = port?.receive() ?? null) packets.push(packet.map(({ type, code, value }) => [type, code, value]))
  return packets
}

/** KEY_POWER down, SYN_REPORT; up, SYN_REPORT. */
const PRESS = [[[1, 116, 1], [0, 0, 0]], [[1, 116, 0], [0, 0, 0]]]

describe('a power button', () => {
  test('is pressed while the machine runs, and not twice before the guest has taken it', () => {
    const machine = createMachine(blueprint(), testHost())
    const port = ports.at(-1)
    expect(machine.pressPowerButton()).toBe(false)
    machine.start({ drive: 'caller' })
    expect(taken(port)).toEqual([])
    expect([machine.pressPowerButton(), machine.pressPowerButton()]).toEqual([true, true])
    expect(taken(port)).toEqual(PRESS)
    machine.pressPowerButton()
    expect(taken(port)).toEqual(PRESS)
    machine.pause()
    expect(machine.pressPowerButton()).toBe(false)
    machine.dispose()
    expect(machine.pressPowerButton()).toBe(false)
    const without = createMachine(blueprint({}), testHost())
    without.start({ drive: 'caller' })
    expect(without.pressPowerButton()).toBe(false)
    without.dispose()
  })

  test('wakes a machine that waits', () => {
    const machine = createMachine(blueprint(), testHost())
    let woken = 0
    machine.start({ drive: 'caller', onWake: () => { woken++ } })
    while (machine.runSlice(1e6).kind !== 'idle');
    machine.pressPowerButton()
    expect(woken).toBe(1)
    machine.dispose()
  })

  test('goes on being pressed in copies, each of which has its own', async () => {
    const host = testHost()
    const machine = createMachine(blueprint(), host)
    const port = ports.at(-1)
    machine.start({ drive: 'caller' })
    machine.pressPowerButton()
    port?.receive()
    const copy = await machine.fork()
    const other = await machine.handOver((handed) => Promise.resolve(instantiateHanded(handed, blueprint().catalogue, host)), { copy: {} })
    const [second, third] = ports.slice(-2)
    for (const each of [port, second, third]) expect(taken(each)).toEqual(PRESS.slice(1))
    copy.pressPowerButton()
    expect([taken(port), taken(second), taken(third)]).toEqual([[], PRESS, []])
    for (const each of [machine, copy, other]) each.dispose()
  })
})
