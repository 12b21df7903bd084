import { resolve } from 'node:path'
import { type Backend, type BlockPort, machinistError } from '@machinist/api'
import { type BackendDescriptor, type MachineBlueprint, openBackends } from '@machinist/machine'
import { diskFormats, withLimits } from '@machinist/storage'
import { Datastore, type DatastoreDiskOptions } from '../datastore/datastore.ts'
import { type DiskImageOptions, isUrl, openDisk } from './disk.ts'
import type { DiskMode } from '../files/file.ts'
import type { ImageFiles } from '../files/image-files.ts'
import type { FileLock } from '../files/lock.ts'

const MODES: readonly string[] = ['rw', 'ro', 'overlay']
const FILES: readonly string[] = ['inside', 'any', 'none']
const LOCKS: readonly string[] = ['auto', 'on', 'off']

/**
 * A machine whose disks `{ type: 'disk', path, mode, format, files, snapshot, lock, limits }` are open, images of every format, and those of datastores,
 * `{ type: 'disk', datastore, name, mode, whenFull, limits }`: opening one takes time, which connecting it has not.
 *
 * @param folder - what relative paths are relative to
 * @throws typed errors `'backend-option'`, or as {@link openDisk}
 */
export async function openDisks(blueprint: MachineBlueprint, folder: string = '.'): Promise<MachineBlueprint> {
  const { definition, backends } = await openBackends(blueprint.definition, 'disk', async (descriptor, part) => withLimits(await openWhole(descriptor, part, folder), descriptor['limits'], part))
  return { ...blueprint, definition, backends: new Map<string, Backend<unknown>>([...blueprint.backends, ...backends]) }
}

async function openWhole(descriptor: Exclude<BackendDescriptor, string>, part: string, folder: string): Promise<Backend<BlockPort>> {
  if (descriptor['datastore'] !== undefined) {
    const { datastore, name, options } = datastoreOptions(descriptor, part)
    return Datastore.open(resolve(folder, datastore)).openDisk(name, { ...options, name: part })
  }
  const { path, mode, options } = diskOptions(descriptor, part)
  return openDisk(isUrl(path) ? path : resolve(folder, path), { ...options, mode, name: part })
}

/** A descriptor of a disk on a datastore, checked. @throws a typed error, `'backend-option'` */
function datastoreOptions(descriptor: Exclude<BackendDescriptor, string>, part: string): { readonly datastore: string, readonly name: string, readonly options: DatastoreDiskOptions } {
  const refuse = (value: unknown, problem: string, remedy: string): never => {
    throw machinistError({ code: 'backend-option', part, value: String(value), remedy }, problem)
  }
  const { datastore, name, mode = 'rw', whenFull = 'error' } = descriptor
  const foreign = ['path', 'format', 'files', 'snapshot', 'lock'].find((option) => descriptor[option] !== undefined)
  if (foreign !== undefined) refuse(foreign, 'no option of a disk on a datastore', 'Use datastore, name, mode, whenFull and limits.')
  if (typeof datastore !== 'string') return refuse(datastore, 'no such datastore', 'Give the path of its folder.')
  if (typeof name !== 'string') return refuse(name, 'a disk without a name', 'Give the name that it has on the datastore.')
  if (!MODES.includes(mode as string)) refuse(mode, 'no such mode of a disk', "Use 'rw', 'ro' or 'overlay'.")
  if (whenFull !== 'error' && whenFull !== 'wait') return refuse(whenFull, 'no such choice for a datastore that is full', "Use 'error' or 'wait'.")
  return { datastore, name, options: { mode: mode as DiskMode, whenFull } }
}

/** A descriptor of a disk, checked. @throws a typed error, `'backend-option'` */
export function diskOptions(descriptor: Exclude<BackendDescriptor, string>, part: string): { readonly path: string, readonly mode: DiskMode, readonly options: DiskImageOptions } {
  const refuse = (value: unknown, problem: string, remedy: string): never => {
    throw machinistError({ code: 'backend-option', part, value: String(value), remedy }, problem)
  }
  const { path, mode = 'rw', format, files, snapshot, lock } = descriptor
  if (typeof path !== 'string') return refuse(path, 'a disk without a path', 'Give the path of an image.')
  if (!MODES.includes(mode as string)) refuse(mode, 'no such mode of a disk', "Use 'rw', 'ro' or 'overlay'.")
  if (format !== undefined && typeof format !== 'string') return refuse(format, 'no such format', `Use one of ${diskFormats.map(({ name }) => name).join(', ')}.`)
  if (files !== undefined && !FILES.includes(files as string)) refuse(files, 'no such choice of files', "Use 'inside', 'any' or 'none'.")
  if (lock !== undefined && !LOCKS.includes(lock as string)) refuse(lock, 'no such choice of a lock', "Use 'auto', 'on' or 'off'.")
  if (snapshot !== undefined && typeof snapshot !== 'string') return refuse(snapshot, 'no such snapshot', 'Give its name.')
  return {
    path,
    mode: mode as DiskMode,
    options: {
      ...(format !== undefined && { format }), ...(files !== undefined && { files: files as ImageFiles }), ...(snapshot !== undefined && { snapshot }),
      ...(lock !== undefined && { lock: lock as FileLock }),
    },
  }
}
