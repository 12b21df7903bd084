import type { BootDefinition, ImageSource, MachineDefinition } from './definition.ts'

function bootWith(boot: BootDefinition, take: (source: ImageSource, name: string, label: string) => ImageSource): BootDefinition {
  const kernel = boot.protocol !== 'raw' && boot.kernel !== undefined ? { kernel: take(boot.kernel, 'kernel', 'kernel') } : {}
  const initrd = boot.protocol !== 'raw' && boot.initrd !== undefined ? { initrd: take(boot.initrd, 'initrd', 'initrd') } : {}
  switch (boot.protocol) {
    case 'raw': return { ...boot, images: boot.images.map((each, index) => ({ ...each, bytes: take(each.bytes, `image${index}`, each.name) })) }
    case 'riscv': return { ...boot, ...kernel, ...initrd, ...(boot.firmware && { firmware: take(boot.firmware, 'firmware', 'firmware') }) }
    case 'x86': return {
      ...boot, ...kernel, ...initrd, ...(boot.firmware && { firmware: take(boot.firmware, 'firmware', 'firmware') }),
      ...(boot.files && { files: boot.files.map((each, index) => ({ ...each, bytes: take(each.bytes, `file${index}`, each.name) })) }),
    }
  }
}

/**
 * A definition with other boot images.
 *
 * @param take - gives what stands in the place of each image; `name` is another for each, `label` is what people call it
 */
export function withImages(definition: MachineDefinition, take: (source: ImageSource, name: string, label: string) => ImageSource): MachineDefinition {
  const { boot } = definition
  return boot === undefined ? definition : { ...definition, boot: bootWith(boot, take) }
}

/** The same, where it takes time to have what stands in the place of an image: `take` is called for all at once. */
export async function withImagesLater(definition: MachineDefinition, take: (source: ImageSource, name: string) => Promise<ImageSource>): Promise<MachineDefinition> {
  const taken = new Map<string, Promise<ImageSource>>()
  withImages(definition, (source, name) => {
    taken.set(name, take(source, name))
    return source
  })
  const ready = new Map(await Promise.all([...taken].map(async ([name, source]) => [name, await source] as const)))
  return withImages(definition, (source, name) => ready.get(name) ?? source)
}
