import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs'
import { machinistError } from '@machinist/api'
import { IMAGE_TYPE, partitionFile } from '@machinist/host-metal'
import { fileError, openDiskImage } from '@machinist/host-node'
import { copyImage, createGpt, type NewPartition } from '@machinist/storage'
import { undoneWhenInterrupted } from '../guest/interruption.ts'
import type { Progress } from '../guest/progress.ts'
import type { MetalDisk } from './disks.ts'

const MiB = 2 ** 20
/** Images that a table of partitions has entries for. */
const MOST = 128

type NewImage = NewPartition & { readonly disk: MetalDisk }

/** Where each image is: at a whole MiB, in the order in which they are named. */
function laidOut(disks: readonly MetalDisk[]): readonly NewImage[] {
  let offset = MiB
  return disks.map((disk) => {
    const { name, size, source, readOnly } = disk
    if (size === null) throw machinistError({ code: 'file-enoent', part: name, value: source, remedy: 'Make it: machinist disk create.' }, 'there is no such image')
    const image = { offset, length: size, type: IMAGE_TYPE, uuid: randomUUID(), name, readOnly, disk }
    offset = Math.ceil((offset + size) / MiB) * MiB
    return image
  })
}

/** A new file. */
function begun(path: string): number {
  try {
    return openSync(path, 'wx')
  } catch (error) {
    if (!existsSync(path)) throw fileError(error, '--datastore', path)
    throw machinistError({ code: 'file-exists', part: '--datastore', value: path, remedy: 'Leave --datastore out to go on with what is on it; add images to it with metal-disk, or choose another name.' }, 'the file exists, and may hold what machines wrote')
  }
}

/**
 * Makes a disk for the hardware that has disks of machines as its images, as raw bytes, whatever format they have here: a file with holes. It is whole, or not there.
 *
 * @throws typed errors: `'file-exists'`; `'metal-disk'` for more than 128; `'file-…'`, `'image-…'`, `'disk-read'`, `'disk-write'`
 */
export async function makeDatastore(path: string, disks: readonly MetalDisk[], progress?: Progress): Promise<void> {
  if (disks.length > MOST) throw machinistError({ code: 'metal-disk', part: '--datastore', value: disks.length, remedy: 'Use fewer disks, or another disk of the hardware for some: see metal-disk.' }, `a disk of the hardware has at most ${MOST} images`)
  const images = laidOut(disks)
  const { offset, length } = images.at(-1) ?? { offset: 0, length: MiB }
  const size = Math.ceil((offset + length) / MiB) * MiB + MiB
  const file = begun(path)
  const undo = (): void => { rmSync(path, { force: true }) }
  await undoneWhenInterrupted(undo, async () => {
    try {
      ftruncateSync(file, size)
      const table = createGpt(size, randomUUID(), images)
      writeSync(file, table.first, 0, table.first.length, 0)
      writeSync(file, table.last, 0, table.last.length, size - table.last.length)
    } catch (error) {
      throw fileError(error, '--datastore', path)
    } finally {
      closeSync(file)
    }
    for (const image of images) await filled(path, image, progress)
  }).catch((error: unknown) => {
    undo()
    throw error
  })
}

async function filled(path: string, { disk, offset, length }: NewImage, progress?: Progress): Promise<void> {
  const { name } = disk
  const from = await disk.open()
  try {
    const through = (whole: Parameters<typeof partitionFile>[0]): ReturnType<typeof partitionFile> => partitionFile(whole, { offset, length }, { name, writable: true, close: () => whole.close() })
    const to = await openDiskImage(path, { name: path, format: 'raw', writable: true, through })
    try {
      await copyImage(from, to, { fromName: name, toName: path, progress: (done) => progress?.(`Copying ${name}`, done) })
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}
