import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import * as zlib from 'node:zlib'
import { dirname, relative, resolve } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import type { Machine, MachineSnapshot } from '@machinist/machine'
import { openSnapshot, type OpenSnapshot, rewriteSnapshot, type SnapshotCodec, type SnapshotInput, type SnapshotOutput, writeSnapshot, type WriteOptions } from '@machinist/snapshot'
import { namedIn, realFolder } from '../files/image-files.ts'
import { fileError } from '../system/errors.ts'

/** Of Brotli: the memory of a guest gets hardly smaller with a higher quality, which takes longer. */
const QUALITY = 0
/** log2 of the window: a chunk of pages is no larger. */
const WINDOW = 18
/** Least buffer of `node:zlib`. */
const LEAST = 64

const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_QUALITY } = zlib.constants

/** What `node:zlib` has for snapshots: Brotli, and it reads deflate too. */
export const snapshotCodec: SnapshotCodec = {
  compression: 'brotli',
  compress: (bytes) => zlib.brotliCompressSync(bytes, { chunkSize: Math.max(LEAST, bytes.length >> 1), params: { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_LGWIN]: WINDOW } }),
  decompress(compression, bytes, length) {
    // At once into one buffer, with a byte to spare: one that is full would be followed by another.
    const limit = { maxOutputLength: Math.max(1, length), chunkSize: Math.max(LEAST, length + 1) }
    return compression === 'brotli' ? zlib.brotliDecompressSync(bytes, limit) : zlib.inflateRawSync(bytes, limit)
  },
  crc32: (bytes) => zlib.crc32(bytes),
}

/** Options of {@link saveSnapshotFile} and {@link rewriteSnapshotFile}. */
export interface SnapshotFileOptions extends Omit<WriteOptions, 'parent'> {
  /**
   * Path of a snapshot that the file is to stand on: it has only what differs, and can be read as long as the other is there and the same. Whoever
   * opens it finds the other by its name relative to the folder of the file, in that folder or below.
   */
  readonly parent?: string
}

/**
 * Saves a machine, which goes on meanwhile, into a file. The file is there when it is whole, and on the disk; what had its name before is replaced then.
 *
 * @returns bytes written
 * @throws typed errors: as `Machine.save` and `writeSnapshot`; for the parent as {@link openSnapshotFile}; `'file-…'`
 */
export async function saveSnapshotFile(machine: Machine, path: string, options: SnapshotFileOptions = {}): Promise<number> {
  const snapshot = await machine.save()
  try {
    return await saveSnapshotAs(snapshot, path, options)
  } finally {
    snapshot.dispose()
  }
}

/**
 * The same for what `Machine.save` gave, which is still to be disposed of.
 *
 * @returns bytes written
 * @throws as {@link saveSnapshotFile}
 */
export function saveSnapshotAs(snapshot: MachineSnapshot, path: string, options: SnapshotFileOptions = {}): Promise<number> {
  return newFile(path, options, (output, how) => writeSnapshot(snapshot, output, snapshotCodec, how))
}

/**
 * Writes the snapshot of a file anew, with another parent or none, as the same file or another.
 *
 * @returns bytes written
 * @throws as {@link saveSnapshotFile}
 */
export async function rewriteSnapshotFile(from: string, path: string, options: SnapshotFileOptions = {}): Promise<number> {
  const stored = openSnapshotFile(from)
  try {
    return await newFile(path, options, (output, how) => rewriteSnapshot(stored, output, snapshotCodec, how))
  } finally {
    stored.close()
  }
}

/** A file that is there when it is whole. */
async function newFile(path: string, { parent, ...options }: SnapshotFileOptions, write: (output: SnapshotOutput, how: WriteOptions) => Promise<number>): Promise<number> {
  const unfinished = `${path}.${process.pid}.part`
  const below = parent === undefined ? undefined : openParentOf(path, parent)
  try {
    const file = await open(unfinished, 'w', 0o600).catch((error: unknown) => { throw fileError(error, path, path) })
    let size: number
    try {
      size = await write({
        async write(offset, bytes) {
          for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
        },
        breathe: () => new Promise((resolve) => { setImmediate(resolve) }),
      }, { ...options, ...(below !== undefined && { parent: below }) })
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
    await syncFolder(dirname(path))
    return size
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error instanceof Error && 'syscall' in error ? fileError(error, path, path) : error
  } finally {
    below?.snapshot.close()
  }
}

/** A parent, and its name as a file at `path` is to have it. */
function openParentOf(path: string, parent: string): NonNullable<WriteOptions['parent']> {
  const file = relative(dirname(resolve(path)), resolve(parent))
  const refuse = (problem: string, remedy: string): never => { throw machinistError({ code: 'snapshot-parent', part: path, value: parent, remedy }, problem) }
  if (resolve(path) === resolve(parent)) refuse('a file cannot be its own parent', 'Save it into another file.')
  try {
    // As it will be looked up: better no file than one that nobody can open.
    namedIn(path, file, realFolder(path))
  } catch (error) {
    if (!isMachinistError(error) || error.code !== 'image-file-refused') throw error
    refuse('the parent is not in the folder of the new file or below', 'Save it into the folder of its parent.')
  }
  return { snapshot: openSnapshotFile(parent), file }
}

/**
 * Makes a new name stable: it is on the disk when its folder is.
 *
 * @param path - of the folder
 */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

/**
 * Opens a snapshot's file, for `instantiateStored`, with the files that it stands on: they are looked for in its folder or below. Close it when no more machines are
 * to be made of it: it stays open for those that there are.
 *
 * @throws typed errors `'file-…'`, and as `openSnapshot`
 */
export function openSnapshotFile(path: string): OpenSnapshot {
  const input = openInput(path, path)
  try {
    const root = realFolder(path)
    return openSnapshot(input, snapshotCodec, {
      openParent(child, name) {
        const { target, real } = namedIn(child, name, root)
        return openInput(target, real)
      },
    })
  } catch (error) {
    input.close?.()
    throw error
  }
}

/** Opens a file to be read. `name` is for errors. @throws typed errors `'file-…'` */
export function openInput(name: string, path: string): SnapshotInput {
  const guarded = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw fileError(error, name, path)
    }
  }
  const fd = guarded(() => openSync(path, 'r'))
  return {
    name,
    size: guarded(() => fstatSync(fd).size),
    read: (offset, length) => guarded(() => {
      const bytes = new Uint8Array(length)
      let done = 0
      for (let read = -1; read !== 0 && done < length; done += read) read = readSync(fd, bytes, done, length - done, offset + done)
      return bytes.subarray(0, done)
    }),
    close() { closeSync(fd) },
  }
}
