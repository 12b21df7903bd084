/**
 * An overlay in a file, so that it outlives the process. Layout, all numbers little-endian:
 *
 * ```
 * 0          magic "MCHNOVL1"
 * 8   u32    version, 1
 * 12  u32    cluster size in bytes
 * 16  u64    size of the disk in bytes
 * 4096       two bits for each cluster: 0 in the base, 1 in this file, 2 reads as zeroes
 * data       cluster n at data + n * cluster size, where data is the end of the map rounded up to a cluster
 * ```
 *
 * A cluster has one place for ever, so the file is sparse and needs no allocator. A flush makes the data stable
 * first, then writes what changed of the map, then makes that stable: after a crash the map never names a cluster
 * whose data did not arrive.
 */
import { machinistError } from '@machinist/api'
import type { BlockStatus, MachinistError } from '@machinist/api'
import { ClusterMap } from './cluster-map.ts'
import { wait } from './eager.ts'
import { guarded, type RandomAccessFile } from './file.ts'
import { checkClusterSize, clusterCount } from './overlay-store.ts'
import type { OverlayStore, OverlayStoreOptions } from './overlay-store.ts'

const magic = [0x4d, 0x43, 0x48, 0x4e, 0x4f, 0x56, 0x4c, 0x31]
const version = 1
const headerSize = 24
const mapOffset = 4096
const mapBlock = 4096

/** {@link openOverlayFile}'s options. */
export interface OverlayFileOptions extends OverlayStoreOptions {
  /** How errors name the file. Default: `'overlay'`. */
  readonly name?: string
}

/**
 * Opens an overlay that is kept in a file: a new one when the file is empty, else the one that it holds (and then
 * `clusterSize` is the file's own). It is no part of snapshots of the machine, and has to be as it was when one goes on.
 *
 * @throws a typed error: `'overlay-format'` when the file holds something else or is damaged, `'file-read-only'`
 * when it cannot be written
 */
export async function openOverlayFile(file: RandomAccessFile, options: OverlayFileOptions = {}): Promise<OverlayStore> {
  const part = options.name ?? 'overlay'
  if (!file.writable) {
    throw machinistError({ code: 'file-read-only', part, remedy: 'Open it for writing, or use an overlay in memory' }, 'cannot be written')
  }
  if (file.size === 0) return fileStore(file, part, checkClusterSize(options.clusterSize ?? 65536), null)

  const bad = (problem: string): MachinistError =>
    machinistError({ code: 'overlay-format', part, remedy: 'Name an overlay file, or an empty one to make a new overlay' }, problem)
  const header = new Uint8Array(headerSize)
  const view = new DataView(header.buffer)
  const count = await file.read(0, header)
  // It died before its header arrived, and so before anything else was written.
  if (file.size === headerSize && header.every((byte) => byte === 0)) return fileStore(file, part, checkClusterSize(options.clusterSize ?? 65536), null)
  if (count < headerSize || magic.some((byte, index) => header[index] !== byte)) throw bad('is not an overlay file')
  if (view.getUint32(8, true) !== version) throw bad(`has version ${String(view.getUint32(8, true))}, and only ${String(version)} is known`)
  const clusterSize = checkClusterSize(view.getUint32(12, true))
  const size = view.getUint32(16, true) + view.getUint32(20, true) * 2 ** 32
  if (!Number.isSafeInteger(size) || size === 0) throw bad('names an impossible size of the disk')
  const map = new ClusterMap(clusterCount(size, clusterSize))
  // A hole at the end of the file reads short: what is missing was never marked.
  await file.read(mapOffset, map.bytes)
  if (!map.valid) throw bad('has a damaged map of clusters')
  return fileStore(file, part, clusterSize, { size, map })
}

function fileStore(file: RandomAccessFile, part: string, clusterSize: number, known: { size: number, map: ClusterMap } | null): OverlayStore {
  let map = known?.map ?? new ClusterMap(0)
  let data = 0
  /** Of a new overlay, until it is in the file. */
  let header: Uint8Array | null = null
  let writingHeader: Promise<void> | null = null
  let dirty = new Set<number>()
  let flushing: Promise<unknown> = Promise.resolve()

  /** Stably, before anything else is written, so that a file with something in it can be opened again. */
  const identify = async (): Promise<void> => {
    const bytes = header
    if (bytes === null) return
    writingHeader ??= Promise.resolve(file.write(0, bytes)).then(() => file.flush())
    try {
      await writingHeader
      header = null
    } finally {
      writingHeader = null
    }
  }

  const flushNow = async (): Promise<BlockStatus> => {
    // Copies, because clusters go on being marked while we wait; each stands for data that is already written.
    const blocks = [...dirty].map((index) => ({ index, bytes: map.bytes.slice(index * mapBlock, (index + 1) * mapBlock) }))
    dirty = new Set()
    try {
      await identify()
      await file.flush()
      if (blocks.length === 0) return 'ok'
      for (const block of blocks) await file.write(mapOffset + block.index * mapBlock, block.bytes)
      await file.flush()
      return 'ok'
    } catch (error) {
      for (const block of blocks) dirty.add(block.index)
      throw error
    }
  }

  return {
    clusterSize,
    get map(): ClusterMap {
      return map
    },
    attach(size) {
      if (known === null) {
        map = new ClusterMap(clusterCount(size, clusterSize))
        header = encodeHeader(clusterSize, size)
      } else if (known.size !== size) {
        throw machinistError(
          { code: 'overlay-base', part, value: known.size, remedy: 'Use it with the base that it was made over' },
          `the overlay is for a disk of another size than its base, which has ${String(size)} bytes`)
      }
      data = Math.ceil((mapOffset + map.bytes.length) / clusterSize) * clusterSize
    },
    mark(first, past, state) {
      for (let cluster = first; cluster < past; cluster++) {
        if (map.get(cluster) === state) continue
        map.set(cluster, state)
        dirty.add(Math.floor(cluster / 4 / mapBlock))
      }
    },
    read: (offset, into) => guarded(function* () {
      const count = yield* wait(file.read(data + offset, into))
      return count === into.length ? 'ok' : 'io-error'
    }),
    write: (offset, from) => guarded(function* () {
      if (header !== null) yield* wait(identify())
      yield* wait(file.write(data + offset, from))
      return 'ok'
    }),
    async release(offset, length) {
      try {
        await file.discard?.(data + offset, length)
      } catch {
        // Only storage that could have been given back; the map says that nobody reads it.
      }
    },
    flush() {
      const done = flushing.then(() => guarded(() => wait(flushNow())))
      flushing = done
      return done
    },
    async close() {
      // So that what the guest never flushed survives a closing in good order.
      if (dirty.size > 0) await this.flush()
      await flushing
      await file.close()
    },
  }
}

function encodeHeader(clusterSize: number, size: number): Uint8Array {
  const header = new Uint8Array(headerSize)
  const view = new DataView(header.buffer)
  header.set(magic)
  view.setUint32(8, version, true)
  view.setUint32(12, clusterSize, true)
  view.setUint32(16, size % 2 ** 32, true)
  view.setUint32(20, Math.floor(size / 2 ** 32), true)
  return header
}
