import { resolve } from 'node:path'
import { type MachineDefinition, withImages } from '@machinist/machine'
import { readWhole } from './file.ts'

/**
 * A definition with the bytes of the files that it names.
 *
 * @param folder - what relative paths are relative to
 * @throws a typed error `'file-…'` that names the image
 */
export function readImages(definition: MachineDefinition, folder: string = '.'): MachineDefinition {
  return withImages(definition, (source, _name, label) => (source instanceof Uint8Array ? source : readWhole(resolve(folder, source.file), label)))
}
