import { type Backend, type BackendKind, isMachinistError, machinistError } from '@machinist/api'
import { decodeUtf8, parseFdt, readCpio } from '@machinist/boot'
import { createHypervisor, diskController, type FromProcessor, localChannel, type MachineReport, type MachineSpec, type MemoryController, networkController, type OwnHypervisor, type PoolSpec, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import type { BackendDescriptor, Catalogue } from '@machinist/machine'
import { type DatastoreImage, type MetalDatastore, openMetalDatastore } from '../datastore/datastore.ts'
import { openMachineDisks } from '../datastore/machine-disks.ts'
import { type Board, openBoard } from '../drivers/board.ts'
import { interruptController } from '../drivers/interrupts/choose.ts'
import { DmaMemory } from '../drivers/dma-memory.ts'
import { seededByFirmware } from '../entropy.ts'
import { metalHost, type MetalHost } from '../host.ts'
import { type Monitor, startMonitor } from '../monitor/monitor.ts'
import type { Native, PhysicalRange } from '../native.ts'
import { hardwareRiscv } from '../vcpu/spec.ts'
import { sharedMemory } from './memory.ts'

/** What the file {@link PLAN} in an image says. */
export interface AppliancePlan {
  readonly pools: readonly PoolSpec[]
  /** In the order in which they start. */
  readonly machines: readonly MachineSpec[]
}

/** The name of the plan among the files of an image. Images of machines are files beside it. */
export const PLAN = 'plan.json'

/** Bytes for what drivers share with devices. */
const DMA = 32 * 2 ** 20
/** Bytes of a frame. */
const PAGE = 4096

/** What is particular about the place where an appliance runs. */
export interface ApplianceOptions {
  /** The specs of devices that machines may name. */
  readonly devices: Catalogue
  /** Makes backends that a definition names and the appliance does not have. */
  readonly backend?: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
  /** Told of the hardware before there are machines: networks of theirs may be joined to its own, say. */
  readonly opened?: (board: Board, host: MetalHost) => void
}

/** Machines of an image, on the hardware. */
export interface Appliance {
  readonly host: MetalHost
  readonly board: Board
  readonly hypervisor: OwnHypervisor
  /** One turn of the event loop. What goes wrong in it concerns one thing of many: it is shown. */
  turn(): void
}

/** Takes memory for drivers off the end of the longest range. */
function divided(ranges: readonly PhysicalRange[]): { readonly drivers: PhysicalRange; readonly machines: readonly PhysicalRange[] } {
  const [longest, ...others] = ranges.toSorted((one, other) => other.length - one.length)
  const length = longest === undefined ? 0 : longest.length - DMA
  if (longest === undefined || length < DMA) throw machinistError({ code: 'host-memory', part: 'hardware', value: longest?.length ?? 0, remedy: 'Use hardware with more memory.' }, 'there is no memory for drivers and machines')
  return { drivers: { base: longest.base + length, length: DMA }, machines: [{ base: longest.base, length }, ...others] }
}

/** The seed that firmware hands over for random bytes (`rng-seed` in `/chosen`), with the time at which somebody looks: better than nothing where there is none. */
function entropyOf(native: Native): ReturnType<typeof seededByFirmware> {
  const seed = parseFdt(new Uint8Array(native.fdt), 'hardware').find('/chosen')?.properties.get('rng-seed') ?? new Uint8Array(0)
  const all = new Uint8Array(seed.length + 16)
  all.set(seed)
  new DataView(all.buffer).setFloat64(seed.length, native.now())
  return seededByFirmware(all)
}

/**
 * Makes the machines that an image holds, and starts them: all that say nothing else. On the console of the hardware is a monitor, which shows the console of the first one. When all have ended, the hardware is
 * switched off.
 *
 * @throws typed errors for an image without a plan, and hardware without memory
 */
export function openAppliance(native: Native, { devices, backend, opened }: ApplianceOptions): Appliance {
  const files = new Map(readCpio(new Uint8Array(native.files), 'image').map(({ path, bytes }) => [path, bytes]))
  const file = (name: string): Uint8Array => {
    const bytes = files.get(name)
    if (bytes === undefined) throw machinistError({ code: 'image-file', part: 'image', value: name, remedy: 'Build the image again.' }, 'the image has no such file')
    return bytes
  }
  const plan = JSON.parse(decodeUtf8(file(PLAN))) as AppliancePlan
  const memory = divided(native.ram())
  const board = openBoard(native, new Uint8Array(native.fdt), {
    memory: new DmaMemory(native, { address: memory.drivers.base, length: memory.drivers.length }),
    interrupts: interruptController(native),
    warn: (text) => { native.print(`${text}\n`) },
  })
  for (const problem of board.problems) native.print(`${problem.message}\n`)
  const host = metalHost(native, {
    memory: memory.machines,
    entropy: entropyOf(native),
    wallClock: board.clock ?? { now: () => BigInt(Math.floor(native.now())) },
    ...(backend && { backend }),
  })
  host.loop.onTurn(() => board.dispatch() > 0)
  const poll = (): void => { host.loop.after(Math.max(1e6, Math.min(1e9, board.poll() - native.now())), poll) }
  poll()
  opened?.(board, host)
  // Nobody but who wants a disk waits for one that does not answer.
  const datastore = openMetalDatastore(board.disks)
  const { capacity, controller } = sharedMemory(native, host)
  const hypervisor = createHypervisor({
    loop: host.loop,
    capacity: { memory: capacity },
    width: native.harts,
    open: () => {
      const [control, processor] = localChannel<ToProcessor, FromProcessor>(host.loop)
      runProcessor(processor, {
        host,
        others: host.others,
        cpuTime: host.cpuTime,
        catalogue: [hardwareRiscv(native), ...devices],
        controllers: [controller, diskController(), networkController()],
        loader: { load: async ({ machine }) => {
          if (!('version' in machine)) throw machinistError({ code: 'parameter', part: 'machine', remedy: 'Give a definition.' }, 'an image has no machine files')
          const { definition, backends } = await openMachineDisks(machine, await datastore)
          return { machine: { definition }, backends, image: file }
        } },
      })
      return control
    },
  })
  let monitor: Monitor | null = null
  const report = (error: unknown): void => {
    if (monitor !== null) monitor.report(error)
    else native.print(`\n${error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error)}\n`)
  }
  begin({ native, host, hypervisor, board, datastore, controller }, plan, report, (started) => { monitor = started }).catch(report)
  return {
    host, board, hypervisor,
    turn() {
      try {
        host.loop.turn()
      } catch (error) {
        report(error)
      }
    },
  }
}

/** What was said leaves the hardware before it is switched off, in nanoseconds. */
const LAST_WORDS = 200_000_000

type Begun = Pick<Appliance, 'host' | 'hypervisor' | 'board'> & { readonly native: Native; readonly datastore: Promise<MetalDatastore>; readonly controller: MemoryController }

async function begin({ native, host, hypervisor, board, datastore, controller }: Begun, { pools, machines }: AppliancePlan, report: (error: unknown) => void, watched: (monitor: Monitor) => void): Promise<void> {
  const { loop } = host
  let begun = false
  let looks = false
  const restarts = new Map(machines.map(({ name, restart }) => [name, restart]))
  const ended = ({ name, state, error }: MachineReport): boolean => {
    const restart = restarts.get(name)
    return state !== 'running' && state !== 'paused' && restart !== 'always' && (restart !== 'on-failure' || error === null)
  }
  /** After what was said has left. */
  const look = (): void => {
    if (!begun || looks) return
    looks = true
    loop.after(LAST_WORDS, () => {
      looks = false
      hypervisor.machines().then((all) => { if (all.every(ended)) native.powerOff(0) }, report)
    })
  }
  hypervisor.on(({ kind }) => { if (kind === 'off' || kind === 'failed' || kind === 'lost') look() })
  for (const pool of pools) await hypervisor.addPool(pool).catch(report)
  const refused = new Map<string, unknown>()
  for (const machine of machines) await hypervisor.add(machine).catch((error: unknown) => { refused.set(machine.name, error) })
  const admitted = machines.filter(({ name }) => !refused.has(name))
  const console = board.consoles[0]?.connect((callback) => { callback() })
  const [first] = admitted
  const images: DatastoreImage[] = []
  let note = (text: string): void => { native.print(`${text}\n`) }
  if (console !== undefined) {
    const monitor = startMonitor({
      hypervisor, console, images, hardware: () => ({ harts: native.harts, memory: host.memory, free: Math.max(0, host.memory - controller.frames * PAGE), heap: native.heap(), up: loop.now(), idle: loop.idleTime }), now: () => loop.now(), after: (duration, call) => loop.after(duration, call), powerOff: () => { loop.after(LAST_WORDS, () => native.powerOff(0)) },
      ...(first !== undefined && { first: first.name }),
    })
    watched(monitor)
    note = (text) => { monitor.note(text) }
  }
  datastore.then((store) => {
    images.push(...store.images)
    for (const { message } of store.problems) note(message)
  }, report)
  const stays = (name: string, error: unknown): void => {
    if (isMachinistError(error)) note(`[${name} was not started. ${error.message}]`)
    else report(error)
  }
  refused.forEach((error, name) => { stays(name, error) })
  // At the same time: who waits for a disk that does not answer keeps nobody from starting.
  const started = await Promise.all(admitted.filter(({ autostart }) => autostart !== false).map(({ name }) => hypervisor.start(name).then(() => true, (error: unknown) => {
    stays(name, error)
    return false
  })))
  begun = true
  // When none has started, somebody will see to it at the monitor.
  if (started.includes(true)) look()
}
