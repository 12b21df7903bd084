import {
  type Backend, type Clock, type Timer, type Cpu, type CpuContext, type Device, type DeviceContext, type DeviceMemory, type EntropyPort, type IrqLine, type MachinistError, machinistError, type PowerPort,
  type Shortcut, type TimeCounter, unservedShortcut, type WallClockPort,
} from '@machinist/api'
import { AddressSpace, type BusTarget, PortSpace } from '@machinist/bus'
import { Arena, GuestMemory, type RamRegion, WideMemory } from '@machinist/memory'
import { BackendConnector } from './backends.ts'
import { counterState, counterView } from '../running/counter.ts'
import { CPU_PART } from '../definition/definition.ts'
import { Gate } from '../running/gate.ts'
import type { MachineHost } from './host.ts'
import { type SeededEntropy, seededEntropy } from './randomness.ts'
import type { ResolvedDevice, ResolvedMachine } from '../resolving/resolve.ts'
import { acknowledger, messenger, plug } from './plugging.ts'
import { Timers } from '../running/timers.ts'
import { RestoredBackends } from './saved-backends.ts'
import type { Tape } from '../tape/tape.ts'
import { traceOf, type TraceListener } from './trace.ts'
import { VirtualTime } from '../running/virtual-time.ts'
import { inputKey, unconnected, type WireEnd, Wiring } from './wiring.ts'

/** Most that an arena holds: a wasm memory of 4 GiB, less the page whose end has no 32-bit address. */
const MAX_ARENA = 2 ** 32 - 65536

/** Seconds after 1970 at which the wall clock of a machine with counted time begins: 2026-01-01. */
const DEFAULT_EPOCH = 1_767_225_600

/** A device that lives. */
export interface LiveDevice {
  readonly resolved: ResolvedDevice
  readonly device: Device
}

/** What a machine is made of, connected. */
export interface Parts {
  readonly resolved: ResolvedMachine
  readonly memory: GuestMemory
  /** The regions of {@link memory} that are RAM: others belong to devices. */
  readonly ram: readonly RamRegion[]
  readonly bus: AddressSpace
  readonly cpu: Cpu
  readonly devices: readonly LiveDevice[]
  readonly time: VirtualTime
  readonly timers: Timers
  /** Timers of backends, which go on through a reset. */
  readonly backendTimers: Timers
  readonly gate: Gate
  readonly wiring: Wiring
  readonly entropy: EntropyPort
  /** The same, when it is a generator of the machine's own. */
  readonly generator: SeededEntropy | null
  /** The machine's counter, at the time of the last sample. */
  readonly counter: TimeCounter
  /** Sets what the counter was at time zero. */
  setCounterBase(base: bigint): void
  /** The timer behind a name that {@link Timers.save} gave; null when no part has it. */
  timer(name: string): Timer | null
  readonly connector: BackendConnector
  /** Closes backends and gives memory back. */
  dispose(): void
}

/** What a machine begins with that is a copy of another, or goes on from where one was saved. */
export interface Inheritance {
  /** Memory of a machine like this, which will be this one's. */
  readonly memory: GuestMemory
  /** What backends have back: data from anywhere. */
  readonly backends: unknown
}

/** What parts tell the machine. */
export interface PartEvents {
  power: PowerPort
  fault(part: string, error: unknown): void
  warn(part: string, message: string): void
  /** No hart must run before output has gone; see {@link BackendConnector.output}. */
  stall(): void
  /** A hart that ran elsewhere has come back. */
  wake(): void
}

/** Answers the bus for a device, once it is `made`; whatever the device throws becomes a fault of that device. */
function guarded(name: string, fault: PartEvents['fault']): { readonly target: BusTarget, made(device: Device): void } {
  let device: Device | null = null
  const target: BusTarget = {
    read(region, offset, width) {
      try {
        return device?.read(region, offset, width) ?? 0
      } catch (error) {
        fault(name, error)
        return 0
      }
    },
    write(region, offset, width, value) {
      try {
        device?.write(region, offset, width, value)
      } catch (error) {
        fault(name, error)
      }
    },
  }
  return { target, made(to) { device = to } }
}

/**
 * Makes all parts of a machine and wires them up.
 *
 * @param begin - is given what there is before all parts are: the gate, and timers of backends
 * @param inheritance - absent for one with new memory, all zeros
 * @throws typed errors: no memory, no such backend, no such input, a state that is none; what was made till then is undone
 */
export function makeParts(
  resolved: ResolvedMachine, host: MachineHost, live: ReadonlyMap<string, Backend<unknown>>, events: PartEvents, trace: TraceListener | undefined, tape: Tape | null,
  begin: (parts: Pick<Parts, 'gate' | 'time' | 'backendTimers'>) => void, inheritance?: Inheritance,
): Parts {
  const { definition } = resolved
  const time = new VirtualTime(definition.time, () => host.loop.now())
  const timers = new Timers()
  const backendTimers = new Timers()
  const gate = new Gate(events.fault)
  begin({ gate, time, backendTimers })
  const wiring = new Wiring()
  const state = counterState(resolved.timeFrequency, definition.name)
  // Devices see the instant of the access; the CPU's own view is true to the instruction.
  const counter = counterView(state, () => time.now)
  const cpuCounter = counterView(state, () => time.sample())
  const generator = generatorOf(resolved)
  const own = { power: events.power, entropy: generator ?? hostEntropy(host, tape), wallClock: wallClockOf(resolved, host, time, tape) }
  const connector = new BackendConnector(host, gate, live, own, time, backendTimers, new RestoredBackends(tape?.replaying === true ? {} : inheritance?.backends), events.stall, tape)
  const memory = inheritance?.memory ?? memoryFor(host, [...resolved.memory, ...resolved.devices.flatMap((device) => device.memory)])
  const addRam = (name: string, base: number, size: number): RamRegion =>
    memory.regions.find((region) => region.name === name && region.base === base && region.size === size) ?? memory.addRam(name, base, size)
  const bus = new AddressSpace(definition.name)
  const ports = new PortSpace(`${definition.name} ports`)
  const devices: LiveDevice[] = []
  const clocks = new Map<string, Clock>()
  const remember = (name: string, clock: Clock): Clock => {
    clocks.set(name, clock)
    return clock
  }
  let cpu: Cpu | null = null
  const dispose = (): void => {
    for (const { device } of devices) device.dispose?.()
    cpu?.dispose?.()
    connector.close()
    timers.clear()
    backendTimers.clear()
    gate.clear()
    memory.dispose()
    memory.arena.disposeUnused()
  }
  try {
    const ram = resolved.memory.map(({ name, base, size }) => addRam(name, base, size))
    bus.onAccess = ports.onAccess = time.begin
    const cpuContext: CpuContext<GuestMemory, AddressSpace> = {
      name: CPU_PART,
      memory,
      bus,
      ...(resolved.cpu.spec.portSpace === true && { ports, acknowledge: acknowledger(devices, wiring, events.fault), local: () => devices.find(({ device }) => device.local !== undefined)?.device.local ?? null }),
      clock: { now: () => time.sample(), timer: (port) => timers.create(`timer:${CPU_PART}.${port}`, () => {}) },
      counter: cpuCounter,
      backends: connector.connect(CPU_PART, resolved.cpu.spec.backends, definition.cpu.backends ?? {}),
      trace: traceOf(CPU_PART, () => time.now, events.warn, trace),
      wake: events.wake,
    }
    const made = resolved.cpu.spec.create(resolved.cpu.config, cpuContext)
    cpu = made
    if (made.budget === 'time') {
      if (time.counted) throw uncounted(definition.name, "Use time: 'real'.", 'counted time')
      time.onRun = (origin) => { made.timeRuns(origin) }
    }
    const inputs = new Map<string, Device>()
    // What is plugged into a host needs it.
    for (const each of [...resolved.devices].sort((a, b) => Number(a.slot !== null) - Number(b.slot !== null))) {
      const { target, made: answers } = guarded(each.name, events.fault)
      const tracing = traceOf(each.name, () => time.now, events.warn, trace)
      const plugged = plug(each, inputs, { ...target, dma: memory, message: messenger(devices, events.fault, (text) => { tracing.warn(text) }) })
      const context: DeviceContext = {
        name: each.name,
        irq: Object.fromEntries(each.spec.irqs(each.config).map((irq): [string, IrqLine] => [irq, lineOf(each, irq, made, inputs, wiring)])),
        msi: plugged?.msi ?? null,
        dma: plugged?.dma ?? memory,
        ownMemory: each.memory.map(({ name, base, size }) => deviceMemory(memory, addRam(name, base, size))),
        clock: remember(each.name, clockOf(each.name, time, timers, inputs)),
        counter,
        backends: connector.connect(each.name, each.spec.backends, each.definition.backends ?? {}, each.spec.redoesRequests),
        trace: tracing,
        shortcuts: shortcutsOf(each, bus),
      }
      const device = each.spec.create(each.config, context)
      answers(device)
      inputs.set(each.name, device)
      devices.push({ resolved: each, device })
      each.regions.forEach(({ index: region, base, size, space, width }) => {
        if (space === 'pio') ports.attach(each.name, base, size, region, target, width)
        else bus.attach(each.name, base, size, region, target)
      })
    }
    connector.check()
    return {
      resolved, memory, ram, bus, cpu, devices, time, timers, backendTimers, gate, wiring, entropy: own.entropy, generator, counter, connector, dispose,
      setCounterBase(base) {
        state.base = base
        for (const listener of state.listeners) listener()
      },
      timer(name) {
        const [, device, port] = /^timer:(.+)\.([^.]+)$/.exec(name) ?? []
        return clocks.get(device ?? '')?.timer(port ?? '') ?? null
      },
    }
  } catch (error) {
    dispose()
    throw error
  }
}

/** What serves the shortcuts of a device that stays where it is. */
function shortcutsOf({ spec, config, regions, slot }: ResolvedDevice, { shortcuts }: AddressSpace): readonly Shortcut[] | undefined {
  if (shortcuts === null || slot !== null) return undefined
  return spec.shortcuts?.(config).map(({ kind, region = 0, offset, width }) => {
    const { base, space } = regions[region] ?? {}
    return (base === undefined || space === 'pio' ? null : shortcuts.add({ kind, address: base + offset, width })) ?? unservedShortcut
  })
}

/** A new arena. @throws a typed error when the host has no memory */
export function newArena(host: MachineHost): Arena {
  const maximum = Math.min(MAX_ARENA, host.maximumMemory ?? MAX_ARENA)
  return new Arena(host.linearMemory(maximum), maximum)
}

/** The arena that the host chooses, or a new one. @throws a typed error when the host has none */
export function arenaFor(host: MachineHost): Arena {
  return host.arena?.() ?? newArena(host)
}

/**
 * Memory for a machine, to which these ranges will be added.
 *
 * @throws a typed error when the host has none
 */
export function memoryFor(host: MachineHost, ranges: readonly { readonly size: number }[]): GuestMemory {
  const arena = arenaFor(host)
  const bytes = ranges.reduce((sum, { size }) => sum + size, 0)
  // What is promised nowhere had better be where it is nobody else's.
  if (host.spreads !== true || bytes <= (arena.overcommit ? arena.room : arena.most)) return new GuestMemory(arena)
  return new WideMemory(arena, () => arenaFor(host))
}

/** What is refused for harts that go by the clock. */
export function uncounted(part: string, remedy: string, what: string): MachinistError {
  return machinistError({ code: 'cannot-count', part, value: what, remedy }, 'its CPU does not count instructions')
}

/** A region of memory for the device that brought it along. */
function deviceMemory(memory: GuestMemory, region: RamRegion): DeviceMemory {
  const { base, size } = region
  const inside = (offset: number, length: number): boolean => offset >= 0 && offset + length <= size
  return {
    base, size,
    read: (offset, into) => inside(offset, into.length) && memory.read(base + offset, into),
    write: (offset, from) => inside(offset, from.length) && memory.write(base + offset, from),
    release: (offset, length) => inside(offset, length) && memory.release(base + offset, length),
    takeDirty: () => memory.takeDirty(region).map((address) => address - base),
  }
}

/** The line of one output; the devices at its other ends are looked up when it is driven, for they may not be made yet. */
function lineOf(device: ResolvedDevice, irq: string, cpu: Cpu, made: ReadonlyMap<string, Device>, wiring: Wiring): IrqLine {
  const wires = device.wires.filter((wire) => wire.irq === irq)
  if (wires.length === 0) return unconnected
  const name = `${device.name}.${irq}`
  return wiring.connect(name, wires.map(({ to, line }): WireEnd => {
    const end = inputKey(to, line)
    if (typeof line === 'number') return { to: end, drive: (level) => { made.get(to)?.input?.(line, level) }, send: (data) => { made.get(to)?.receive?.(line, data) } }
    const input = cpu.input(line)
    if (input === null) {
      throw machinistError({ code: 'bad-irq', part: name, value: line, remedy: "Use a name such as 'hart0.meip', of a hart that the CPU has." }, 'the CPU has no such input')
    }
    return { to: end, drive: (level) => { input.set(level) }, send: (data) => { input.send(data) } }
  }))
}

function clockOf(name: string, time: VirtualTime, timers: Timers, made: ReadonlyMap<string, Device>): Clock {
  const known = new Map<string, ReturnType<Timers['create']>>()
  return {
    now: () => time.now,
    timer(port) {
      let timer = known.get(port)
      if (timer === undefined) {
        timer = timers.create(`timer:${name}.${port}`, () => { made.get(name)?.event?.(port, undefined) })
        known.set(port, timer)
      }
      return timer
    },
  }
}

function generatorOf({ definition }: ResolvedMachine): SeededEntropy | null {
  const choice = definition.randomness ?? (definition.time === 'real' ? 'host' : { seed: 0 })
  return choice === 'host' ? null : seededEntropy(choice.seed)
}

function hostEntropy(host: MachineHost, tape: Tape | null): EntropyPort {
  return fromHost('randomness', 'entropy', host.entropy, tape, ['the host has no random bytes', 'Use a host with entropy, or randomness: { seed }.'])
}

function wallClockOf({ definition }: ResolvedMachine, host: MachineHost, time: VirtualTime, tape: Tape | null): WallClockPort {
  const choice = definition.wallClock ?? (definition.time === 'real' ? 'host' : { start: DEFAULT_EPOCH })
  if (choice !== 'host') return { now: () => BigInt(choice.start) * 1_000_000_000n + BigInt(time.now) }
  return fromHost('wallClock', 'wallClock', host.wallClock, tape, ['the host has no wall clock', 'Use a host with a clock, or wallClock: { start }.'])
}

/** What the host has for all parts. */
function fromHost<Port>(part: string, kind: 'entropy' | 'wallClock', port: Port | undefined, tape: Tape | null, [problem, remedy]: readonly [string, string]): Port {
  if (tape?.replaying === true) return tape.port(part, kind, () => null) as Port
  if (port === undefined) throw machinistError({ code: 'backend-missing', part, value: 'host', remedy }, problem)
  return tape === null ? port : tape.port(part, kind, () => port) as Port
}
