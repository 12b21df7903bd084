import { type Backend, type BlockPort, machinistError } from '@machinist/api'
import { type BackendDescriptor, type MachineBlueprint, openBackends, parseNumber } from '@machinist/machine'
import { createImage, diskFormats, type DiskImage, imageDisk, imageFileRefused, type OpenFile, openImage, overlay, type RandomAccessFile, withLimits } from '@machinist/storage'
import { blobFile } from './blob-file.ts'
import { browserCodec } from './codec.ts'
import { httpFile } from './http-file.ts'
import { privateFile } from './private-file.ts'
import { removeDisk } from './private-files.ts'

/** Where names of files lead. */
export interface NamedFiles {
  /** What relative URLs are relative to. */
  readonly base: string
  /** Files that the user gave, by the names that the machine has for them. */
  readonly files: Readonly<Record<string, Blob>>
}

/** @throws a typed error `'backend-option'` */
function urlOf(path: string, base: string): URL {
  try {
    return new URL(path, base)
  } catch {
    throw machinistError({ code: 'backend-option', part: 'path', value: path, remedy: 'Give a URL, or a path of the site.' }, 'it is no URL')
  }
}

/** A file that a machine names: one that was given, or one on a web server. */
async function fileNamed(path: string, { base, files }: NamedFiles): Promise<RandomAccessFile> {
  const given = Object.hasOwn(files, path) ? files[path] : undefined
  return given === undefined ? await httpFile(urlOf(path, base)) : blobFile(given)
}

/** Files that an image names: those in its folder on the web server, or below; or, of what a user gave, what he gave too. */
function filesOf(path: string, named: NamedFiles): OpenFile {
  const url = Object.hasOwn(named.files, path) ? null : urlOf(path, named.base)
  return async (name, writable) => {
    if (writable) throw imageFileRefused(path, name)
    if (url === null) {
      if (!Object.hasOwn(named.files, name)) throw imageFileRefused(path, name)
      return { file: await fileNamed(name, named), name, openFile: filesOf(name, named) }
    }
    // Whatever is in the name, it is a path.
    const target = new URL(name.split('/').map(encodeURIComponent).join('/'), url)
    if (!target.href.startsWith(new URL('.', url).href)) throw imageFileRefused(path, name)
    return { file: await httpFile(target), name: target.href, openFile: filesOf(target.href, named) }
  }
}

async function opened(file: RandomAccessFile, name: string, readOnly: boolean, openFile: OpenFile, format?: string): Promise<DiskImage> {
  try {
    return await openImage(file, { name, readOnly, codec: browserCodec, formats: diskFormats, openFile }, format)
  } catch (error) {
    await file.close()
    throw error
  }
}

interface Choice {
  readonly path: string | undefined
  readonly keep: string | undefined
  readonly size: number | undefined
  readonly mode: 'rw' | 'ro' | 'overlay'
  readonly format: string | undefined
}

/** A descriptor, checked. @throws a typed error `'backend-option'` */
function choiceOf(descriptor: Exclude<BackendDescriptor, string>, part: string): Choice {
  const refuse = (value: unknown, problem: string, remedy: string): never => {
    throw machinistError({ code: 'backend-option', part, value: String(value), remedy }, problem)
  }
  const { path, keep, size, format, mode = keep === undefined ? 'overlay' : 'rw' } = descriptor
  for (const [name, value] of Object.entries({ path, keep, format })) if (value !== undefined && typeof value !== 'string') return refuse(value, `${name} is no text`, 'Give a text.')
  if (mode !== 'rw' && mode !== 'ro' && mode !== 'overlay') return refuse(mode, 'no such mode of a disk', "Use 'rw', 'ro' or 'overlay'.")
  if (path === undefined && keep === undefined) return refuse(path, 'a disk of nothing', 'Give path, keep, or both.')
  if (keep === undefined && mode === 'rw') return refuse(mode, 'a browser writes to no file in place', 'Give keep, a name under which changes are kept here; or mode overlay, which forgets them.')
  return { path: path as string | undefined, keep: keep as string | undefined, mode, format: format as string | undefined, size: size === undefined ? undefined : parseNumber(size, part) }
}

/** A disk that the browser keeps: an image of qcow2, perhaps over another one, made at first. */
async function keptImage({ path, size, format, mode }: Choice, name: string, part: string, named: NamedFiles): Promise<DiskImage> {
  const file = await privateFile(name)
  // Only what the machine names may stand below, whatever the image says.
  const openFile: OpenFile = async (below, writable) => {
    if (path === undefined || writable || below !== path) throw imageFileRefused(part, below)
    return { file: await fileNamed(path, named), name: path, openFile: filesOf(path, named) }
  }
  let empty = false
  try {
    empty = file.size === 0
    if (empty && mode === 'ro') throw machinistError({ code: 'backend-option', part, value: name, remedy: "Make it with mode rw." }, 'nothing is kept under this name')
    if (empty) await makeImage(file, part, size, path === undefined ? undefined : { path, format }, named)
  } catch (error) {
    await file.close()
    if (empty) await removeDisk(name).catch(() => undefined)
    throw error
  }
  const image = await opened(file, part, mode !== 'rw', openFile, 'qcow2')
  if ((image.below === undefined) === (path === undefined)) return image
  await image.close()
  throw machinistError({ code: 'backend-option', part, value: name, remedy: 'Give the same path as when it was made, or another name to keep.' }, path === undefined ? 'the disk stands on another one' : 'the disk stands on no other one')
}

async function makeImage(file: RandomAccessFile, part: string, size: number | undefined, below: { readonly path: string; readonly format: string | undefined } | undefined, named: NamedFiles): Promise<void> {
  if (below === undefined) {
    if (size === undefined) throw machinistError({ code: 'backend-option', part, remedy: "Give its size, such as '1G'." }, 'a new disk without a size')
    return createImage(file, size, { name: part, format: 'qcow2' })
  }
  const image = await opened(await fileNamed(below.path, named), part, true, filesOf(below.path, named), below.format)
  try {
    await createImage(file, size ?? image.size, { name: part, format: 'qcow2', backing: { name: below.path, format: image.format, size: image.size } })
  } finally {
    await image.close()
  }
}

async function openOne(descriptor: Exclude<BackendDescriptor, string>, part: string, named: NamedFiles): Promise<Backend<BlockPort>> {
  const choice = choiceOf(descriptor, part)
  const { keep, path = '', mode, format } = choice
  const image = keep !== undefined ? await keptImage(choice, keep, part, named) : await opened(await fileNamed(path, named), part, true, filesOf(path, named), format)
  const disk = imageDisk(image)
  return mode === 'overlay' ? overlay(disk) : disk
}

/**
 * A machine whose disks are open. In definitions they are `{ type: 'disk', path, mode, format, limits }`: an image of any format on a web server, or among the files given,
 * which is read as needed; with mode `'overlay'` (unless given) what is written is forgotten with the machine, with `'ro'` it is refused. With `keep: NAME` what is
 * written is kept under that name in the private file system of this origin; without `path` it is a disk of its own, of `size`.
 *
 * @throws typed errors `'backend-option'`, `'disk-name'`, `'file-…'`, `'http-…'`, `'image-…'`
 */
export async function openBrowserDisks(blueprint: MachineBlueprint, named: NamedFiles): Promise<MachineBlueprint> {
  const { definition, backends } = await openBackends(blueprint.definition, 'disk', async (descriptor, part) => withLimits(await openOne(descriptor, part, named), descriptor['limits'], part))
  return { ...blueprint, definition, backends: new Map<string, Backend<unknown>>([...blueprint.backends, ...backends]) }
}
