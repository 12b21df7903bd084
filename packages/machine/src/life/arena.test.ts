import { Arena, type ArenaOptions } from '@machinist/memory'
import { expect, test } from 'vitest'
import { assemble, fakeCpu, op } from '../testing/fake-cpu.ts'
import { testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type Machine, type MachineHost, part } from '../index.ts'

const RAM = 0x8000_0000
const MIB = 2 ** 20

function make(host: MachineHost, size = 8 * MIB): Machine {
  return createMachine(defineMachine({
    name: 'test',
    memory: { base: RAM, size },
    cpu: part(fakeCpu, { config: { harts: 1 } }),
    devices: {},
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble([op.stop()]) }], entry: RAM },
    time: { instructionsPerSecond: 1e6 },
  }), host)
}

function arenaOf(options: ArenaOptions, maximum = 12 * MIB): { readonly arena: Arena; readonly host: MachineHost } {
  const plain = testHost()
  const arena = new Arena(plain.linearMemory(maximum), maximum, options)
  return { arena, host: { ...plain, arena: () => arena } }
}

test('machines made apart live in the arena that their host chooses, which goes with the last of them', () => {
  const { arena, host } = arenaOf({ overcommit: true })
  const machines = [make(host), make(host), make(host)]
  machines.forEach((machine, index) => { machine.memory.write(RAM, Uint8Array.of(index)) })
  const [first] = machines
  expect(machines.map(({ memory }) => [memory.arena, memory.read32(RAM) & 255])).toEqual([[arena, 0], [arena, 1], [arena, 2]])
  expect([arena.members, arena.frames]).toEqual([3, 3])
  first?.dispose()
  expect([arena.members, arena.frames, arena.disposed]).toEqual([2, 2, false])
  for (const machine of machines) machine.dispose()
  expect([arena.members, arena.disposed]).toEqual([0, true])
})

test('an arena promises what it has, unless it is made to promise more; then a machine that touches too much is told', () => {
  const careful = arenaOf({})
  const one = make(careful.host)
  expect(() => make(careful.host)).toThrow(expect.objectContaining({ code: 'too-much-memory' }))
  one.dispose()
  const { arena, host } = arenaOf({ overcommit: true, kept: true })
  const [first, second] = [make(host), make(host)]
  first.memory.write(RAM, new Uint8Array(8 * MIB).fill(1))
  expect(() => { second.memory.write(RAM, new Uint8Array(8 * MIB).fill(1)) }).toThrow(expect.objectContaining({ code: 'arena-full' }))
  first.dispose()
  second.memory.write(RAM, new Uint8Array(8 * MIB).fill(1))
  second.dispose()
  expect([arena.members, arena.frames, arena.disposed]).toEqual([0, 0, false])
})
