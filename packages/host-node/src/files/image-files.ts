import { readdirSync, realpathSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { imageFileRefused, type OpenFile } from '@machinist/storage'
import { fileError } from '../system/errors.ts'
import { openFile } from './file.ts'
import type { FileLock } from './lock.ts'
import { httpFile, type HttpOptions } from './http-file.ts'

/**
 * Which files an image may name (backing files, parents, extents): those in the folder of the first image of a chain or below
 * it, whatever symbolic links do; any; or none.
 */
export type ImageFiles = 'inside' | 'any' | 'none'

/**
 * How the names in an image at `path` are looked up: relative to it, and refused with `'image-file-refused'` when `files` does not
 * allow what they lead to. They are paths; formats whose names may be more refuse what is none.
 */
export function imageFiles(path: string, files: ImageFiles = 'inside', lock: FileLock = 'auto'): OpenFile {
  return filesBelow(path, files === 'inside' ? realFolder(path) : null, files, lock)
}

/** The folder of a file, without symbolic links. @throws a typed error `'file-…'` */
export function realFolder(path: string): string {
  try {
    return realpathSync(dirname(resolve(path)))
  } catch (error) {
    throw fileError(error, path, path)
  }
}

/**
 * Where a name that stands in a file leads.
 *
 * @param path - of the file
 * @param root - the folder within which the result has to lie, whatever symbolic links do; null for any
 * @throws a typed error: `'image-file-refused'` when it may not be reached, `'file-…'`
 */
export function namedIn(path: string, given: string, root: string | null): { readonly target: string, readonly real: string } {
  if (given === '' || given.includes('\0')) throw imageFileRefused(path, given)
  const target = resolve(dirname(path), given)
  // Refused before anything tells whether it exists.
  const within = (found: string): boolean => root === null || (root === sep ? dirname(found) === sep : found.startsWith(root + sep))
  let real: string
  try {
    real = realpathSync(target)
  } catch (error) {
    if (!within(target) && !within(resolve(realFolder(path), given))) throw imageFileRefused(path, given)
    throw fileError(error, `${path}, file named in it`, target)
  }
  if (!within(real)) throw imageFileRefused(path, given)
  return { target, real }
}

function filesBelow(path: string, root: string | null, files: ImageFiles, lock: FileLock): OpenFile {
  const open = async (given: string, writable: boolean): ReturnType<OpenFile> => {
    if (files === 'none') throw imageFileRefused(path, given)
    const { target, real } = namedIn(path, given, root)
    return Promise.resolve({ file: openFile(real, writable, { name: target, lock }), name: target, openFile: filesBelow(target, root, files, lock) })
  }
  // VirtualBox keeps the images that stand on others in a folder below.
  const list = (): Promise<readonly string[]> => Promise.resolve(files === 'none' ? [] : (root === null ? ['', '..'] : ['']).flatMap((folder) => namesIn(dirname(path), folder)))
  return Object.assign(open, { list })
}

/** Names of the files in a folder, which is relative to another; none when it cannot be read. */
function namesIn(base: string, folder: string): string[] {
  try {
    return readdirSync(resolve(base, folder), { withFileTypes: true }).filter((entry) => !entry.isDirectory()).map(({ name }) => join(folder, name)).sort()
  } catch {
    return []
  }
}

/** The same for an image at a URL: only what is in its folder there, or below it. */
export function imageUrls(url: string, options: HttpOptions): OpenFile {
  const root = new URL('.', url).href
  const below = (base: string): OpenFile => async (name, writable) => {
    // Whatever is in the name, it is a path.
    const target = new URL(name.split('/').map(encodeURIComponent).join('/'), base).href
    if (writable || !target.startsWith(root)) throw imageFileRefused(url, name)
    return { file: await httpFile(target, options), name: target, openFile: below(target) }
  }
  return below(url)
}
