import type { RandomAccessFile } from '@machinist/storage'

/** A file that the user picked or dropped, or any other blob: it is read as needed, and never written. */
export function blobFile(blob: Blob): RandomAccessFile {
  return {
    size: blob.size,
    writable: false,
    async read(offset, into) {
      const bytes = new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer())
      into.set(bytes)
      return bytes.length
    },
    write: () => Promise.reject(Object.assign(new Error('a file that was picked cannot be written'), { code: 'EROFS' })),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}
