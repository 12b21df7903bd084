import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isUrl } from '@machinist/host-node'
import { type BackendDescriptor, type ImageSource, type MachineDefinition, withImagesLater } from '@machinist/machine'
import { cachedFile } from '../../guest/cache.ts'
import { cacheFolder } from '../../guest/index.ts'

/** Bytes as a file that every process can read, kept by what they are. */
export async function keptFile(bytes: Uint8Array): Promise<ImageSource> {
  const folder = join(cacheFolder(), 'boot')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, createHash('sha256').update(bytes).digest('hex').slice(0, 32))
  await cachedFile(path, () => Promise.resolve(bytes))
  return { file: path }
}

function backendOf(given: BackendDescriptor, folder: string): BackendDescriptor {
  if (typeof given === 'string' || typeof given['path'] !== 'string' || isUrl(given['path'])) return given
  return { ...given, path: resolve(folder, given['path']) }
}

/**
 * A definition that JSON can hold, and that means the same in every folder.
 *
 * @param folder - what its relative paths are relative to
 */
export async function plainDefinition(definition: MachineDefinition, folder: string): Promise<MachineDefinition> {
  const { devices } = definition
  return {
    ...await withImagesLater(definition, (image) => image instanceof Uint8Array ? keptFile(image) : Promise.resolve({ file: resolve(folder, image.file) })),
    devices: Object.fromEntries(Object.entries(devices).map(([name, device]) => [name, device.backends === undefined ? device : {
      ...device, backends: Object.fromEntries(Object.entries(device.backends).map(([port, given]) => [port, backendOf(given, folder)])),
    }])),
  }
}
