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
