import { machinistError } from '@machinist/api'
import type { MachinistError } from '@machinist/api'
import { checkSize, diskOf } from './disk.ts'
import type { Disk } from './disk.ts'
import type { RandomAccessFile } from './file.ts'
import { sampleSize } from './format.ts'
import type { DiskFormat, DiskImage, ImageRange, ImageSample, OpenOptions } from './format.ts'
import { openRaw, rawFormat } from './raw-format.ts'
import { guardHeaders } from './raw-guard.ts'
import { signatureOf } from './signatures.ts'

/**
 * The disk over an open image, to connect to a device. Closing it closes the image.
 *
 * @param park - as `Backend.park`, for an image that only one can have
 * @throws (when connected) a typed error, `'disk-size'`, for an image of a disk without bytes
 */
export function imageDisk(image: DiskImage, park?: Disk['park']): Disk {
  return diskOf(() => {
    checkSize(`${image.format} image`, image.size)
    return image
  }, { release: () => image.close(), park })
}

/** The ends of a file, to recognise its format from. Rejects when the file cannot be read. */
export async function sampleOf(file: RandomAccessFile): Promise<ImageSample> {
  const header = new Uint8Array(Math.min(sampleSize, file.size))
  const trailer = new Uint8Array(Math.min(512, file.size))
  const headerCount = await file.read(0, header)
  const trailerCount = await file.read(file.size - trailer.length, trailer)
  return { header: header.subarray(0, headerCount), trailer: trailer.subarray(0, trailerCount), size: file.size }
}

/** The format of an image, by its signature; null when none knows it, which a raw image looks like. */
export function probeFormat(sample: ImageSample, formats: readonly DiskFormat[]): DiskFormat | null {
  return formats.find((format) => format.probe(sample)) ?? null
}

/**
 * Opens an image of the format that is named, or of the one that its signature shows, or else as raw. A signature decides, whatever else is wrong with the
 * image, and one of a format that is not known here is refused.
 *
 * What a guest writes to a raw disk could be a signature, and the next to open it by its signature would believe whatever stands in
 * that header: the names of other files. So a raw image that was opened without naming its format does not take a write that
 * would make it look like an image of another (see `guardHeaders`). Neither does a fixed VHD, which begins as a raw image does.
 *
 * @param format - `'raw'`, or the name of one of `options.formats`
 * @throws typed errors: `'image-format'` for a format, named or shown, that is not known, else as {@link DiskFormat.open}
 */
export async function openImage(file: RandomAccessFile, options: OpenOptions, format?: string): Promise<DiskImage> {
  const formats = options.formats ?? []
  if (format !== undefined) return formatNamed(format, formats, options.name).open(file, options)
  const sample = await sampleOf(file)
  const found = probeFormat(sample, formats)
  if (found === null) return openUnnamedRaw(file, sample, options)
  const image = await found.open(file, options)
  return image.readOnly || image.plain !== true ? image : guardHeaders(image, file, sample, formats.filter((format) => format !== found))
}

/**
 * What {@link openImage} does with an image that none of the formats knows and whose format was not named, at once: it is raw, unless its signature says
 * otherwise.
 *
 * @param sample - the ends of `file`
 * @throws typed errors: `'image-format'` for an image with a signature, `'disk-empty'`
 */
export function openUnnamedRaw(file: RandomAccessFile, sample: ImageSample, options: OpenOptions): DiskImage {
  const formats = options.formats ?? []
  const shown = probeFormat(sample, formats)?.name ?? signatureOf(sample)
  if (shown !== null) {
    throw machinistError(
      { code: 'image-format', part: options.name, value: shown, remedy: 'Convert it with the program that made it, or with qemu-img; or name the format raw, if the very bytes of the file are the disk' },
      'is an image of a format that is not known here')
  }
  const image = openRaw(file, options)
  return image.readOnly ? image : guardHeaders(image, file, sample, formats)
}

/** The format of a name. @throws a typed error, `'image-format'` */
export function formatNamed(name: string, formats: readonly DiskFormat[], part: string): DiskFormat {
  const all = [...formats.filter((format) => format.name !== rawFormat.name), rawFormat]
  const found = all.find((format) => format.name === name)
  if (found === undefined) {
    throw machinistError({ code: 'image-format', part, value: name, remedy: `Use one of ${all.map((format) => format.name).join(', ')}` }, 'is not a format of disk images that is known')
  }
  return found
}

/** That an image names a file that it may not reach. */
export function imageFileRefused(part: string, name: string): MachinistError {
  return machinistError(
    { code: 'image-file-refused', part, value: name, remedy: 'If the image is to be trusted, allow it to name any file (files: any)' },
    'names another file that it may not reach')
}

/** {@link DiskImage.ranges} of an image with all below it: what reads as zeroes, and what has to be read. */
export async function* flatRanges(image: DiskImage): AsyncGenerator<ImageRange, void, undefined> {
  const under = image.below === undefined ? null : flatRanges(image.below)
  let found: ImageRange | null = null
  for await (const range of image.ranges()) {
    if (range.state !== 'backing') {
      yield range
      continue
    }
    const end = range.offset + range.length
    for (let at = range.offset; at < end;) {
      while (under !== null && (found === null || found.offset + found.length <= at)) {
        const next: IteratorResult<ImageRange, void> = await under.next()
        if (next.done === true) break
        found = next.value
      }
      const known: boolean = found !== null && found.offset <= at && at < found.offset + found.length
      const past: number = found !== null && known ? Math.min(end, found.offset + found.length) : end
      yield { offset: at, length: past - at, state: found !== null && known ? found.state : 'zero' }
      at = past
    }
  }
}
