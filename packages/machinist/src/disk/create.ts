import { closeSync, existsSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { machinistError } from '@machinist/api'
import { fileError, type FileLock, openDiskImage, openFile } from '@machinist/host-node'
import { copyImage, createImage, type CreateOptions, type DiskFormat, type DiskImage } from '@machinist/storage'
import { undoneWhenInterrupted } from '../guest/interruption.ts'

/** How a file comes to be. */
export interface NewFile {
  /** Writes over a file that is there, and that no other program has open. */
  readonly force: boolean
  readonly lock?: FileLock
}

/**
 * Makes a new image file; what was begun is removed when it fails.
 *
 * @returns removes what was made
 * @throws typed errors `'file-…'`, `'image-…'`
 */
export async function createFile(path: string, { force, lock = 'auto' }: NewFile, format: DiskFormat, size: number, options: Omit<CreateOptions, 'name' | 'createFile'>): Promise<() => void> {
  const made: string[] = []
  const newFile = async (at: string): Promise<ReturnType<typeof openFile>> => {
    if (force && existsSync(at) && statSync(at).isFile()) {
      await openFile(at, true, { lock }).close()
      rmSync(at)
    }
    try {
      closeSync(openSync(at, 'wx'))
    } catch (error) {
      throw existsSync(at)
        ? machinistError({ code: 'file-exists', part: at, remedy: 'Choose another name, or give --force to write over it.' }, 'the file exists')
        : fileError(error, at, at)
    }
    made.push(at)
    return openFile(at, true, { lock })
  }
  const undo = (): void => { for (const at of made) rmSync(at, { force: true }) }
  const file = await newFile(path)
  try {
    await createImage(file, size, {
      ...options, name: path, format: format.name,
      async createFile(name) {
        const at = join(dirname(path), name)
        if (dirname(at) !== dirname(join(path))) throw machinistError({ code: 'image-parameter', part: path, value: name, remedy: 'Use a name without folders.' }, 'its parts lie in its own folder')
        return newFile(at)
      },
    })
  } catch (error) {
    undo()
    throw error
  } finally {
    await file.close()
  }
  return undo
}

/** Options of {@link convertDisk}. */
export interface ConvertOptions extends NewFile {
  readonly parameters?: Readonly<Record<string, string>>
  /** Told how far it is, from 0 to 1. */
  readonly progress?: (done: number) => void
}

/**
 * Makes a new image with the content of another, sparse; what was begun is removed when it fails or is interrupted.
 *
 * @param fromName - how errors call the other
 * @throws typed errors `'file-…'`, `'image-…'`, `'disk-…'`
 */
export async function convertDisk(from: DiskImage, fromName: string, to: string, format: DiskFormat, options: ConvertOptions): Promise<void> {
  const undo = await createFile(to, options, format, from.size, { parameters: options.parameters ?? {} })
  try {
    await undoneWhenInterrupted(undo, async () => {
      const target = await openDiskImage(to, { format: format.name, writable: true, files: 'inside', lock: options.lock ?? 'auto' })
      try {
        await copyImage(from, target, { fromName, toName: to, ...(options.progress && { progress: options.progress }) })
      } finally {
        await target.close()
      }
    })
  } catch (error) {
    undo()
    throw error
  }
}
