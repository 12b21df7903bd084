import { eagerly, wait } from './eager.ts'
import type { RandomAccessFile } from './file.ts'

/** The same file, whose `size` follows writes past its end, and `truncate`. */
export function growing(file: RandomAccessFile): RandomAccessFile {
  let size = file.size
  return {
    get size() { return size },
    writable: file.writable,
    read: (offset, into) => file.read(offset, into),
    ...(file.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => file.readAtOnce?.(offset, into) ?? false }),
    write: (offset, from) => eagerly(function* () {
      yield* wait(file.write(offset, from))
      size = Math.max(size, offset + from.length)
    }()),
    flush: () => file.flush(),
    ...(file.truncate !== undefined && {
      async truncate(length: number) {
        await file.truncate?.(length)
        size = length
      },
    }),
    ...(file.discard !== undefined && { discard: async (offset: number, length: number) => { await file.discard?.(offset, length) } }),
    close: () => file.close(),
  }
}
