import type { BootDefinition, ImageSource, MachineDefinition } from './definition.ts'

/**
 * A definition with other boot images.
 *
 * @param take - gives what stands in the place of each image; `name` is another for each
 */
export function withImages(definition: MachineDefinition, take: (source: ImageSource, name: string) => ImageSource): MachineDefinition {
  const { boot } = definition
  if (boot === undefined) return definition
  const taken: BootDefinition = boot.protocol === 'raw'
    ? { ...boot, images: boot.images.map((each, index) => ({ ...each, bytes: take(each.bytes, `image${index}`) })) }
    : {
        ...boot,
        ...(boot.kernel && { kernel: take(boot.kernel, 'kernel') }),
        ...(boot.initrd && { initrd: take(boot.initrd, 'initrd') }),
        ...(boot.firmware && { firmware: take(boot.firmware, 'firmware') }),
      }
  return { ...definition, boot: taken }
}
