import { closeSync, openSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { copyOwnContent, createImage, diskFormats, type DiskImage, imageFileRefused, maxDepth, type OpenFile, openImage } from '@machinist/storage'
import { machinistError } from '@machinist/api'
import { codec } from '../disks/codec.ts'
import { openFile } from '../files/file.ts'
import { imageFiles } from '../files/image-files.ts'
import { openWhenClosed } from '../files/lock.ts'
import { syncFolder } from '../snapshot/snapshot-file.ts'
import { fileError } from '../system/errors.ts'
import { isOwnFile, type TreeDisk } from './tree-index.ts'

/** How names in the overlays of a disk are looked up: other overlays of the folder, and the base. */
function filesOf(folder: string, disk: TreeDisk): OpenFile {
  const base = resolve(folder, disk.base)
  const open: OpenFile = (name) => {
    if (name === disk.base) return Promise.resolve({ file: openFile(base, false, { name: base, lock: disk.lock ?? 'auto' }), name: base, openFile: imageFiles(base, disk.files, disk.lock) })
    if (!isOwnFile(name) || !name.startsWith(`${disk.name}.`)) return Promise.reject(imageFileRefused(folder, name))
    const path = join(folder, name)
    return Promise.resolve({ file: openFile(path, false, { name: path, lock: disk.lock ?? 'auto' }), name: path, openFile: open })
  }
  return async (name, writable) => open(name, writable)
}

/**
 * Opens an overlay with all below it.
 *
 * @throws typed errors `'file-…'`, `'image-…'`
 */
export async function openOverlay(folder: string, disk: TreeDisk, name: string, writable: boolean, maintenance: boolean = false): Promise<DiskImage> {
  const path = join(folder, name)
  const file = await openWhenClosed(path, () => openFile(path, writable, { name: path, lock: disk.lock ?? 'auto' }))
  try {
    return await openImage(file, { name: path, readOnly: !writable, codec, formats: diskFormats, openFile: filesOf(folder, disk), maintenance }, 'qcow2')
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Images of a chain that a new overlay cannot be put on: then there would be too many. @throws a typed error */
export function checkDepth(image: DiskImage, folder: string): void {
  let depth = 1
  for (let each: DiskImage | undefined = image; each !== undefined; each = each.below) depth++
  if (depth > maxDepth) throw machinistError({ code: 'snapshot-depth', part: folder, value: depth, remedy: 'Delete some of the snapshots that it came from.' }, 'its disks would stand on too many overlays')
}

/**
 * Makes an empty overlay, stably but for its name in the folder.
 *
 * @param under - the overlay below; null for the base
 */
export async function createOverlay(folder: string, disk: TreeDisk, name: string, under: string | null): Promise<void> {
  const path = join(folder, name)
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    throw fileError(error, path, path)
  }
  const file = openFile(path, true, { name: path, lock: 'off' })
  try {
    await createImage(file, disk.size, { name: path, format: 'qcow2', backing: under === null ? { name: disk.base, format: disk.format, size: disk.size } : { name: under, format: 'qcow2', size: disk.size } })
  } finally {
    await file.close()
  }
}

/**
 * Puts what an overlay has into one that stands on it, which then stands on what the other stood on: its content stays the same, and so does its name. At any moment
 * there is the one file or the other.
 *
 * @param middle - the overlay that is to go
 * @param under - what it stands on; null for the base
 */
export async function mergeOverlay(folder: string, disk: TreeDisk, middle: string, name: string, under: string | null): Promise<void> {
  const unfinished = `${name}.${process.pid}.part`
  const path = join(folder, unfinished)
  try {
    await createOverlay(folder, disk, unfinished, under)
    const to = await openOverlay(folder, disk, unfinished, true)
    try {
      for (const each of [middle, name]) {
        const from = await openOverlay(folder, disk, each, false)
        try {
          await copyOwnContent(from, to, { fromName: join(folder, each), toName: path })
        } finally {
          await from.close()
        }
      }
      const status = await to.flush()
      if (status !== 'ok') throw machinistError({ code: 'disk-write', part: path, value: status, remedy: 'Look at the space and health of the file system' }, 'cannot be made stable')
    } finally {
      await to.close()
    }
    await rename(path, join(folder, name)).catch((error: unknown) => { throw fileError(error, path, path) })
    await syncFolder(folder)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** Gives back what an overlay lost when whoever wrote it ended in a hurry. @throws typed errors */
export async function repairOverlay(folder: string, disk: TreeDisk, name: string): Promise<void> {
  const image = await openOverlay(folder, disk, name, true, true)
  let left: number
  try {
    left = (await image.check?.({ repair: 'all' }))?.corruptions ?? 0
  } finally {
    await image.close()
  }
  if (left > 0) throw machinistError({ code: 'image-damaged', part: join(folder, name), value: left, remedy: 'Go back to a snapshot.' }, 'it is damaged')
}
