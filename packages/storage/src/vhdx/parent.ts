import { machinistError } from '@machinist/api'
import { below, imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { sampleOf } from '../formats.ts'
import { Fields } from '../mapped/fields.ts'
import { guidAt } from './structures.ts'

/** The type of locators that name a VHDX (2.6.2.6.1). */
const locatorType = 'b04aefb7-d19e-4a81-b789-25b8e9445913'
const headerBytes = 20
const entryBytes = 12

/** The image that a differencing one stands on. */
export interface ParentLocator {
  readonly name: string
  /** What the parent's `DataWriteGuid` may be. */
  readonly linkages: readonly string[]
}

/** Reads a parent locator (2.6.2.6): pairs of texts. */
export function parseLocator({ bytes }: Fields, name: string): ParentLocator {
  const fields = new Fields(bytes, true)
  const bad = (problem: string): never => { throw imageDamaged(name, 'vhdx', problem) }
  if (bytes.length < headerBytes) bad('its parent locator is too short')
  if (guidAt(fields, 0) !== locatorType) throw imageUnsupported(name, 'vhdx', `a parent locator of type ${guidAt(fields, 0)}`)
  const count = fields.u16(18)
  if (headerBytes + count * entryBytes > bytes.length) bad('its parent locator is cut off')
  const pairs = new Map<string, string>()
  const text = (at: number, length: number): string => {
    if (at + length > bytes.length) bad('its parent locator is cut off')
    return Array.from({ length: Math.floor(length / 2) }, (_, index) => String.fromCharCode(fields.u16(at + index * 2))).join('')
  }
  for (let at = headerBytes; at < headerBytes + count * entryBytes; at += entryBytes) {
    pairs.set(text(fields.u32(at), fields.u16(at + 8)), text(fields.u32(at + 4), fields.u16(at + 10)))
  }
  // The other names lead through drives of its host; of these the last part may be beside the image.
  const beside = (pairs.get('volume_path') ?? pairs.get('absolute_win32_path'))?.replace(/^.*[\\/]/, '')
  const found = (pairs.get('relative_path') ?? beside ?? '').replaceAll('\\', '/').replace(/^\.\//, '')
  if (found === '') bad('it does not name the parent that it stands on')
  const linkages = ['parent_linkage', 'parent_linkage2'].map((key) => (pairs.get(key) ?? '').toLowerCase().replace(/[{}]/g, '')).filter((guid) => guid !== '')
  return { name: found, linkages }
}

/** Opens the parent, whose content must be that which this one was made over. */
export async function openParent(format: DiskFormat, { name, linkages }: ParentLocator, options: OpenOptions): Promise<DiskImage> {
  if (options.openFile === undefined) {
    throw machinistError({ code: 'image-file-refused', part: options.name, value: name, remedy: 'Allow it to open its parent, or convert it to one image' }, 'stands on another image')
  }
  const named = await options.openFile(name, false)
  let parent: DiskImage | null = null
  try {
    if (!format.probe(await sampleOf(named.file))) throw imageUnsupported(options.name, 'vhdx', 'a parent of another format')
    parent = await format.open(named.file, below(options, named))
    const guid = String((await parent.info()).details['dataWriteGuid'])
    if (linkages.includes(guid)) return parent
    throw imageDamaged(options.name, 'vhdx', `its parent ${named.name} has changed since it was made over it`, guid)
  } catch (error) {
    await (parent ?? named.file).close()
    throw error
  }
}
