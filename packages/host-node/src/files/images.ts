import { resolve } from 'node:path'
import type { BootDefinition, ImageSource, MachineDefinition } from '@machinist/machine'
import { readWhole } from './file.ts'

/**
 * A definition with the bytes of the files that it names.
 *
 * @param folder - what relative paths are relative to
 * @throws a typed error `'file-…'` that names the image
 */
export function readImages(definition: MachineDefinition, folder: string = '.'): MachineDefinition {
  const load = (source: ImageSource, part: string): Uint8Array => (source instanceof Uint8Array ? source : readWhole(resolve(folder, source.file), part))
  const { boot } = definition
  if (boot === undefined) return definition
  const loaded: BootDefinition = boot.protocol === 'raw'
    ? { ...boot, images: boot.images.map((image) => ({ ...image, bytes: load(image.bytes, image.name) })) }
    : {
        ...boot,
        ...(boot.kernel && { kernel: load(boot.kernel, 'kernel') }),
        ...(boot.initrd && { initrd: load(boot.initrd, 'initrd') }),
        ...(boot.firmware && { firmware: load(boot.firmware, 'firmware') }),
      }
  return { ...definition, boot: loaded }
}
