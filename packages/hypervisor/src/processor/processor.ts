import type { Catalogue, MachineHost } from '@machinist/machine'
import { type HandedMachine, instantiate, instantiateHanded, instantiateStored, type Machine, type MachineDefinition } from '@machinist/machine'
import { type Backend, machinistError } from '@machinist/api'
import { type ControlChannel, faultOf, type Measured, type Order } from '../channel/messages.ts'
import type { Grant, ResourceController } from '../contract/controller.ts'
import type { MachineReport, MachineSpec, MemoryMeans } from '../contract/machines.ts'
import type { ResourceKind, Usage } from '../contract/resources.ts'
import type { LocalTree } from '../table/local.ts'
import { Console } from './console.ts'
import { describedAs, withConsole } from './console-parts.ts'
import { CpuController } from './cpu.ts'
import { definitionsOnly, type Loaded, type MachineLoader } from './loader.ts'
import { type OtherProcessors } from './parallel.ts'
import { ParallelRunner } from './parallel-runner.ts'
import { type CpuRunner, Runner } from './runner.ts'

/** How often a processor reports what its machines use, in nanoseconds. */
const REPORT = 250_000_000

/** What a processor needs of the place where it is. */
export interface ProcessorOptions {
  readonly host: MachineHost
  /** The host of one machine, where each has one of its own; `host` unless given. */
  readonly hostOf?: (spec: MachineSpec) => MachineHost
  /** The specs that machines may name. */
  readonly catalogue: Catalogue
  /** How specifications become machines; definitions only, unless given. */
  readonly loader?: MachineLoader
  /** Who shares out memory, disks and networks among its machines. */
  readonly controllers?: readonly ResourceController[]
  /** CPU time of this thread, in nanoseconds, by which machines are charged. The host's clock unless given. */
  readonly cpuTime?: () => number
  /** Processors on which harts of machines run besides, where the CPUs of machines can do that; {@link HypervisorOptions.width} counts them. */
  readonly others?: OtherProcessors
}

const NO_BACKENDS: ReadonlyMap<string, Backend<unknown>> = new Map()

/** A machine on a processor. */
interface Guest {
  readonly spec: MachineSpec
  readonly machine: Machine
  /** What its harts had retired when it came here. */
  readonly began: number
  readonly console: Console
  /** The parts and ports that are connected to the console. */
  readonly ports: readonly string[]
  /** Why it cannot live elsewhere; null when it can. */
  readonly stays: string | null
  /** Its disks are in the memory of this thread, and end with it. */
  readonly fleeting: boolean
  /** What the loader knows of it. */
  readonly about: unknown
  /** Who switched it off. */
  by: 'guest' | 'host'
  close(): void
}

/**
 * Machines in one thread, which the control at the other end of a line makes, runs and ends. All of them run in one callback of the event loop.
 *
 * @returns what ends it, and all its machines
 */
export function runProcessor(channel: ControlChannel, options: ProcessorOptions): () => void {
  return new Processor(channel, options).start()
}

class Processor {
  readonly #channel: ControlChannel
  readonly #host: MachineHost
  readonly #hostOf: (spec: MachineSpec) => MachineHost
  readonly #catalogue: Catalogue
  readonly #loader: MachineLoader
  readonly #runner: CpuRunner
  readonly #lends: boolean
  readonly #cpu: CpuController
  readonly #controllers: readonly ResourceController[]
  readonly #guests = new Map<string, Guest>()
  /** Told what becomes of machines that were handed over. */
  readonly #verdicts = new Map<string, (taken: boolean) => void>()
  #cancelReport: () => void = () => {}
  #ended = false

  constructor(channel: ControlChannel, { host, hostOf = () => host, catalogue, loader = definitionsOnly, controllers = [], cpuTime = () => host.loop.now(), others }: ProcessorOptions) {
    this.#channel = channel
    this.#host = host
    this.#hostOf = hostOf
    this.#catalogue = catalogue
    this.#loader = loader
    this.#runner = others === undefined || others.count === 0 ? new Runner(host.loop, cpuTime, others) : new ParallelRunner(host.loop, others, cpuTime)
    this.#lends = others !== undefined && others.count > 0
    this.#cpu = new CpuController(this.#runner, () => host.loop.now())
    this.#controllers = [this.#cpu, ...controllers]
    for (const controller of controllers) {
      controller.listen?.((kind, name, text) => { channel.post({ type: 'event', kind, name, text }) })
      const work = controller.work?.bind(controller)
      if (work !== undefined) this.#runner.addChore(work)
    }
  }

  start(): () => void {
    const channel = this.#channel
    channel.onMessage = (message) => {
      switch (message.type) {
        case 'order': void this.#answer(message.id, message.order); break
        case 'tree': this.#apply(message.tree); break
        case 'grants':
          for (const { name, kind, grant } of message.grants) {
            if (this.#guests.has(name)) for (const controller of this.#controllers) if (controller.kind === kind) this.#grant(controller, name, grant)
          }
          this.#runner.stir()
          break
        case 'verdict': this.#verdicts.get(message.name)?.(message.taken); break
        case 'input': this.#guests.get(message.name)?.console.type(message.bytes); break
        case 'taken': this.#guests.get(message.name)?.console.taken(message.count); break
      }
    }
    channel.onClosed = () => { this.#end() }
    channel.post({ type: 'ready', kinds: this.#controllers.map(({ kind }) => kind) })
    this.#reportLater()
    return () => {
      this.#end()
      channel.close('the processor was ended')
    }
  }

  #apply(tree: LocalTree): void {
    try {
      this.#cpu.apply(tree)
    } catch (error) {
      this.#channel.post({ type: 'event', kind: 'warning', name: '', text: `terms of CPU time were not taken: ${faultOf(error).message}` })
    }
  }

  #grant(controller: ResourceController, name: string, grant: Grant): void {
    try {
      controller.grant(name, grant)
    } catch (error) {
      this.#channel.post({ type: 'event', kind: 'warning', name, text: `a grant of ${controller.kind} was not taken: ${faultOf(error).message}` })
    }
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#cancelReport()
    this.#runner.stop()
    for (const { machine, close } of this.#guests.values()) {
      machine.dispose()
      close()
    }
    this.#guests.clear()
    for (const controller of this.#controllers) controller.dispose?.()
  }

  async #answer(id: number, order: Order): Promise<void> {
    try {
      await this.#obey(order)
      this.#channel.post({ type: 'done', id })
    } catch (error) {
      this.#channel.post({ type: 'done', id, error: faultOf(error) })
    }
  }

  async #obey(order: Order): Promise<void> {
    switch (order.do) {
      case 'make': return this.#make(order.spec, order.snapshot)
      case 'pause': return this.#guest(order.name).machine.pause()
      case 'resume': {
        const { machine } = this.#guest(order.name)
        if (machine.state === 'paused') this.#run(order.name, machine)
        return
      }
      case 'reset': return this.#guest(order.name).machine.reset()
      case 'press':
        if (this.#guest(order.name).machine.pressPowerButton()) return
        throw machinistError({ code: 'no-power-button', part: order.name, remedy: 'Pull its plug.' }, 'its guest cannot be asked to switch it off')
      case 'off': {
        const guest = this.#guest(order.name)
        guest.machine.powerOff()
        return this.#retire(order.name, guest)
      }
      case 'fork': return this.#fork(this.#guest(order.name), order.spec)
      case 'give': return this.#give(order.name)
      case 'take': return this.#take(order.spec, order.handed, order.typed)
      case 'save': {
        const { machine, about, fleeting } = this.#guest(order.name)
        if (fleeting) {
          throw machinistError({ code: 'copy-disks', part: order.name, value: order.file, remedy: 'Save the machine that it is a copy of, or copy its files inside the guest.' }, 'a copy cannot be saved, as its disks end with it')
        }
        if (this.#loader.save === undefined) throw machinistError({ code: 'parameter', part: order.name, value: order.file, remedy: 'Run it where there are files.' }, 'this host has no files')
        return this.#loader.save(machine, order.file, about)
      }
    }
  }

  #guest(name: string): Guest {
    const guest = this.#guests.get(name)
    if (guest === undefined) throw machinistError({ code: 'machine-off', part: name, remedy: 'Start it first.' }, 'the machine does not run')
    return guest
  }

  /** Makes a machine of what is loaded for it, and takes it in. */
  async #assemble(spec: MachineSpec, snapshot: string | undefined, make: (loaded: Loaded, host: MachineHost, console: Console) => Pick<Guest, 'machine' | 'ports'>): Promise<Guest> {
    const loaded = await this.#loader.load(spec, snapshot)
    const console = this.#console(spec.name)
    try {
      if (this.#ended) throw ended(spec.name)
      const host = this.#controllers.reduce((before, controller) => controller.host?.(spec, before) ?? before, this.#hostOf(spec))
      const made = make(loaded, host, console)
      const guest: Guest = { spec, ...made, began: made.machine.stats.retired, console, stays: loaded.stays ?? null, fleeting: false, about: loaded.about, by: 'host', close: () => { loaded.close?.() } }
      try {
        await loaded.begin?.(made.machine)
        if (this.#ended) throw ended(spec.name)
        this.#adopt(guest)
      } catch (error) {
        made.machine.dispose()
        throw error
      }
      return guest
    } catch (error) {
      for (const backend of loaded.backends?.values() ?? []) backend.close?.()
      loaded.close?.()
      throw error
    }
  }

  async #make(spec: MachineSpec, snapshot?: string): Promise<void> {
    const { machine } = await this.#assemble(spec, snapshot, (loaded, host, console) => this.#instantiate(loaded, host, console))
    this.#run(spec.name, machine)
  }

  async #take(spec: MachineSpec, handed: HandedMachine, typed: Uint8Array): Promise<void> {
    const { console } = await this.#assemble(spec, undefined, (loaded, host, own) => {
      const { machine, backends } = loaded
      const catalogue = this.#catalogueOf(loaded)
      const plain = 'stored' in machine ? machine.stored.definition : machine.definition
      const { definition, ports } = withConsole(describedAs(handed.definition, plain as MachineDefinition), catalogue)
      const given = { ...Object.fromEntries(backends ?? NO_BACKENDS), ...Object.fromEntries(ports.map((port) => [port, own])) }
      return { machine: instantiateHanded({ ...handed, definition }, catalogue, host, { backends: given }), ports }
    })
    console.type(typed)
  }

  async #give(name: string): Promise<void> {
    const guest = this.#guest(name)
    const { machine, console } = guest
    if (guest.stays !== null) throw machinistError({ code: 'not-movable', part: name, remedy: 'Move others instead, or stop it, and start it elsewhere.' }, `it cannot be moved: ${guest.stays}`)
    await machine.handOver((handed) => {
      console.flush()
      const typed = console.untype()
      const taken = new Promise<void>((resolve, reject) => {
        this.#verdicts.set(name, (is) => {
          this.#verdicts.delete(name)
          if (is) resolve()
          else {
            console.type(typed)
            reject(machinistError({ code: 'not-taken', part: name, remedy: 'Try again, or another processor.' }, 'the other processor did not take the machine'))
          }
        })
      })
      const runs = machine.state === 'running' || this.#controllers.some((controller) => controller.holds?.(name) === true)
      this.#channel.post({ type: 'handed', name, handed, typed, runs, measured: this.#measure(name, guest) })
      return taken
    })
    this.#forget(name, guest)
  }

  #catalogueOf({ catalogue = [] }: Loaded): Catalogue {
    return [...catalogue, ...this.#catalogue]
  }

  #instantiate(loaded: Loaded, host: MachineHost, console: Console): Pick<Guest, 'machine' | 'ports'> {
    const { machine, backends = NO_BACKENDS, image } = loaded
    const catalogue = this.#catalogueOf(loaded)
    const given = 'stored' in machine ? machine.stored.definition : machine.definition
    const { definition, ports } = withConsole(given as Parameters<typeof withConsole>[0], catalogue)
    const live = new Map([...backends, ...ports.map((port) => [port, console] as const)])
    if ('stored' in machine) return { machine: instantiateStored({ ...machine.stored, definition, image: (file) => machine.stored.image(file) }, catalogue, host, { backends: Object.fromEntries(live) }), ports }
    return { machine: instantiate(definition, catalogue, host, { backends: live, ...(image !== undefined && { image }) }), ports }
  }

  async #fork({ machine, ports }: Guest, spec: MachineSpec): Promise<void> {
    const console = this.#console(spec.name)
    const copy = await machine.fork({ start: false, backends: Object.fromEntries(ports.map((port) => [port, console])) })
    try {
      const fleeting = copy.resolved.devices.some((device) => Object.values<unknown>(device.spec.backends).includes('block'))
      const stays = fleeting ? 'a copy has its disks in the memory of its processor' : null
      this.#adopt({ spec, machine: copy, began: copy.stats.retired, console, ports, stays, fleeting, about: undefined, by: 'host', close() {} })
      this.#run(spec.name, copy)
    } catch (error) {
      copy.dispose()
      throw error
    }
  }

  #console(name: string): Console {
    return new Console(this.#host.loop, (bytes) => { this.#channel.post({ type: 'output', name, bytes }) })
  }

  /** Takes in a machine, which does not run yet. */
  #adopt(guest: Guest): void {
    const { spec, machine, console } = guest
    const { name } = spec
    const run = (slice: number, here?: boolean): ReturnType<Machine['runSlice']> => {
      const result = machine.runSlice(slice, here)
      // What it said does not wait for others, which may run next in the same turn.
      console.flush()
      return result
    }
    this.#runner.add(name, run, this.#cpu.parameters(name), machine)
    this.#guests.set(name, guest)
    for (const controller of this.#controllers) controller.add(name, machine, spec)
    machine.on('state', ({ to }) => {
      if (to === 'running') this.#runner.wake(name)
      else this.#runner.block(name)
      // What has come to its end is forgotten, though not beneath its own feet.
      if (to === 'off') this.#host.loop.soon(() => { void this.#retire(name, guest) })
      else if (to !== 'disposed') this.#channel.post({ type: 'state', name, state: to, status: null, error: null })
    })
    machine.on('power', ({ by }) => { guest.by = by })
    machine.on('warn', ({ part, message }) => { this.#channel.post({ type: 'event', kind: 'warning', name, text: `${part}: ${message}` }) })
  }

  #run(name: string, machine: Machine): void {
    machine.start({ drive: 'caller', lent: this.#lends, onWake: () => { this.#runner.wake(name) } })
  }

  async #retire(name: string, guest: Guest): Promise<void> {
    if (this.#guests.get(name) !== guest) return
    const { machine, console } = guest
    const { status, error } = await machine.finished()
    if (this.#guests.get(name) !== guest) return
    console.flush()
    this.#channel.post({ type: 'report', machines: [this.#measure(name, guest)] })
    this.#forget(name, guest)
    this.#channel.post({ type: 'state', name, state: 'off', status, error: error && faultOf(error), by: guest.by })
  }

  #forget(name: string, { machine, close }: Guest): void {
    this.#guests.delete(name)
    for (const controller of this.#controllers) controller.remove(name)
    // Its harts leave the processors that they are on.
    machine.dispose()
    this.#runner.remove(name)
    close()
  }

  #reportLater(): void {
    this.#cancelReport = this.#host.loop.after(REPORT, () => {
      const room = this.#controllers.find(({ kind }) => kind === 'memory')?.room?.()
      this.#channel.post({ type: 'report', machines: [...this.#guests].map(([name, guest]) => this.#measure(name, guest)), ...(room !== undefined && { room }) })
      this.#reportLater()
    })
  }

  #measure(name: string, guest: Guest): Measured {
    const { machine, began } = guest
    const touched = machine.memory.touchedPages
    const plain: MemoryMeans = { touched, own: touched, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 }
    const usage: Partial<Record<ResourceKind, Usage>> = { memory: { demand: touched * 4096, used: touched * 4096 } }
    let report: Pick<MachineReport, 'cpu' | 'memory' | 'disk' | 'network' | 'retired'> = {
      cpu: { used: 0, ready: 0, held: 0 },
      memory: plain,
      disk: { readBytes: 0, writtenBytes: 0, requests: 0 },
      network: { sentBytes: 0, receivedBytes: 0, frames: 0 },
      retired: machine.stats.retired - began,
    }
    for (const controller of this.#controllers) {
      usage[controller.kind] = controller.usage(name)
      report = { ...report, ...controller.report?.(name) }
    }
    return { name, usage, report, ...(guest.stays !== null && { stays: true }) }
  }
}

function ended(name: string): Error {
  return machinistError({ code: 'processor-ended', part: name, remedy: 'Start it on another processor.' }, 'the processor was ended')
}
