import { dirname, resolve } from 'node:path'
import { machinistError } from '@machinist/api'
import { checkOrigin, type Loaded, type MachineLoader, type MachineSpec } from '@machinist/hypervisor'
import { type BackendDescriptor, type MachineDefinition, parseDefinition } from '@machinist/machine'
import { openDisks } from '../disks/machine-disks.ts'
import { isUrl } from '../disks/disk.ts'
import { readImages } from '../files/images.ts'
import { openSnapshotFile, saveSnapshotFile } from '../snapshot/snapshot-file.ts'

/** Options of {@link machineLoader}. */
export interface MachineLoaderOptions {
  /** Reads a machine file. There are none unless given: their format is a product's. */
  readonly readMachine?: (file: string) => MachineDefinition | Promise<MachineDefinition>
  /** What relative paths of definitions are relative to; the working folder unless given. */
  readonly folder?: string
}

/** What a snapshot says of the disks of its machine, by part and port: in its definition these are open, and nameless. */
interface About {
  readonly disks: Readonly<Record<string, BackendDescriptor>>
}

/** Gives each backend of a definition's devices another descriptor, or the same. */
function withBackends(definition: MachineDefinition, change: (id: string, descriptor: BackendDescriptor) => BackendDescriptor): MachineDefinition {
  const devices = Object.entries(definition.devices).map(([name, device]) => {
    if (device.backends === undefined) return [name, device] as const
    return [name, { ...device, backends: Object.fromEntries(Object.entries(device.backends).map(([port, descriptor]) => [port, change(`${name}.${port}`, descriptor)])) }] as const
  })
  return { ...definition, devices: Object.fromEntries(devices) }
}

/** A disk's descriptor whose path is relative to nothing; others as they are. */
function absoluteDisk(descriptor: BackendDescriptor, folder: string): BackendDescriptor {
  if (typeof descriptor === 'string' || descriptor.type !== 'disk') return descriptor
  const { path, datastore } = descriptor
  if (typeof datastore === 'string') return { ...descriptor, datastore: resolve(folder, datastore) }
  return typeof path !== 'string' || isUrl(path) ? descriptor : { ...descriptor, path: resolve(folder, path) }
}

/** A definition whose disks are open. */
async function opened(spec: MachineSpec, definition: MachineDefinition, folder: string): Promise<Loaded & { readonly machine: { readonly definition: MachineDefinition } }> {
  checkOrigin(spec, definition)
  const disks: Record<string, BackendDescriptor> = {}
  // What is written into a snapshot holds wherever that is read.
  const absolute = withBackends(definition, (id, descriptor) => {
    const found = absoluteDisk(descriptor, folder)
    if (typeof found === 'object' && found.type === 'disk') disks[id] = found
    return found
  })
  const open = await openDisks({ definition: absolute, catalogue: [], backends: new Map() })
  return { machine: { definition: open.definition }, backends: open.backends, about: { disks } satisfies About }
}

/** A machine that was saved, and its disks. */
async function restored(spec: MachineSpec, file: string, base: MachineDefinition | null): Promise<Loaded> {
  const stored = openSnapshotFile(file)
  try {
    const { disks = {} } = (stored.about ?? {}) as Partial<About>
    const known = base === null ? {} : base.devices
    const definition = withBackends(parseDefinition(stored.definition as MachineDefinition), (id, descriptor) => {
      const [device = '', port = ''] = id.split('.')
      if (descriptor !== id) return descriptor
      return known[device]?.backends?.[port] ?? (Object.hasOwn(disks, id) ? disks[id] ?? descriptor : descriptor)
    })
    const { machine, backends, about } = await opened(spec, definition, dirname(file))
    return { machine: { stored: { ...stored, ...machine, image: (name) => stored.image(name) } }, ...(backends !== undefined && { backends }), about, close: () => { stored.close() } }
  } catch (error) {
    stored.close()
    throw error
  }
}

/**
 * Makes machines ready from files: images are read, disks opened, snapshots found; and saves machines into snapshots.
 *
 * @throws `load` rejects with typed errors `'file-…'`, and as `openDisks` and `openSnapshotFile`
 */
export function machineLoader({ readMachine, folder = '.' }: MachineLoaderOptions = {}): MachineLoader {
  /** What a specification says, and the folder that its paths are relative to. */
  const definitionOf = async ({ name, machine }: MachineSpec): Promise<{ readonly definition: MachineDefinition; readonly from: string } | null> => {
    if ('snapshot' in machine) return null
    if (!('file' in machine)) return { definition: machine, from: folder }
    if (readMachine === undefined) throw machinistError({ code: 'parameter', part: name, value: machine.file, remedy: 'Give a definition.' }, 'there are no machine files here')
    return { definition: await readMachine(machine.file), from: dirname(machine.file) }
  }
  return {
    async load(spec, snapshot) {
      const plain = await definitionOf(spec)
      const file = snapshot ?? ('snapshot' in spec.machine ? spec.machine.snapshot : undefined)
      if (file !== undefined) return restored(spec, file, plain && withBackends(plain.definition, (_, descriptor) => absoluteDisk(descriptor, plain.from)))
      if (plain === null) throw new TypeError('a machine without a definition')
      return opened(spec, readImages(plain.definition, plain.from), plain.from)
    },
    async save(machine, file, about) {
      await saveSnapshotFile(machine, file, about === undefined ? {} : { about })
    },
  }
}
