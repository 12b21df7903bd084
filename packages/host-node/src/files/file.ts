import { closeSync, fdatasync, fstatSync, ftruncate, openSync, read, readFileSync, readSync, readvSync, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { machinistError } from '@machinist/api'
import { type Disk, overlay, type RandomAccessFile, raw } from '@machinist/storage'
import { fileError } from '../system/errors.ts'
import { holes } from './holes.ts'
import { type FileLock, hold, lockFile, unlockFile } from './lock.ts'
import { Patience } from './patience.ts'

const readLater = promisify(read)
const writeLater = promisify(write)
const syncLater = promisify(fdatasync)
const truncateLater = promisify(ftruncate)

/** What one call reads into: Linux's IOV_MAX. */
const MOST_BUFFERS = 1024

/** How a file is used as a disk: in place, only read, or read with writes kept in memory and then forgotten. */
export type DiskMode = 'rw' | 'ro' | 'overlay'

/** Options of {@link fileDisk} and {@link openFile}. */
export interface FileOptions {
  /** How errors name the file; its path unless given. */
  readonly name?: string
  /** Whether it is locked against other programs, QEMU's among them, while it is open. Default: `'auto'`, where the host can. */
  readonly lock?: FileLock
}

/**
 * Opens a file for reading, or reading and writing, at any place. Opening is synchronous; reading and writing answer at once what the
 * host has in its page cache, and else later; `flush` is `fdatasync`; `discard` makes holes, where the host can.
 *
 * Whatever fails, then or later, does so with a typed error `'file-…'`.
 *
 * @throws a typed error `'file-…'`: it is missing, a directory, not permitted, in use
 */
export function openFile(path: string, writable: boolean, options: FileOptions = {}): RandomAccessFile {
  const part = options.name ?? path
  let fd = -1
  let size = 0
  let released: () => void
  try {
    fd = openSync(path, writable ? 'r+' : 'r')
    const stat = fstatSync(fd)
    // Opening a directory for reading succeeds; nothing else would.
    if (stat.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' })
    if (!stat.isFile()) {
      throw machinistError({ code: 'file-kind', part, value: path, remedy: 'Name a regular file, for example a copy made with dd.' }, 'it is not a regular file')
    }
    size = stat.size
    lockFile(fd, writable, options.lock ?? 'auto', part, path)
    released = hold(stat)
  } catch (error) {
    if (fd >= 0) closeSync(fd)
    throw fileError(error, part, path)
  }
  let closed = false
  const patience = new Patience()
  const discard = writable ? holes(fd, size) : null
  const typed = (error: unknown): never => { throw fileError(error, part, path) }
  const restOfRead = async (offset: number, into: Uint8Array, begun: number): Promise<number> => {
    for (let done = begun; done < into.length;) {
      const { bytesRead } = await readLater(fd, into, done, into.length - done, offset + done)
      if (bytesRead === 0) return done
      done += bytesRead
    }
    return into.length
  }
  const restOfWrite = async (offset: number, from: Uint8Array, begun: number): Promise<void> => {
    for (let done = begun; done < from.length;) {
      const { bytesWritten } = await writeLater(fd, from, done, from.length - done, offset + done)
      done += bytesWritten
    }
  }
  return {
    size,
    writable,
    read(offset, into) {
      try {
        const count = patience.atOnce(into.length, () => readSync(fd, into, 0, into.length, offset))
        return count === into.length || count === 0 ? count : restOfRead(offset, into, count ?? 0).catch(typed)
      } catch (error) {
        return typed(error)
      }
    },
    readAtOnce(offset, into) {
      if (into.length > MOST_BUFFERS) return false
      let total = 0
      for (const { length } of into) total += length
      try {
        // However long: no other thread could copy straight to where it is to be.
        return patience.atOnce(total, () => readvSync(fd, into, offset), Infinity) === total
      } catch {
        return false
      }
    },
    write(offset, from) {
      try {
        const count = patience.atOnce(from.length, () => writeSync(fd, from, 0, from.length, offset))
        return count === from.length ? undefined : restOfWrite(offset, from, count ?? 0).catch(typed)
      } catch (error) {
        return typed(error)
      }
    },
    flush: () => syncLater(fd).catch(typed),
    truncate: (length) => truncateLater(fd, length).catch(typed),
    ...(writable && {
      park() {
        unlockFile(fd)
        return () => { if (!closed) lockFile(fd, writable, options.lock ?? 'auto', part, path) }
      },
    }),
    ...(discard !== null && { discard: (offset, length) => discard(offset, length).catch(typed) }),
    // At once, so that it can be opened anew right away.
    close: () => new Promise<void>((resolve) => {
      released()
      if (!closed) {
        closed = true
        closeSync(fd)
      }
      resolve()
    }).catch(typed),
  }
}

/**
 * A raw image as a disk.
 *
 * @throws a typed error `'file-…'`, or `'disk-empty'` for a file without bytes
 */
export function fileDisk(path: string, options: FileOptions & { readonly mode?: DiskMode } = {}): Disk {
  const name = options.name ?? path
  const mode = options.mode ?? 'rw'
  const file = openFile(path, mode === 'rw', { ...options, name })
  try {
    const disk = raw(file, { readOnly: mode !== 'rw', name })
    return mode === 'overlay' ? overlay(disk) : disk
  } catch (error) {
    void file.close()
    throw error
  }
}

/**
 * All bytes of a file.
 *
 * @throws a typed error `'file-…'`, `'file-empty'`
 */
export function readWhole(path: string, part: string = path): Uint8Array {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw fileError(error, part, path)
  }
  if (bytes.length === 0) throw machinistError({ code: 'file-empty', part, value: path, remedy: 'Name a file with content.' }, 'it is empty')
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}
