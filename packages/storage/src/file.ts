import type { BlockStatus } from '@machinist/api'
import { type Eager, eagerly, type Soon } from './eager.ts'

/**
 * A file, block device or blob of the host that can be read and written at any place: all that the disk formats of
 * this package ask of a host. `@machinist/host-node` implements it over `node:fs`; a browser can over its private
 * file system; a test over an array.
 *
 * The rules an implementation keeps:
 *
 * - Calls may overlap and may complete in any order. Callers never let two calls to overlapping bytes overlap in
 *   time when one of them writes, so an implementation needs no ordering of its own.
 * - A buffer handed over belongs to the file until the answer is there.
 * - `read` and `write` may answer at once, without a promise, if that takes no longer than the guest can be kept waiting: a few microseconds. It
 *   saves most of what a small request costs.
 * - Failures reject, or throw, an `Error` whose `code`, when it has one, is a POSIX name (`'ENOSPC'`, `'EIO'`, …), or a typed error whose code has
 *   that name behind `file-` (`'file-enospc'`); {@link statusOfError} turns it into what the guest sees.
 */
export interface RandomAccessFile {
  /** Length in bytes when it was opened. Writing past it makes the file longer. */
  readonly size: number
  /** False when it was opened for reading only; then nobody calls `write`, `discard` or `truncate`. */
  readonly writable: boolean
  /**
   * Fills `into` from byte `offset`; the answer is the number of bytes read, which is less than `into.length` only
   * when the file ends there (0 at or past its end).
   */
  read(offset: number, into: Uint8Array): Soon<number>
  /**
   * Fills `into`, one after another, from byte `offset` before it returns; the buffers are only lent to it for so long. False when it cannot without
   * waiting, or not all of them, or fails: then they hold anything. Absent when it never can.
   */
  readAtOnce?(offset: number, into: readonly Uint8Array[]): boolean
  /** Writes all of `from` at byte `offset`; past the end, the gap reads as zeroes. */
  write(offset: number, from: Uint8Array): Soon<void>
  /** Resolves when every write that had been answered before the call is on stable storage (POSIX `fdatasync`). */
  flush(): Promise<void>
  /** Sets the length. Absent when the host cannot. */
  truncate?(size: number): Promise<void>
  /**
   * Gives back the storage of a range, which then reads as zeroes; the length of the file stays. Absent when the
   * host cannot punch holes.
   */
  discard?(offset: number, length: number): Promise<void>
  /** Lets others open it as if this one were closed, as `Backend.park` needs it; returns what ends that. Absent when nobody is kept from it. */
  park?(): () => void
  /** Releases the file. Nothing is called afterwards. Does not imply `flush`. */
  close(): Promise<void>
}

/** What a rejected call of a {@link RandomAccessFile} means to a disk: full, read-only, or any other failure. */
export function statusOfError(error: unknown): Exclude<BlockStatus, 'ok'> {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  switch (typeof code === 'string' ? code.replace(/^file-/, '').toUpperCase() : code) {
    case 'ENOSPC': // the disk is full
    case 'EDQUOT': // the quota is
    case 'EFBIG': // longer than the file system allows
    case 'IMAGE-FULL': // or than the format does
      return 'no-space'
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
    case 'EBADF': // opened for reading only
      return 'read-only'
    default:
      return 'io-error'
  }
}

/** Does work on files {@link eagerly}; an error becomes its status. */
export function guarded(work: () => Eager<BlockStatus>): Soon<BlockStatus> {
  return eagerly(caught(work))
}

function* caught(work: () => Eager<BlockStatus>): Eager<BlockStatus> {
  try {
    return yield* work()
  } catch (error) {
    return statusOfError(error)
  }
}
