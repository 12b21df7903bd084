import { machinistError } from '@machinist/api'
import type { RandomAccessFile } from '@machinist/storage'

/** A part of a file or disk. */
export interface FileRange {
  /** Bytes. */
  readonly offset: number
  readonly length: number
}

/**
 * A part of a disk as a file of its own, which can neither grow nor reach beyond it.
 *
 * @param options - `close` is called instead of the disk's
 */
export function partitionFile(disk: RandomAccessFile, { offset: start, length: size }: FileRange, { name, writable, close }: { readonly name: string; readonly writable: boolean; close(): void | Promise<void> }): RandomAccessFile {
  const check = (offset: number, length: number): number => {
    if (!writable) throw machinistError({ code: 'file-erofs', part: name, remedy: 'Open it for writing.' }, 'cannot be written')
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) throw machinistError({ code: 'file-enospc', part: name, value: offset + length, remedy: `It has ${size} bytes.` }, 'the image ends before')
    return start + offset
  }
  return {
    size,
    writable,
    read(offset, into) {
      const count = offset >= 0 ? Math.max(0, Math.min(into.length, size - offset)) : 0
      return count === 0 ? 0 : disk.read(start + offset, count === into.length ? into : into.subarray(0, count))
    },
    write: (offset, from) => disk.write(check(offset, from.length), from),
    flush: () => disk.flush(),
    ...(writable && disk.discard !== undefined && { discard: async (offset: number, length: number) => { await disk.discard?.(check(offset, length), length) } }),
    close: async () => close(),
  }
}
