import { badBackendState, machinistError } from '@machinist/api'
import type { BlockStatus } from '@machinist/api'
import { ClusterMap } from './cluster-map.ts'
import { type ClusterState, clusterState } from './cluster-map.ts'
import { checkContentSize, type DiskContent, segmentsOf, stretchesOf } from './content/content.ts'
import type { Soon } from './eager.ts'
import { SparseBytes } from './sparse.ts'

/** Where an overlay keeps what differs from its base. Offsets are the disk's own. */
export interface OverlayStore {
  /** Bytes of one cluster, a power of two. */
  readonly clusterSize: number
  /** Called once, with the capacity of the base; throws a typed error when the store belongs to a disk of another size. */
  attach(size: number): void
  /** The state of every cluster, once attached. */
  readonly map: ClusterMap
  /** Changes the state of clusters `first` up to, not including, `past`. */
  mark(first: number, past: number, state: ClusterState): void
  read(offset: number, into: Uint8Array): Soon<BlockStatus>
  write(offset: number, from: Uint8Array): Soon<BlockStatus>
  /** The content of a range is not needed any more. */
  release(offset: number, length: number): void | Promise<void>
  /** Makes content and map stable. */
  flush(): Promise<BlockStatus>
  close(): Promise<void>
  /** What it has, to be kept in a snapshot: it stays as it is. Absent when it outlives the process. */
  save?(): DiskContent
  /** Begins with content that was checked, in addition to what it has; before {@link attach}, which throws when it does not fit. */
  restore?(content: DiskContent, part: string): void
}

/** How a store of an overlay is made. */
export interface OverlayStoreOptions {
  /** Bytes that are copied up at once on the first write, a power of two from 4 KiB to 16 MiB. Default: 64 KiB. */
  readonly clusterSize?: number
}

/** {@link memoryStore}'s options. */
export interface MemoryStoreOptions extends OverlayStoreOptions {
  /** Most bytes of host memory to hold; then writes fail with `'no-space'`. Default: 4 GiB. */
  readonly limit?: number
}

/** Checks a cluster size. */
export function checkClusterSize(size: number): number {
  if (!Number.isInteger(size) || size < 4096 || size > 1 << 24 || (size & (size - 1)) !== 0) {
    throw machinistError(
      { code: 'cluster-size', part: 'overlay', value: size, remedy: 'Use a power of two from 4096 to 16777216' },
      'is not a cluster size')
  }
  return size
}

/** Number of clusters of a disk; throws a typed error when a map of them would be unreasonable. */
export function clusterCount(size: number, clusterSize: number): number {
  const count = Math.ceil(size / clusterSize)
  if (count > 2 ** 28) {
    throw machinistError(
      { code: 'cluster-size', part: 'overlay', value: clusterSize, remedy: 'Use larger clusters' },
      `a disk of ${String(size)} bytes has too many clusters of this size`)
  }
  return count
}

/** A store in host memory: what the guest writes is gone when the machine is, unless it is saved with the machine. */
export function memoryStore(options: MemoryStoreOptions = {}): OverlayStore {
  let clusterSize = checkClusterSize(options.clusterSize ?? 65536)
  const bytes = new SparseBytes(options.limit ?? 2 ** 32)
  let map = new ClusterMap(0)
  let size = 0
  const restored: { readonly content: DiskContent, readonly part: string }[] = []
  const mark = (first: number, past: number, state: ClusterState): void => {
    for (let cluster = first; cluster < past; cluster++) map.set(cluster, state)
  }
  return {
    get clusterSize(): number {
      return clusterSize
    },
    get map(): ClusterMap {
      return map
    },
    attach(given) {
      size = given
      map = new ClusterMap(clusterCount(size, clusterSize))
      for (const { content, part } of restored.splice(0)) {
        checkContentSize(part, content, size)
        for (const { state, start, end } of stretchesOf(content)) {
          mark(start / clusterSize, Math.ceil(end / clusterSize), state)
          bytes.zero(start, end - start)
        }
        if (!content.content.every(([offset, from]) => bytes.adopt(offset, from))) throw badBackendState(part, 'the disk may not hold so much in memory')
      }
    },
    mark,
    read(offset, into) {
      bytes.read(offset, into)
      return 'ok'
    },
    write: (offset, from) => bytes.write(offset, from) ? 'ok' : 'no-space',
    release(offset, length) {
      bytes.zero(offset, length)
    },
    flush: () => Promise.resolve<BlockStatus>('ok'),
    close: () => Promise.resolve(),
    save: () => ({ size, unit: clusterSize, map: segmentsOf(map), content: stored(bytes, map, clusterSize, size) }),
    restore(content, part) {
      // Only whole clusters can be given back.
      clusterSize = Math.min(clusterSize, content.unit)
      restored.push({ content, part })
    },
  }
}

/** The bytes of clusters that are stored. */
function stored(bytes: SparseBytes, map: ClusterMap, clusterSize: number, size: number): DiskContent['content'] {
  const content: (readonly [number, Uint8Array])[] = []
  for (const [offset, page] of bytes.share()) {
    const end = Math.min(offset + page.length, size)
    for (let at = offset; at < end;) {
      const cluster = Math.floor(at / clusterSize)
      const next = Math.min(map.runEnd(cluster, Math.ceil(end / clusterSize)) * clusterSize, end)
      if (map.get(cluster) === clusterState.stored) content.push([at, page.subarray(at - offset, next - offset)])
      at = next
    }
  }
  return content
}
