import { type Backend, type BlockPort, machinistError, type MachinistError } from '@machinist/api'
import { type BackendDescriptor, type MachineDefinition, openBackends, type OpenBackends } from '@machinist/machine'
import { memoryStore, overlay, withLimits } from '@machinist/storage'
import type { MetalDatastore } from './datastore.ts'

/** Bytes that an overlay may hold in the memory of the hypervisor. */
const MOST_OVERLAY = 16 * 2 ** 20
const MODES: readonly unknown[] = ['rw', 'ro', 'overlay']

type Descriptor = Exclude<BackendDescriptor, string>

function problemOf(code: string, part: string, value: unknown, problem: string, remedy: string): MachinistError {
  return machinistError({ code, part, value: typeof value === 'number' ? value : String(value), remedy }, problem)
}

async function openOne(descriptor: Descriptor, part: string, datastore: MetalDatastore): Promise<Backend<BlockPort>> {
  const { image, mode = 'rw', size = 0 } = descriptor
  if (typeof image !== 'string') throw problemOf('backend-option', part, image, 'a disk without an image', 'Give the name that it has on the datastore.')
  if (!MODES.includes(mode)) throw problemOf('backend-option', part, mode, 'no such mode of a disk', "Use 'rw', 'ro' or 'overlay'.")
  if (typeof size !== 'number' || !(size >= 0)) throw problemOf('backend-option', part, size, 'no such size of a disk', 'Give bytes, or leave it out.')
  await datastore.whenClosed(image)
  const disk = datastore.open(image, { readOnly: mode !== 'rw' })
  try {
    const about = datastore.images.find(({ name }) => name === image)
    if (mode === 'rw' && about?.readOnly === true) throw problemOf('datastore-read-only', part, image, 'the image cannot be written', 'Use it with mode ro or overlay, or make it writable.')
    if (about !== undefined && about.size < size) throw problemOf('datastore-size', part, about.size, `the image ${image} is smaller than the ${size} bytes of the disk that the machine was given`, 'Make it larger, or build the image of the machines anew.')
    return mode === 'overlay' ? overlay(disk, memoryStore({ limit: MOST_OVERLAY })) : disk
  } catch (error) {
    await disk.close()
    throw error
  }
}

/**
 * Opens the disks of a machine, `{ type: 'disk', image, mode, size, limits }`: `image` is the name of one on the datastore, `mode` is `'rw'`, `'ro'` or `'overlay'` (what is written stays in memory, at most 16 MiB of it),
 * `size` the bytes that it has at least. Others of its backends stay as they are.
 *
 * @throws typed errors: `'backend-option'`, `'disk-limit'`, `'datastore-read-only'`, `'datastore-size'`, and those of {@link MetalDatastore.open}. What was opened is closed then
 */
export function openMachineDisks(definition: MachineDefinition, datastore: MetalDatastore): Promise<OpenBackends<BlockPort>> {
  return openBackends(definition, 'disk', async (descriptor, part) => withLimits(await openOne(descriptor, part, datastore), descriptor['limits'], part))
}
