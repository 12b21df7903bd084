import { below, imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { sampleOf } from '../formats.ts'
import { machinistError } from '@machinist/api'
import { uuidText } from '../mapped/identity.ts'
import type { StagedFile } from '../mapped/staged.ts'
import { utf16 } from './structures.ts'
import type { VhdDynamic } from './structures.ts'

/** The longest name that is believed, in bytes. */
const longest = 4096

/** The parent's name: relative to the image where it says so. */
export async function parentName(staged: StagedFile, dynamic: VhdDynamic, name: string): Promise<string> {
  const relative = dynamic.locators.find(({ platform }) => platform === 'W2ru')
  let found = dynamic.parentName
  if (relative !== undefined) {
    if (relative.length > longest || !Number.isSafeInteger(relative.offset) || relative.offset + relative.length > staged.end) {
      throw imageDamaged(name, 'vhd', 'the name of its parent has an impossible place', relative.offset)
    }
    found = utf16((await staged.fields(relative.offset, relative.length)).bytes, true)
  }
  if (found === '') throw imageDamaged(name, 'vhd', 'it does not name the parent that it stands on')
  return found.replaceAll('\\', '/').replace(/^\.\//, '')
}

/** Opens the parent, which must be the very image that this one was made over. */
export async function openParent(format: DiskFormat, found: string, dynamic: VhdDynamic, options: OpenOptions): Promise<DiskImage> {
  if (options.openFile === undefined) {
    throw machinistError({ code: 'image-file-refused', part: options.name, value: found, remedy: 'Allow it to open its parent, or convert it to one image' }, 'stands on another image')
  }
  const named = await options.openFile(found, false)
  let parent: DiskImage | null = null
  try {
    if (!format.probe(await sampleOf(named.file))) throw imageUnsupported(options.name, 'vhd', 'a parent of another format')
    parent = await format.open(named.file, below(options, named))
    const uuid = (await parent.info()).details['uuid']
    if (uuid === uuidText(dynamic.parentUuid)) return parent
    throw imageDamaged(options.name, 'vhd', `its parent ${named.name} is another image than that which it was made over`, String(uuid))
  } catch (error) {
    await (parent ?? named.file).close()
    throw error
  }
}
