import { dirname, resolve } from 'node:path'
import { machinistError } from '@machinist/api'
import { checkOrigin, type Loaded, type MachineLoader, type MachineSpec } from '@machinist/hypervisor'
import { type BackendDescriptor, type Catalogue, type MachineDefinition, parseDefinition } from '@machinist/machine'
import { openDisks } from '../disks/machine-disks.ts'
import { isUrl } from '../disks/disk.ts'
import { readImages } from '../files/images.ts'
import { openSnapshotFile, saveSnapshotFile } from '../snapshot/snapshot-file.ts'
import { type KeptMachineSession, openKept } from './kept-machine.ts'

/** What is in a machine file. */
export interface ReadMachine {
  readonly definition: MachineDefinition
  readonly catalogue?: Catalogue
}

/** Options of {@link machineLoader}. */
export interface MachineLoaderOptions {
  /** Reads a machine file: a definition, and specs that it may name besides those of the processor. There are none unless given: their format is a product's. */
  readonly readMachine?: (file: string) => ReadMachine | Promise<ReadMachine>
  /** What relative paths of definitions are relative to; the working folder unless given. */
  readonly folder?: string
}

/** What a snapshot says of the disks of its machine, by part and port: in its definition these are open, and nameless. */
interface About {
  readonly disks: Readonly<Record<string, BackendDescriptor>>
  /** The disks in the folder of its snapshots, as they were. */
  readonly kept?: readonly string[]
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
async function opened(spec: MachineSpec, definition: MachineDefinition, folder: string, session: KeptMachineSession | null): Promise<Loaded & { readonly machine: { readonly definition: MachineDefinition } }> {
  checkOrigin(spec, definition)
  const disks: Record<string, BackendDescriptor> = {}
  // What is written into a snapshot holds wherever that is read.
  const absolute = withBackends(definition, (id, descriptor) => {
    const found = absoluteDisk(descriptor, folder)
    if (typeof found === 'object' && found.type === 'disk') disks[id] = found
    return session?.disks.has(id) === true ? id : found
  })
  const open = await openDisks({ definition: absolute, catalogue: [], backends: new Map(session?.disks) })
  const about: About = { disks, ...(session !== null && { kept: session.at }) }
  return { machine: { definition: open.definition }, backends: open.backends, about }
}

/** A machine that was saved, and its disks. */
async function restored(spec: MachineSpec, file: string, base: MachineDefinition | null, session: KeptMachineSession | null = null): Promise<Loaded> {
  const stored = openSnapshotFile(file)
  try {
    const { disks = {}, kept } = (stored.about ?? {}) as Partial<About>
    if (file !== session?.memory && String(kept) !== String(session?.at)) {
      throw machinistError({ code: 'snapshot-disks', part: spec.name, value: file, remedy: 'Give it up: machinist stop, and then start.' }, 'its disks are not any more what they were when it was saved, as it went back to a snapshot')
    }
    const known = base === null ? {} : base.devices
    const definition = withBackends(parseDefinition(stored.definition as MachineDefinition), (id, descriptor) => {
      const [device = '', port = ''] = id.split('.')
      if (descriptor !== id) return descriptor
      return known[device]?.backends?.[port] ?? (Object.hasOwn(disks, id) ? disks[id] ?? descriptor : descriptor)
    })
    const { machine, backends, about } = await opened(spec, definition, dirname(file), session)
    return { machine: { stored: { ...stored, ...machine, image: (name) => stored.image(name) } }, ...(backends !== undefined && { backends }), about, close: () => { stored.close() } }
  } catch (error) {
    stored.close()
    throw error
  }
}

/** A machine that is kept in a folder with its snapshots: it goes on from one, or begins. */
async function kept(spec: MachineSpec, folder: string, file: string | undefined, definition: MachineDefinition | null, from: string): Promise<Loaded> {
  if (definition === null) throw machinistError({ code: 'snapshot-parts', part: spec.name, value: folder, remedy: 'Give it a definition, or leave out snapshots.' }, 'a machine that begins with a snapshot cannot be kept with others')
  const session = await openKept(folder, definition)
  try {
    const memory = file ?? session.memory
    const loaded = memory === null ? await opened(spec, readImages(definition, from), from, session) : await restored(spec, memory, definition, session)
    return {
      ...loaded,
      stays: 'its snapshots are open in its processor',
      begin: (machine) => session.begin(machine),
      close() {
        loaded.close?.()
        // Whoever opens it next waits for it, and mends what was not done.
        session.end().catch(() => undefined)
      },
    }
  } catch (error) {
    await session.end()
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
  const definitionOf = async ({ name, machine }: MachineSpec): Promise<ReadMachine & { readonly from: string } | null> => {
    if ('snapshot' in machine) return null
    if (!('file' in machine)) return { definition: machine, from: folder }
    if (readMachine === undefined) throw machinistError({ code: 'parameter', part: name, value: machine.file, remedy: 'Give a definition.' }, 'there are no machine files here')
    return { ...await readMachine(machine.file), from: dirname(machine.file) }
  }
  const load = (spec: MachineSpec, snapshot: string | undefined, plain: Awaited<ReturnType<typeof definitionOf>>): Promise<Loaded> => {
    const file = snapshot ?? ('snapshot' in spec.machine ? spec.machine.snapshot : undefined)
    const base = plain && withBackends(plain.definition, (_, descriptor) => absoluteDisk(descriptor, plain.from))
    if (spec.snapshots !== undefined) return kept(spec, resolve(folder, spec.snapshots), file, base, plain?.from ?? folder)
    if (file !== undefined) return restored(spec, file, base)
    if (plain === null) throw new TypeError('a machine without a definition')
    return opened(spec, readImages(plain.definition, plain.from), plain.from, null)
  }
  return {
    async load(spec, snapshot) {
      const plain = await definitionOf(spec)
      const loaded = await load(spec, snapshot, plain)
      return plain?.catalogue === undefined ? loaded : { ...loaded, catalogue: plain.catalogue }
    },
    async save(machine, file, about) {
      await saveSnapshotFile(machine, file, about === undefined ? {} : { about })
    },
  }
}
