import { type Backend, type BackendPorts, type BackendWants, type CpuSpec, type DeviceSpec, machinistError } from '@machinist/api'
import type { AnySpec, Catalogue } from './catalogue.ts'
import { parseDefinition } from './check.ts'
import type { BackendDescriptor, IrqChoice, MachineDefinition, MemoryRange, SlotChoice } from './definition.ts'

/** Backends of a part: live ones, or descriptors that a host turns into them. */
export type BackendChoices<Wants extends BackendWants> = {
  readonly [Name in keyof Wants]?: Backend<BackendPorts[Wants[Name]]> | BackendDescriptor
}

/** What a device part may be given besides its spec. */
export interface DeviceOptions<Config, Irq extends string, Wants extends BackendWants> {
  /** Fields of the device's configuration; the rest is as the spec has it. */
  readonly config?: Partial<NoInfer<Config>>
  /** Base address of the first region, or of all, in order. Placed by the machine when absent. */
  readonly at?: number | readonly number[]
  /** For a PCI device, instead of an address: its slot. The lowest free one, in the order of the definition, when absent. */
  readonly slot?: SlotChoice
  /** Routes of its interrupts. By default a controller's outputs go where its spec says, and others to the first free input. */
  readonly irq?: IrqChoice | { readonly [Name in NoInfer<Irq>]?: IrqChoice }
  readonly backends?: BackendChoices<NoInfer<Wants>>
}

/** What a CPU part may be given besides its spec. */
export interface CpuOptions<Config, Wants extends BackendWants> {
  readonly config?: Partial<NoInfer<Config>>
  readonly backends?: BackendChoices<NoInfer<Wants>>
}

/** A device of a machine to be defined; {@link part} makes it. */
export interface DevicePart {
  readonly spec: DeviceSpec
  readonly options: DeviceOptions<unknown, string, BackendWants>
}

/** The CPU of a machine to be defined; {@link part} makes it. */
export interface CpuPart {
  readonly spec: CpuSpec
  readonly options: CpuOptions<unknown, BackendWants>
}

/** Pairs a CPU's spec with its configuration, which is checked against the spec's type. */
export function part<Config, Memory, Bus, Wants extends BackendWants>(spec: CpuSpec<Config, Memory, Bus, Wants>, options?: CpuOptions<Config, Wants>): CpuPart
/** Pairs a device's spec with its configuration, place, wires and backends, checked against the spec's types. */
export function part<Config, S, Irq extends string, Wants extends BackendWants>(spec: DeviceSpec<Config, S, Irq, Wants>, options?: DeviceOptions<Config, Irq, Wants>): DevicePart
export function part(spec: AnySpec, options: unknown = {}): CpuPart | DevicePart {
  return { spec, options } as CpuPart | DevicePart
}

/** A {@link MemoryRange}, which need not have a name. */
export type MemoryOptions = Omit<MemoryRange, 'name'> & Partial<Pick<MemoryRange, 'name'>>

/** What {@link defineMachine} is given: a {@link MachineDefinition} with parts in the place of kinds. */
export interface MachineOptions extends Omit<MachineDefinition, 'version' | 'cpu' | 'devices' | 'memory' | 'time'> {
  readonly memory: MemoryOptions | readonly MemoryOptions[]
  readonly cpu: CpuPart
  readonly devices: Readonly<Record<string, DevicePart>>
  /** `'real'` unless given. */
  readonly time?: MachineDefinition['time']
}

/** A machine that can be instantiated here, or, by its definition, elsewhere. */
export interface MachineBlueprint {
  /** Plain data: can be cloned, sent to a worker, and (without images) written as JSON. */
  readonly definition: MachineDefinition
  /** The specs that the definition names. */
  readonly catalogue: Catalogue
  /** The live backends that parts were given, by `part.backend`; the definition names them so. */
  readonly backends: ReadonlyMap<string, Backend<unknown>>
}

function isBackend(choice: unknown): choice is Backend<unknown> {
  return typeof choice === 'object' && choice !== null && 'connect' in choice && typeof choice.connect === 'function'
}

/**
 * Puts a machine together from parts. Nothing runs yet, and nothing of the host is touched.
 *
 * @throws a typed error when a field is wrong, or two specs share a kind; what depends on addresses and interrupts
 * is found by `resolve` and `instantiate`
 */
export function defineMachine(options: MachineOptions): MachineBlueprint {
  const specs = new Map<string, AnySpec>()
  const backends = new Map<string, Backend<unknown>>()
  const plain = (name: string, { spec, options: given }: CpuPart | DevicePart): Record<string, unknown> => {
    const other = specs.get(spec.kind)
    if (other !== undefined && other !== spec) {
      throw machinistError({ code: 'kind-twice', part: name, value: spec.kind, remedy: 'Give each spec a kind of its own.' }, 'another spec has the same kind')
    }
    specs.set(spec.kind, spec)
    const descriptors: Record<string, unknown> = {}
    for (const [port, choice] of Object.entries(given.backends ?? {})) {
      if (choice === undefined) continue
      if (!isBackend(choice)) {
        descriptors[port] = choice
        continue
      }
      const id = `${name}.${port}`
      backends.set(id, choice)
      descriptors[port] = id
    }
    const { backends: _, ...rest } = given
    return { kind: spec.kind, ...rest, ...(Object.keys(descriptors).length === 0 ? {} : { backends: descriptors }) }
  }
  const definition = parseDefinition({
    ...options,
    version: 1,
    cpu: plain('cpu', options.cpu),
    devices: Object.fromEntries(Object.entries(options.devices).map(([name, each]) => [name, plain(name, each)])),
  })
  return { definition, catalogue: [...specs.values()], backends }
}
