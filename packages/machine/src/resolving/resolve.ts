import { type CpuSpec, type DeviceSpec, machinistError, type Resolved, type ResolvedIrq } from '@machinist/api'
import { type Catalogue, cpuSpec, deviceSpec } from '../definition/catalogue.ts'
import { CPU_PART, DEFAULT_TIME_FREQUENCY, type DeviceDefinition, type MachineDefinition, type MemoryRange } from '../definition/definition.ts'
import { type PlacedRegion, placeDevices, placeMemory } from './placement.ts'
import { checkHarts, routeInterrupts, type Wire } from './routing.ts'
import { placeFunctions, type ResolvedSlot } from './slots.ts'

/** A device, its configuration checked, with its place and wires. */
export interface ResolvedDevice {
  readonly name: string
  readonly spec: DeviceSpec
  readonly config: unknown
  readonly definition: DeviceDefinition
  /** Of a PCI device, those that are not behind BARs: of the others its guest decides. */
  readonly regions: readonly PlacedRegion[]
  /** Memory of its own. */
  readonly memory: readonly MemoryRange[]
  /** Of a PCI device; null for others. */
  readonly slot: ResolvedSlot | null
  readonly wires: readonly Wire[]
}

/** A definition with every decision made. */
export interface ResolvedMachine {
  readonly definition: MachineDefinition
  readonly memory: readonly MemoryRange[]
  readonly cpu: { readonly spec: CpuSpec; readonly config: unknown; readonly harts: number }
  readonly devices: readonly ResolvedDevice[]
  readonly timeFrequency: number
  /** Name of the default interrupt controller, null when there is none. */
  readonly interruptController: string | null
}

/** A device before it has a place. */
export interface ConfiguredDevice {
  readonly name: string
  readonly spec: DeviceSpec
  readonly config: unknown
  readonly definition: DeviceDefinition
}

/**
 * Decides everything that a definition leaves open, always in the same way: which specs make the parts, where devices
 * without an address go, which inputs their interrupts take. Pure: nothing is made, nothing of the host is touched.
 *
 * @throws typed errors: `'unknown-kind'`; whatever the specs' `configure` throws; `'overlap'`, naming both parts;
 * `'no-room'`; `'slot-taken'`, naming both, `'bad-slot'`, `'no-pci-host'`, `'no-free-slot'`; `'unknown-part'`, `'bad-irq'`, `'irq-taken'`,
 * `'no-controller'`, `'no-free-input'`, `'hart-not-served'`, `'bad-memory'`
 */
export function resolve(definition: MachineDefinition, catalogue: Catalogue): ResolvedMachine {
  const spec = cpuSpec(catalogue, definition.cpu.kind, CPU_PART)
  const config = spec.configure(definition.cpu.config ?? {}, CPU_PART)
  const configured: ConfiguredDevice[] = Object.entries(definition.devices).map(([name, device]) => {
    const found = deviceSpec(catalogue, device.kind, name)
    return { name, spec: found, config: found.configure(device.config ?? {}, name), definition: device }
  })
  const slots = placeFunctions(configured)
  const regions = placeDevices(configured, definition, spec.portSpace ?? false)
  const memory = placeMemory(configured, definition, regions)
  const interruptController = controllerOf(definition, configured)
  const wires = routeInterrupts(configured, interruptController, slots)
  const harts = spec.harts(config)
  checkHarts(configured, wires, harts)
  return {
    definition,
    memory: definition.memory,
    cpu: { spec, config, harts },
    devices: configured.map((device) => ({
      ...device, regions: regions.get(device.name) ?? [], memory: memory.get(device.name) ?? [], slot: slots.get(device.name) ?? null, wires: wires.get(device.name) ?? [],
    })),
    timeFrequency: definition.timeFrequency ?? DEFAULT_TIME_FREQUENCY,
    interruptController,
  }
}

function controllerOf(definition: MachineDefinition, devices: readonly ConfiguredDevice[]): string | null {
  const named = definition.interruptController
  // A PCI host has inputs as well, but only for what is plugged into it.
  if (named === undefined) return devices.find(({ spec }) => spec.inputs !== undefined && spec.slots === undefined)?.name ?? null
  const device = devices.find((each) => each.name === named)
  if (device?.spec.inputs === undefined) {
    const controllers = devices.filter(({ spec }) => spec.inputs !== undefined).map(({ name }) => name)
    throw machinistError(
      { code: 'unknown-part', part: 'interruptController', value: named, remedy: `Use one of ${controllers.join(', ') || 'none'}.` },
      device === undefined ? 'no such device' : 'that device has no inputs')
  }
  return named
}

/** What a device's `describe` is told about its place. */
export function resolvedFor(machine: ResolvedMachine, device: ResolvedDevice): Resolved {
  return {
    name: device.name,
    regions: device.regions.map(({ base, size }) => ({ base, size })),
    irqs: device.wires.map(({ irq, to, line }) => ({ irq, to, line, ...referenceTo(machine, to, line) })),
    harts: machine.cpu.harts,
    timeFrequency: machine.timeFrequency,
  }
}

function referenceTo(machine: ResolvedMachine, to: string, line: number | string): Pick<ResolvedIrq, 'ref' | 'cells' | 'systemInterrupt'> {
  if (typeof line !== 'number') return machine.cpu.spec.inputReference?.(line) ?? { ref: to, cells: [] }
  const controller = machine.devices.find(({ name }) => name === to)
  const systemInterrupt = controller?.spec.systemInterrupt?.(line, controller.config)
  return { ref: to, cells: controller?.spec.inputCells?.(line) ?? [line], ...(systemInterrupt !== undefined && { systemInterrupt }) }
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`

const port = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`

/** A resolved machine for people to read: memory map in order of addresses, ports, PCI slots as `bus:device.function`, and interrupts. */
export function printMachine(machine: ResolvedMachine): string {
  const regionsIn = (space: PlacedRegion['space']): { base: number; size: number; what: string }[] => machine.devices.flatMap((device) =>
    device.regions.filter((region) => region.space === space).map(({ base, size, name }) => ({ base, size, what: `${device.name} ${name} (${device.spec.kind})` })))
  const ranges = [
    ...machine.memory.map((range) => ({ base: range.base, size: range.size, what: `${range.name} (RAM, ${range.size / 2 ** 20} MiB)` })),
    ...machine.devices.flatMap((device) => device.memory.map((range) => ({ base: range.base, size: range.size, what: `${range.name} (memory, ${range.size / 2 ** 20} MiB)` }))),
    ...regionsIn('mmio'),
  ].sort((a, b) => a.base - b.base)
  const ports = regionsIn('pio').sort((a, b) => a.base - b.base)
  const slots = machine.devices.flatMap(({ name, spec, slot }) => slot === null ? [] : [`  ${slot.host} 00:${slot.device.toString(16).padStart(2, '0')}.${slot.function}  ${name} (${spec.kind})`])
  const wires = machine.devices.flatMap((device) => device.wires.map(({ irq, to, line }) => `${device.name}.${irq} -> ${to} ${line}`))
  return [
    `${machine.definition.name}: ${machine.cpu.harts} hart${machine.cpu.harts === 1 ? '' : 's'} (${machine.cpu.spec.kind}), time ${machine.timeFrequency} Hz`,
    ...ranges.map(({ base, size, what }) => `  ${hex(base)} - ${hex(base + size - 1)}  ${what}`),
    ...ports.map(({ base, size, what }) => `  ports ${port(base)} - ${port(base + size - 1)}  ${what}`),
    ...slots,
    ...wires.map((wire) => `  ${wire}`),
  ].join('\n')
}
