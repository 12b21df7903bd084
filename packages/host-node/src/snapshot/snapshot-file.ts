import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import * as zlib from 'node:zlib'
import { dirname } from 'node:path'
import type { Machine } from '@machinist/machine'
import { openSnapshot, type OpenSnapshot, type SnapshotCodec, type SnapshotInput, writeSnapshot, type WriteOptions } from '@machinist/snapshot'
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
  compress: (bytes) => zlib.brotliCompressSync(bytes, { chunkSize: Math.max(LEAST, bytes.length), params: { [BROTLI_PARAM_QUALITY]: QUALITY, [BROTLI_PARAM_LGWIN]: WINDOW } }),
  decompress(compression, bytes, length) {
    // At once into one buffer, with a byte to spare: one that is full would be followed by another.
    const limit = { maxOutputLength: Math.max(1, length), chunkSize: Math.max(LEAST, length + 1) }
    return compression === 'brotli' ? zlib.brotliDecompressSync(bytes, limit) : zlib.inflateRawSync(bytes, limit)
  },
  crc32: (bytes) => zlib.crc32(bytes),
}

/**
 * Saves a machine, which goes on meanwhile, into a file. The file is there when it is whole, and on the disk; what had its name before is replaced then.
 *
 * @returns bytes written
 * @throws typed errors: as `Machine.save` and `writeSnapshot`; `'file-…'`
 */
export async function saveSnapshotFile(machine: Machine, path: string, options: WriteOptions = {}): Promise<number> {
  const unfinished = `${path}.${process.pid}.part`
  const snapshot = await machine.save()
  try {
    const file = await open(unfinished, 'w', 0o600).catch((error: unknown) => { throw fileError(error, path, path) })
    let size: number
    try {
      size = await writeSnapshot(snapshot, {
        async write(offset, bytes) {
          for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
        },
      }, snapshotCodec, options)
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
    snapshot.dispose()
  }
}

/** A new name is on the disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

/**
 * Opens a snapshot's file, for `instantiateStored`. Close it when no more machines are to be made of it: it stays open for those that there are.
 *
 * @throws typed errors `'file-…'`, and as `openSnapshot`
 */
export function openSnapshotFile(path: string): OpenSnapshot {
  const guarded = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw fileError(error, path, path)
    }
  }
  const fd = guarded(() => openSync(path, 'r'))
  const input: SnapshotInput = {
    name: path,
    size: guarded(() => fstatSync(fd).size),
    read: (offset, length) => guarded(() => {
      const bytes = new Uint8Array(length)
      let done = 0
      for (let read = -1; read !== 0 && done < length; done += read) read = readSync(fd, bytes, done, length - done, offset + done)
      return bytes.subarray(0, done)
    }),
    close() { closeSync(fd) },
  }
  try {
    return openSnapshot(input, snapshotCodec)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}
