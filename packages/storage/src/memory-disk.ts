import { machinistError } from '@machinist/api'
import type { BlockStatus } from '@machinist/api'
import { checkSize, diskOf, sectorSize } from './disk.ts'
import type { Disk, DiskEngine } from './disk.ts'
import { SparseBytes } from './sparse.ts'

/** How {@link memoryDisk} behaves. */
export interface MemoryDiskOptions {
  /** Refuses writes. Default: false. */
  readonly readOnly?: boolean
  /** Most bytes of host memory that a disk given by its size may come to hold; then writes fail with `'no-space'`. Default: its size. */
  readonly limit?: number
}

/**
 * A disk in host memory, gone when the process ends.
 *
 * Given a size in bytes (a multiple of 512), it reads as zeroes and costs only what is written to it. Given bytes,
 * it is those very bytes: writes change them; their length is a multiple of 512, or the disk is longer by the
 * missing part of its last sector, which reads as zeroes and takes writes without keeping them in the array.
 *
 * @throws a typed error, `'disk-size'`, for a size that no disk can have
 */
export function memoryDisk(content: number | Uint8Array, options: MemoryDiskOptions = {}): Disk {
  const readOnly = options.readOnly ?? false
  return diskOf(typeof content === 'number'
    ? ((size) => () => sparseEngine(size, readOnly, options.limit ?? size))(checkSize('memory disk', content))
    : bytesEngine(content, readOnly))
}

const blockSize = 4096

function sparseEngine(size: number, readOnly: boolean, limit: number): DiskEngine {
  const bytes = new SparseBytes(limit)
  return {
    size, readOnly, blockSize, unit: 1,
    read(offset, into) {
      for (const buffer of into) {
        bytes.read(offset, buffer)
        offset += buffer.length
      }
      return 'ok'
    },
    write(offset, from) {
      for (const buffer of from) {
        if (!bytes.write(offset, buffer)) return 'no-space'
        offset += buffer.length
      }
      return 'ok'
    },
    flush: () => 'ok',
    discard(offset, length) {
      bytes.zero(offset, length)
      return 'ok'
    },
    writeZeroes(offset, length) {
      bytes.zero(offset, length)
      return 'ok'
    },
    close: () => Promise.resolve(),
  }
}

function bytesEngine(content: Uint8Array, readOnly: boolean): () => DiskEngine {
  if (content.length === 0) {
    throw machinistError({ code: 'disk-size', part: 'memory disk', value: 0, remedy: 'Give at least one byte' }, 'is empty')
  }
  const size = Math.ceil(content.length / sectorSize) * sectorSize
  const tail = new Uint8Array(size - content.length)
  const each = (offset: number, buffers: readonly Uint8Array[], copy: (store: Uint8Array, buffer: Uint8Array) => void): BlockStatus => {
    for (const buffer of buffers) {
      const split = Math.min(Math.max(content.length - offset, 0), buffer.length)
      if (split > 0) copy(content.subarray(offset, offset + split), buffer.subarray(0, split))
      if (split < buffer.length) {
        const at = offset + split - content.length
        copy(tail.subarray(at, at + buffer.length - split), buffer.subarray(split))
      }
      offset += buffer.length
    }
    return 'ok'
  }
  const zero = (offset: number, length: number): BlockStatus => {
    content.fill(0, offset, Math.min(offset + length, content.length))
    if (offset + length > content.length) tail.fill(0, Math.max(offset - content.length, 0), offset + length - content.length)
    return 'ok'
  }
  return () => ({
    size, readOnly, blockSize, unit: 1,
    read: (offset, into) => each(offset, into, (store, buffer) => { buffer.set(store) }),
    write: (offset, from) => each(offset, from, (store, buffer) => { store.set(buffer) }),
    flush: () => 'ok',
    discard: () => 'ok',
    writeZeroes: zero,
    close: () => Promise.resolve(),
  })
}
