import type { CpuContext, LocalController, PortBus, TimeCounter, X86Start } from '@machinist/api'
import { AddressSpace } from '@machinist/bus'
import { Arena, GuestMemory } from '@machinist/memory'
import { createMemory } from '@machinist/wasm'
import { Engine } from './engine.ts'
import { models } from './model/models.ts'
import { x86, type X86Config, type X86Cpu } from './cpu.ts'
import type { X86Hart, X86Wants } from './hart.ts'

/** Processors with RAM at 0 and nothing else, and a clock that stands still unless it is moved. For tests only. */
export interface TestMachine {
  readonly cpu: X86Cpu
  readonly hart: X86Hart
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  /** What was written to ports: port, bytes, value. */
  readonly writes: (readonly [number, number, number])[]
  readonly events: string[]
  /** The vector that is given for an interrupt. */
  vector: number
  /** Virtual nanoseconds. */
  time: number
  /** The same machine again, in the same arena: it shares memory until one of both writes. */
  fork(): TestMachine
}

/** Where identity page tables lie, and a table of descriptors with flat segments of 64 and 32 bits. */
const TABLES = 0x1000
const GDT = 0x8000
/** An interrupt table of 256 gates, for code to load. */
export const IDT = 0x9000

/** Long mode with the first 4 GiB mapped as they are, at `pc`. */
export function longMode(memory: GuestMemory, pc: number): X86Start {
  const put = (at: number, value: bigint): void => { memory.write(at, new Uint8Array(BigUint64Array.of(value).buffer)) }
  put(TABLES, BigInt(TABLES + 0x1000) | 3n)
  for (let gigabyte = 0; gigabyte < 4; gigabyte++) {
    put(TABLES + 0x1000 + 8 * gigabyte, BigInt(TABLES + 0x2000 + 0x1000 * gigabyte) | 3n)
    for (let n = 0; n < 512; n++) put(TABLES + 0x2000 + 0x1000 * gigabyte + 8 * n, BigInt(gigabyte * 512 + n) << 21n | 0x83n)
  }
  ;[0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn].forEach((descriptor, n) => { put(GDT + 8 * n, descriptor) })
  return { kind: 'linux64', pc, gdt: { base: GDT, limit: 31 }, pages: TABLES, parameters: 0 }
}

interface TestOptions {
  readonly local?: LocalController | null
  readonly ramMiB?: number
  /** Regions that its engine has at a time; `translate` and `hot` are given then. */
  readonly most?: number
}

export function testMachine(config: Partial<X86Config> = {}, { local = null, ramMiB = 4, most }: TestOptions = {}): TestMachine {
  const memory = new GuestMemory(new Arena(createMemory({ initial: 1, maximum: 65536, shared: true }), 2 ** 32 - 65536))
  memory.addRam('ram', 0, ramMiB * 2 ** 20)
  const whole = { harts: 1, model: 'x86-64-v2', ...config } as const
  const { translate, hot } = config
  // Whoever comes first says how an engine is made.
  if (most !== undefined && translate !== undefined && hot !== undefined) Engine.of(memory.arena, models[whole.model], { translate, hot, most })
  return machineOf(whole, memory, new AddressSpace('mmio'), 0, local)
}

function machineOf(config: X86Config, memory: GuestMemory, bus: AddressSpace, now: number, local: LocalController | null): TestMachine {
  const writes: (readonly [number, number, number])[] = []
  const events: string[] = []
  const state = { now, vector: 0xff }
  const counter: TimeCounter = {
    frequency: 1e9,
    base: 0n,
    elapsed: () => state.now,
    read: () => BigInt(state.now),
    write: () => undefined,
    onWrite: () => undefined,
    timeOf: (ticks) => (ticks > 2n ** 46n ? Infinity : Number(ticks)),
  }
  const ports: PortBus = { read: (port, width) => (port === 0x60 ? 0x12 : 2 ** (8 * width) - 1), write: (port, width, value) => { writes.push([port, width, value]) } }
  let seed = 1n
  const context: CpuContext<GuestMemory, AddressSpace, X86Wants> = {
    name: 'cpu', memory, bus, ports, counter,
    clock: { now: () => state.now, timer: () => ({ arm: () => undefined, cancel: () => undefined }) },
    backends: {
      power: { off: (status) => void events.push(`off ${status}`), reset: () => void events.push('reset') },
      entropy: { fill: (into) => { new DataView(into.buffer).setBigUint64(0, seed = BigInt.asUintN(64, seed * 6_364_136_223_846_793_005n + 1n), true) } },
    },
    acknowledge: (line) => {
      events.push(`acknowledge ${line}`)
      return state.vector
    },
    local: () => local,
    trace: { enabled: false, warn: () => undefined, event: () => undefined },
    wake: () => undefined,
  }
  const cpu = x86.create(config, context) as X86Cpu
  const [hart] = cpu.vcpus
  if (!hart) throw new RangeError('no processor')
  return {
    cpu, hart, memory, bus, writes, events,
    get time() { return state.now },
    set time(to) { state.now = to },
    get vector() { return state.vector },
    set vector(to) { state.vector = to },
    fork() {
      const copy = machineOf(config, memory.fork(), bus, state.now, local)
      copy.cpu.reset('cold', { pc: 0, args: [] })
      cpu.vcpus.forEach((vcpu, index) => copy.cpu.vcpus[index]?.restore(vcpu.save()))
      return copy
    },
  }
}
