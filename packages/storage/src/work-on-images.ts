/** What is done with whole images: making, converting, checking. A program that has paths and not files uses `@machinist/host-node`. */
import { machinistError } from '@machinist/api'
import { diskFormats } from './all-formats.ts'
import { copyImage } from './copy-image.ts'
import type { CopyOptions } from './copy-image.ts'
import type { RandomAccessFile } from './file.ts'
import type { CheckOptions, CheckReport, CreateOptions, DiskFormat, DiskImage, OpenOptions } from './format.ts'
import { formatNamed, openImage } from './formats.ts'
import { growing } from './growing.ts'
import { rawFormat } from './raw-format.ts'

/**
 * The format of an image that is to be made: the one that is named, or that of the name's extension, or else raw.
 *
 * @param name - of the image; a path or a URL may be
 * @param format - `'qcow2'` or another
 * @throws a typed error: `'image-format'` for a format that is not known, `'image-unsupported'` for one that is only read
 */
export function formatForNew(name: string, format?: string, formats: readonly DiskFormat[] = diskFormats): DiskFormat {
  const extension = /\.([^./\\]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''
  const found = format === undefined ? formats.find(({ extensions }) => extensions.includes(extension)) ?? rawFormat : formatNamed(format, formats, name)
  if (found.create !== undefined) return found
  const others = formats.filter(({ create }) => create !== undefined).map((each) => each.name)
  throw machinistError({ code: 'image-unsupported', part: name, value: found.name, remedy: `Use one of ${others.join(', ')}` }, 'images of this format can only be read')
}

/**
 * Writes a new image that reads as zeroes, or as `options.backing`, into an empty file, and flushes it. The file stays the caller's.
 *
 * @param size - of the disk in bytes, a multiple of 512
 * @param options - `name` for errors, and for the format unless that is given; `parameters`, `backing` and `createFile` as the format takes them
 * @throws typed errors, as {@link formatForNew} and {@link DiskFormat.create}
 */
export async function createImage(file: RandomAccessFile, size: number, options: CreateOptions & { readonly format?: string }): Promise<void> {
  const { format, ...rest } = options
  await formatForNew(options.name, format).create?.(file, size, rest)
}

/** Options of {@link convertImage}. */
export interface ConvertOptions extends Omit<CreateOptions, 'backing'>, Omit<CopyOptions, 'toName'>, Pick<OpenOptions, 'openFile' | 'codec'> {
  /** Of the new image. Default: that of its name's extension, else raw. */
  readonly format?: string
}

/**
 * Writes the content of an open image, with all below it, as a new image into an empty file, and flushes it. Both stay the caller's. What
 * reads as zeroes takes no room in a format that can leave it out.
 *
 * @param options - `name` of the new image; `createFile` and `openFile` for formats of several files, `codec` for those that compress
 * @throws typed errors, as {@link createImage} and {@link copyImage}; then the file holds a part of the image
 */
export async function convertImage(from: DiskImage, file: RandomAccessFile, options: ConvertOptions): Promise<void> {
  const { name, format, fromName, progress, parameters, createFile, openFile, codec } = options
  const chosen = formatForNew(name, format)
  const kept = keptOpen(growing(file))
  await createImage(kept, from.size, { name, format: chosen.name, ...(parameters && { parameters }), ...(createFile && { createFile }) })
  const to = await openImage(kept, { name, formats: diskFormats, ...(openFile && { openFile }), ...(codec && { codec }) }, chosen.name)
  try {
    await copyImage(from, to, { toName: name, ...(fromName !== undefined && { fromName }), ...(progress && { progress }) })
  } finally {
    await to.close()
  }
}

/** A file that is not closed by the image in it. */
function keptOpen(file: RandomAccessFile): RandomAccessFile {
  return Object.create(file, { close: { value: () => Promise.resolve() } }) as RandomAccessFile
}

/**
 * Looks through the structures of an open image, not of those below it, and repairs them when told to. Open it with `maintenance`, and to be
 * written when it is to be repaired; close it afterwards.
 *
 * @param options - `name` is how errors call it
 * @throws a typed error, `'image-unsupported'`, for a format without structures, such as raw
 */
export async function checkImage(image: DiskImage, options: CheckOptions & { readonly name?: string } = {}): Promise<CheckReport> {
  const { name = 'image', ...rest } = options
  if (image.check === undefined) throw machinistError({ code: 'image-unsupported', part: name, value: image.format, remedy: 'There is nothing to check in it' }, 'images of this format have no structures')
  return image.check(rest)
}
