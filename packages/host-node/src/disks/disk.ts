import { machinistError } from '@machinist/api'
import { type Disk, diskFormats, type DiskImage, imageDisk, openImage, type OpenOptions, overlay, type RandomAccessFile, switchedImage } from '@machinist/storage'
import { codec } from './codec.ts'
import { type DiskMode, type FileOptions, openFile } from '../files/file.ts'
import { httpFile, type HttpOptions } from '../files/http-file.ts'
import { openWhenClosed } from '../files/lock.ts'
import { type ImageFiles, imageFiles, imageUrls } from '../files/image-files.ts'

/** Options of {@link openDiskImage} and {@link openDisk}. */
export interface DiskImageOptions extends FileOptions {
  /**
   * `'raw'`, `'qcow2'` or another of `diskFormats`. Default: what the image's signature shows, or else raw; then, a raw image takes no
   * write that would make it look like another format.
   */
  readonly format?: string
  /** Which files an image may name. Default: `'inside'`, those in its folder or below. */
  readonly files?: ImageFiles
  /** An internal snapshot to read. */
  readonly snapshot?: string
  /** For `http:` and `https:`. */
  readonly http?: HttpOptions
}

/** Whether a disk is named by a URL and not by a path. */
export function isUrl(path: string): boolean {
  return /^https?:\/\//i.test(path)
}

/**
 * Opens a disk image: a file, or an `http:` or `https:` URL, which is read as needed. With its backing files. What `through` returns is used in place of the file.
 *
 * @throws typed errors `'file-…'`, `'http-…'`, `'image-…'`, `'disk-empty'`
 */
export async function openDiskImage(path: string, options: DiskImageOptions & { readonly writable?: boolean, readonly maintenance?: boolean, readonly through?: (file: RandomAccessFile) => RandomAccessFile } = {}): Promise<DiskImage> {
  const { name = path, writable = false, format, files, snapshot, http = {}, lock = 'auto' } = options
  let file: RandomAccessFile
  if (isUrl(path)) {
    if (writable) throw machinistError({ code: 'file-read-only', part: name, value: path, remedy: 'Use it with mode ro or overlay.' }, 'what a web server has cannot be written')
    file = await httpFile(path, http)
  } else {
    file = await openWhenClosed(path, () => openFile(path, writable, { name, lock }))
    // Its own file, not those that it stands on.
    if (options.through !== undefined) file = options.through(file)
  }
  const about: OpenOptions = {
    name,
    readOnly: !writable,
    codec,
    formats: diskFormats,
    ...(files !== 'none' && { openFile: isUrl(path) ? imageUrls(path, http) : imageFiles(path, files, lock) }),
    ...(snapshot !== undefined && { snapshot }),
    ...(options.maintenance === true && { maintenance: true }),
  }
  try {
    return await openImage(file, about, format)
  } catch (error) {
    await file.close()
    throw error
  }
}

/**
 * A disk image as a disk, of any format: to be written in place, only read, or read with writes kept in memory.
 *
 * @throws as {@link openDiskImage}
 */
export async function openDisk(path: string, options: DiskImageOptions & { readonly mode?: DiskMode } = {}): Promise<Disk> {
  const { mode = 'rw', ...rest } = options
  const open = (): Promise<DiskImage> => openDiskImage(path, { ...rest, writable: mode === 'rw' })
  if (mode !== 'rw') {
    const disk = imageDisk(await open())
    return mode === 'overlay' ? overlay(disk) : disk
  }
  // What an image keeps in memory is good only as long as nobody else has it open.
  const image = switchedImage(await open(), rest.name ?? path)
  return imageDisk(image, async () => {
    await image.close()
    return async () => { image.switchTo(await open()) }
  })
}
