import { fstatSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { libc } from '../system/libc.ts'

/** linux/falloc.h: the length of the file stays, and a hole is made. */
const HOLE = 0x1 | 0x2
/** What is tried, past the end of a file, to see whether its file system has holes. */
const TRIED = 4096

/**
 * How parts of a file that is open for writing give their storage back and then read as zeroes. Null where that cannot be: systems other than Linux,
 * without the package koffi, and file systems without holes.
 *
 * @param size - of the file in bytes
 */
export function holes(fd: number, size: number): ((offset: number, length: number) => Promise<void>) | null {
  const system = libc()
  const files = system?.files ?? null
  if (system === null || files === null || files.fallocate(fd, HOLE, size, TRIED) !== 0) return null
  return async (offset, length) => {
    if (length <= 0 || await files.fallocateLater(fd, HOLE, offset, length) === 0) return
    // Of a call in another thread the reason is not known: again here.
    if (files.fallocate(fd, HOLE, offset, length) === 0) return
    const number = system.errno()
    throw Object.assign(new Error('fallocate'), { code: getSystemErrorName(-number), errno: -number })
  }
}

/** lseek(2): the next hole from an offset on. The end of a file is one. */
const SEEK_HOLE = 4

/**
 * Whether something in a range of a file has no storage of its own, so that writing there takes room. Without the system's word on it, what lies before the end of the file is taken to have some.
 *
 * @param fd - of a file whose place nobody relies on
 */
export function isHole(fd: number, offset: number, length: number): boolean {
  const files = libc()?.files ?? null
  const next = files === null ? fstatSync(fd).size : files.lseek(fd, offset, SEEK_HOLE)
  return next < offset + length
}
