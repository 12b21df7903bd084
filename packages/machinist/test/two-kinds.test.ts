/** Machines of RISC-V and of x86 in one arena: they have the same frames and none of each other's code. */
import { microvm, virt } from '@machinist/boards'
import { type Collector, collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine, type MachineHost } from '@machinist/machine'
import { Arena } from '@machinist/memory'
import { expect, it } from 'vitest'
import { ticks } from './x86/ticks.ts'

const MIB = 2 ** 20
const TIME = { instructionsPerSecond: 1e9 }

interface Guest {
  readonly machine: Machine
  readonly console: Collector
  readonly says: string
}

/** lui t0, 0x10000; li t1, 'R'; sb t1, 0(t0); a loop of 2^20 turns; li t1, '\n'; sb t1, 0(t0); lui t0, 0x100; lui t1, 5; addi t1, t1, 0x555; sw t1, 0(t0); j . */
const program = Uint8Array.from(Uint32Array.of(
  0x1000_02b7, 0x0520_0313, 0x0062_8023, 0x0010_03b7, 0xfff3_8393, 0xfe03_9ee3, 0x00a0_0313, 0x0062_8023, 0x0010_02b7, 0x0000_5337, 0x5553_0313, 0x0062_a023, 0x0000_006f,
).reduce<number[]>((bytes, word) => [...bytes, word & 255, word >>> 8 & 255, word >>> 16 & 255, word >>> 24], []))

function hostOf(): MachineHost {
  const plain = nodeHost()
  const arena = new Arena(plain.linearMemory(512 * MIB), 512 * MIB)
  return { ...plain, arena: () => arena }
}

const kinds: Readonly<Record<'riscv' | 'x86', (host: MachineHost) => Guest>> = {
  riscv(host) {
    const console = collector()
    return { machine: createMachine(virt({ memory: 32 * MIB, firmware: program, rng: false, time: TIME, console }), host), console, says: 'R\n' }
  },
  x86(host) {
    const console = collector()
    return { machine: createMachine(microvm({ memory: 32 * MIB, kernel: ticks, rng: false, time: TIME, console }), host), console, says: 'Fabcdefghij\n' }
  },
}

it.each([[['x86', 'riscv', 'x86']], [['riscv', 'x86', 'riscv']]] as const)('%j run in turn as they do alone', async (order) => {
  const host = hostOf()
  const guests = order.map((kind) => kinds[kind](host))
  const running = [...guests]
  for (const { machine } of guests) machine.start({ drive: 'caller' })
  const slices = (): void => { for (const { machine } of running) if (machine.state === 'running') machine.runSlice(1e5) }
  slices()
  const [first] = guests
  if (first === undefined) throw new Error('there is none')
  // A copy of one, beside all others.
  const copied = collector()
  const copy = await first.machine.fork({ start: false, backends: { 'uart0.console': copied } })
  const had = first.console.text().length
  copy.start({ drive: 'caller' })
  running.push({ machine: copy, console: copied, says: first.says.slice(had) })
  while (running.some(({ machine }) => machine.state === 'running')) slices()
  for (const { machine, console, says } of running) {
    expect([console.text(), machine.status]).toEqual([says, 0])
    machine.dispose()
  }
})
