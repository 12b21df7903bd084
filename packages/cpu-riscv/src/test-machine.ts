import type { CpuContext, TimeCounter } from '@machinist/api'
import { AddressSpace } from '@machinist/bus'
import { Arena, GuestMemory } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { riscv, type RiscvConfig, RiscvCpu } from './cpu.ts'
import type { Hart } from './hart.ts'

/** Where the test machine has its RAM. */
export const RAM = 0x8000_0000

/** Harts with RAM and nothing else, and a clock that stands still unless it is moved. For tests only. */
export interface TestMachine {
  readonly cpu: RiscvCpu
  readonly hart: Hart
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  readonly output: number[]
  readonly events: string[]
  /** Virtual nanoseconds. */
  time: number
  /**
   * The same machine again, in the same arena: it shares memory, until one of both writes, and code.
   *
   * @param bus - what it has for devices; those of this one unless given
   */
  fork(bus?: AddressSpace): TestMachine
  /** Puts 32-bit instruction words (or halfwords below 2^16 marked by `half`) at `address`. */
  program(words: readonly number[], address?: number): void
}

export function testMachine(config: Partial<RiscvConfig> = {}, ramMiB: number = 8): TestMachine {
  const memory = new GuestMemory(new Arena(createMemory({ initial: 1, maximum: 65536, shared: true }), 2 ** 32 - 65536))
  memory.addRam('ram', RAM, ramMiB * 2 ** 20)
  return machineOf(config, memory, new AddressSpace('mmio'), 0)
}

function machineOf(config: Partial<RiscvConfig>, memory: GuestMemory, bus: AddressSpace, now: number): TestMachine {
  const output: number[] = []
  const events: string[] = []
  const time = { now }
  const counter: TimeCounter = {
    frequency: 10_000_000,
    base: 0n,
    elapsed: () => Math.floor(time.now / 100),
    read: () => BigInt(Math.floor(time.now / 100)),
    write: () => undefined,
    onWrite: () => undefined,
    timeOf: (ticks) => (ticks > 2n ** 46n ? Infinity : Number(ticks) * 100),
  }
  type Context = CpuContext<GuestMemory, AddressSpace, { readonly power: 'power'; readonly console: 'char' }>
  const context: Context = {
    name: 'cpu',
    memory,
    bus,
    counter,
    clock: { now: () => time.now, timer: () => ({ arm: () => undefined, cancel: () => undefined }) },
    backends: {
      power: { off: (status) => void events.push(`off ${status}`), reset: () => void events.push('reset') },
      console: {
        write: (bytes) => output.push(...bytes) && bytes.length,
        send: (bytes) => { output.push(...bytes) },
        more: () => undefined,
        read: () => 0,
        listen: () => undefined,
      },
    },
    trace: { enabled: false, warn: () => undefined, event: () => undefined },
    wake: () => undefined,
  }
  const cpu = new RiscvCpu({ harts: 1, firmware: 'none', ...config }, context)
  cpu.reset('cold', { pc: RAM, args: ['hartid'] })
  const [hart] = cpu.vcpus
  if (!hart) throw new RangeError('no hart')
  return {
    cpu,
    hart,
    memory,
    bus,
    output,
    events,
    get time() {
      return time.now
    },
    set time(now) {
      time.now = now
    },
    fork(other = bus) {
      const copy = machineOf(config, memory.fork(), other, time.now)
      cpu.vcpus.forEach((vcpu, index) => copy.cpu.vcpus[index]?.restore(vcpu.save()))
      return copy
    },
    program(words, address = RAM) {
      memory.write(address, new Uint8Array(Uint32Array.from(words).buffer))
    },
  }
}

export { riscv }
