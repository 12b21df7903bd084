import { posix, resolve } from 'node:path'
import { isMachinistError, machinistError, type MachinistError } from '@machinist/api'
import { Datastore, type DiskImageOptions, isUrl, openDiskImage } from '@machinist/host-node'
import type { BackendDescriptor, MachineDefinition } from '@machinist/machine'
import type { DiskImage } from '@machinist/storage'
import type { Fleet, FleetMachine } from '../fleet/file/fleet.ts'

/** Names that images of a datastore have. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/

/** A disk of machines in an image for bare metal. */
export interface MetalDisk {
  /** Of its image on the datastore: that of the file, without its folder, or that on a datastore of this host. */
  readonly name: string
  /** Where its content is here. */
  readonly source: string
  /** Bytes; null when it is not here. */
  readonly size: number | null
  /** No machine writes it. */
  readonly readOnly: boolean
  /** Opens it to be read. @throws typed errors, as `openDiskImage` and `Datastore.openImage` */
  open(): Promise<DiskImage>
}

type Descriptor = Exclude<BackendDescriptor, string>
type Source = Pick<MetalDisk, 'name' | 'source' | 'open'>

function refuse(code: string, part: string, value: unknown, problem: string, remedy: string): MachinistError {
  return machinistError({ code, part, value: String(value), remedy }, problem)
}

/** Where the content of a disk is, as a machine file describes it. Its paths are absolute. */
function sourceOf({ path, datastore, name, format, files, snapshot }: Descriptor, part: string): Source {
  if (typeof datastore === 'string' && typeof name === 'string') {
    const folder = resolve(datastore)
    return { name, source: `${folder}, ${name}`, open: () => Datastore.open(folder).openImage(name) }
  }
  if (typeof path !== 'string') throw refuse('backend-option', part, path, 'a disk without a path', 'Give the path of an image.')
  const at = isUrl(path) ? path : resolve(path)
  // What is not said is not passed on.
  const options = JSON.parse(JSON.stringify({ name: at, format, files, snapshot })) as DiskImageOptions
  const about = [format, files, snapshot].filter((each) => each !== undefined).map((each) => `,${String(each)}`).join('')
  return { name: posix.basename(isUrl(path) ? new URL(path).pathname : at), source: at + about, open: () => openDiskImage(at, options) }
}

async function sizeOf(source: Source): Promise<number | null> {
  let image: DiskImage
  try {
    image = await source.open()
  } catch (error) {
    // The datastore may have been made elsewhere.
    if (isMachinistError(error) && error.code === 'file-enoent') return null
    throw error
  }
  const { size } = image
  await image.close()
  return size
}

function withDisks(machine: MachineDefinition, change: (descriptor: Descriptor, part: string) => BackendDescriptor): MachineDefinition {
  const devices = Object.entries(machine.devices).map(([device, definition]) => {
    if (definition.backends === undefined) return [device, definition] as const
    const backends = Object.entries(definition.backends).map(([port, descriptor]) => [port, typeof descriptor === 'object' && descriptor.type === 'disk' ? change(descriptor, `${device}.${port}`) : descriptor] as const)
    return [device, { ...definition, backends: Object.fromEntries(backends) }] as const
  })
  return { ...machine, devices: Object.fromEntries(devices) }
}

/**
 * Has the machines of a file find their disks on a datastore of the hardware, each by the name of its file without the folder. What else is said of a disk holds there too: its mode and its limits.
 *
 * @returns the same machines, and their disks, each of them once
 * @throws typed errors: `'metal-disk'` for a name that an image cannot have, and for one that two files have; `'backend-option'`; and what opening a file throws that is there
 */
export async function metalDisks({ pools, machines }: Fleet): Promise<{ readonly fleet: Fleet; readonly disks: readonly MetalDisk[] }> {
  const found = new Map<string, Source & { readOnly: boolean; size: number | null }>()
  const each = (change: (descriptor: Descriptor, part: string, of: string) => BackendDescriptor): readonly FleetMachine[] =>
    machines.map((spec) => ('version' in spec.machine ? { ...spec, machine: withDisks(spec.machine, (descriptor, part) => change(descriptor, part, spec.name)) } : spec))
  each((descriptor, port, machine) => {
    const part = `${machine}.${port}`
    const source = sourceOf(descriptor, part)
    const { name } = source
    const known = found.get(name)
    if (!NAME.test(name)) throw refuse('metal-disk', part, name, 'the name of the file is none for an image on bare metal', 'Use letters, digits, ., _ and -, at most 36, and begin with a letter or a digit.')
    if (known !== undefined && known.source !== source.source) throw refuse('metal-disk', part, source.source, `an image on bare metal is named as its file, and ${known.source} has that name already`, 'Give one of them another name.')
    const readOnly = (descriptor['mode'] ?? 'rw') !== 'rw'
    if (known === undefined) found.set(name, { ...source, readOnly, size: null })
    else known.readOnly &&= readOnly
    return descriptor
  })
  for (const disk of found.values()) disk.size = await sizeOf(disk)
  const named = each((descriptor, part) => {
    const { name } = sourceOf(descriptor, part)
    const size = found.get(name)?.size ?? null
    const { mode, limits } = descriptor
    return { type: 'disk', image: name, ...(mode !== undefined && { mode }), ...(size !== null && { size }), ...(limits !== undefined && { limits }) }
  })
  return { fleet: { pools, machines: named }, disks: [...found.values()] }
}
