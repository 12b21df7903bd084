import { badBackendState, machinistError } from '@machinist/api'
import type { BlockStatus } from '@machinist/api'
import { checkSize, diskOf, sectorSize } from './disk.ts'
import type { Disk, DiskEngine } from './disk.ts'
import { ClusterMap, clusterState } from './cluster-map.ts'
import { checkContentSize, contentOf, contentState, type DiskContent, segmentsOf, stretchesOf } from './content/content.ts'
import { isZero } from './fork/cluster-table.ts'
import { SparseBytes } from './sparse.ts'

/** How {@link memoryDisk} behaves. */
export interface MemoryDiskOptions {
  /** Refuses writes. Default: false. */
  readonly readOnly?: boolean
  /** Most bytes of host memory that a disk given by its size may come to hold; then writes fail with `'no-space'`. Default: its size. */
  readonly limit?: number
}

/**
 * A disk in host memory, gone when the process ends. Snapshots of its machine have its content, unless it is read-only, and it comes back in another of the
 * same size.
 *
 * Given a size in bytes (a multiple of 512), it reads as zeroes and costs only what is written to it. Given bytes,
 * it is those very bytes: writes change them; their length is a multiple of 512, or the disk is longer by the
 * missing part of its last sector, which reads as zeroes and takes writes without keeping them in the array.
 *
 * @throws a typed error, `'disk-size'`, for a size that no disk can have
 */
export function memoryDisk(content: number | Uint8Array, options: MemoryDiskOptions = {}): Disk {
  const readOnly = options.readOnly ?? false
  const restored: Restored[] = []
  const open = typeof content === 'number'
    ? ((size) => () => sparseEngine(size, readOnly, options.limit ?? size, restored.splice(0)))(checkSize('memory disk', content))
    : bytesEngine(content, readOnly, restored)
  return diskOf(open, {
    restore(saved, part) {
      const taken = contentOf(saved, part)
      if (taken !== null) restored.push({ content: taken, part })
      return taken !== null
    },
  })
}

interface Restored {
  readonly content: DiskContent
  readonly part: string
}

/** The content of a disk that has nothing below it. */
function whole(size: number, content: DiskContent['content']): DiskContent {
  let unit = 65536
  while (size / unit > 65536) unit *= 2
  const count = Math.ceil(size / unit)
  const map = new ClusterMap(count)
  for (let cluster = 0; cluster < count; cluster++) map.set(cluster, clusterState.stored)
  return { size, unit, map: segmentsOf(map), content: content.map(([offset, bytes]) => [offset, bytes.subarray(0, size - offset)]) }
}

const blockSize = 4096
/** Bytes that are saved together. */
const page = 65536

function sparseEngine(size: number, readOnly: boolean, limit: number, restored: readonly Restored[]): DiskEngine {
  const bytes = new SparseBytes(limit)
  for (const { content, part } of restored) {
    checkContentSize(part, content, size)
    for (const { start, end } of stretchesOf(content)) bytes.zero(start, end - start)
    if (!content.content.every(([offset, from]) => bytes.adopt(offset, from))) throw badBackendState(part, 'the disk may not hold so much in memory')
  }
  return {
    size, readOnly, blockSize, unit: 1,
    read(offset, into) {
      for (let index = 0; index < into.length; index++) {
        const buffer = into[index]
        if (buffer === undefined) break
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
    save: () => readOnly ? [] : [contentState(whole(size, bytes.share()))],
  }
}

function bytesEngine(content: Uint8Array, readOnly: boolean, restored: Restored[]): () => DiskEngine {
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
  const write = (offset: number, from: readonly Uint8Array[]): BlockStatus => each(offset, from, (store, buffer) => { store.set(buffer) })
  return () => {
    for (const { content: saved, part } of restored.splice(0)) {
      checkContentSize(part, saved, size)
      for (const { start, end } of stretchesOf(saved)) zero(start, end - start)
      for (const [offset, bytes] of saved.content) write(offset, [bytes])
    }
    return {
      size, readOnly, blockSize, unit: 1,
      read: (offset, into) => each(offset, into, (store, buffer) => { buffer.set(store) }),
      write,
      flush: () => 'ok',
      discard: () => 'ok',
      writeZeroes: zero,
      close: () => Promise.resolve(),
      save() {
        if (readOnly) return []
        const pages: (readonly [number, Uint8Array])[] = []
        for (let offset = 0; offset < size; offset += page) {
          const bytes = new Uint8Array(Math.min(page, size - offset))
          each(offset, [bytes], (store, buffer) => { buffer.set(store) })
          if (!isZero(bytes)) pages.push([offset, bytes])
        }
        return [contentState(whole(size, pages))]
      },
    }
  }
}
