import { machinistError } from '@machinist/api'
import { below, imageDamaged, imageFileLimit } from '../format.ts'
import type { DiskFormat, DiskImage, NamedFile, OpenOptions } from '../format.ts'
import { allZero, Fields } from '../mapped/fields.ts'
import { uuidText } from '../mapped/identity.ts'
import { vdiHeaderSize, vdiModifiedAt, vdiSignature, vdiUuidAt } from './header.ts'

/** What a differencing image says of the image that it stands on. */
export interface VdiParent {
  readonly uuid: Uint8Array
  /** Of its last change; zeroes when nobody knows. */
  readonly modified: Uint8Array
}

/** The header of a file that is an image of the format, or null. */
async function headerOf({ file }: NamedFile): Promise<Fields | null> {
  const fields = new Fields(new Uint8Array(vdiHeaderSize), true)
  return await file.read(0, fields.bytes) === vdiHeaderSize && fields.u32(64) === vdiSignature ? fields : null
}

/**
 * Opens the parent. An image of this format knows it by its UUID alone, so it is looked for among the files that the image may name:
 * first by the name that VirtualBox gives to images of its own making, then in its folder.
 */
export async function openParent(format: DiskFormat, parent: VdiParent, options: OpenOptions): Promise<{ readonly image: DiskImage, readonly name: string }> {
  const { name, openFile } = options
  const uuid = uuidText(parent.uuid)
  if (openFile === undefined) {
    throw machinistError({ code: 'image-file-refused', part: name, value: uuid, remedy: 'Allow it to open its parent, or convert it to one image' }, 'stands on another image')
  }
  const candidates = [`{${uuid}}.vdi`, ...(await openFile.list?.() ?? []).filter((file) => /\.vdi$/i.test(file))]
  for (const candidate of candidates.slice(0, imageFileLimit)) {
    // What cannot be opened is not the parent.
    const named = await openFile(candidate, false).catch(() => null)
    if (named === null) continue
    try {
      const header = await headerOf(named)
      if (header !== null && uuidText(header.bytes.subarray(vdiUuidAt, vdiUuidAt + 16)) === uuid) {
        if (!allZero(parent.modified) && uuidText(header.bytes.subarray(vdiModifiedAt, vdiModifiedAt + 16)) !== uuidText(parent.modified)) {
          throw imageDamaged(name, 'vdi', `its parent ${named.name} has changed since it was made over it`)
        }
        return { image: await format.open(named.file, below(options, named)), name: candidate }
      }
    } catch (error) {
      await named.file.close()
      throw error
    }
    await named.file.close()
  }
  throw machinistError(
    { code: 'image-parent', part: name, value: uuid, remedy: 'Put the image with this UUID beside it; if it is in the folder above, allow the image to name any file (files: any)' },
    'stands on an image that is not found')
}
