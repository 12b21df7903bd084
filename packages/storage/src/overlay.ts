import type { Backend, BackendState, BlockPort, BlockStatus } from '@machinist/api'
import { lengthOf } from './buffers.ts'
import { clusterState } from './cluster-map.ts'
import { contentOf, contentState } from './content/content.ts'
import { checkSize, diskOf } from './disk.ts'
import type { Disk, DiskEngine, Outcome } from './disk.ts'
import { answered, type Eager, eagerly, wait } from './eager.ts'
import { memoryStore } from './overlay-store.ts'
import type { OverlayStore } from './overlay-store.ts'

/**
 * A copy-on-write disk: reads what was written to it, and its base elsewhere. The base is never written. What a store in memory holds is in snapshots of the
 * machine, and comes back in an overlay of the same base; a file is to be kept with them.
 *
 * @param base - any disk; the overlay connects and closes it
 * @param store - where writes go: memory (the default) or a file, see `openOverlayFile`
 * @throws (when connected) a typed error when the store belongs to a base of another size
 */
export function overlay(base: Backend<BlockPort>, store: OverlayStore = memoryStore()): Disk {
  const release = async (): Promise<void> => {
    base.close?.()
    await store.close()
  }
  // The base has what it is given with: nobody writes to it.
  const below = (): readonly BackendState[] => (base.save?.() ?? []).filter(({ vital }) => vital !== true)
  return diskOf((clock) => {
    // The base's completions are steps inside ours, so they need not pass the machine's gate: ours will.
    const port = base.connect((callback) => { callback() }, clock)
    checkSize('overlay base', port.size)
    store.attach(port.size)
    return { ...overlayEngine(port, store, release), save: () => [...below(), ...(store.save === undefined ? [] : [contentState(store.save())])] }
  }, {
    release,
    restore(saved, part) {
      const content = contentOf(saved, part)
      if (content === null) return base.restore?.(saved, part) ?? false
      store.restore?.(content, part)
      return store.restore !== undefined
    },
    quiesce: () => { base.quiesce?.() },
    park: () => base.park?.() ?? (() => {}),
  })
}

function overlayEngine(base: BlockPort, store: OverlayStore, close: () => Promise<void>): DiskEngine {
  const { clusterSize } = store
  const { size } = base

  /** Reads a range whose clusters are all in one state. */
  const readRun = (offset: number, into: Uint8Array): Outcome => {
    switch (store.map.get(Math.floor(offset / clusterSize))) {
      case clusterState.base:
        return answered((done) => { base.read(offset, [into], done) })
      case clusterState.stored:
        return store.read(offset, into)
      case clusterState.zero:
        into.fill(0)
        return 'ok'
    }
  }

  const readInto = function* (offset: number, into: Uint8Array): Eager<BlockStatus> {
    const limit = Math.ceil((offset + into.length) / clusterSize)
    for (let done = 0; done < into.length;) {
      const at = offset + done
      const runEnd = store.map.runEnd(Math.floor(at / clusterSize), limit) * clusterSize
      const count = Math.min(runEnd - at, into.length - done)
      const status = yield* wait(readRun(at, into.subarray(done, done + count)))
      if (status !== 'ok') return status
      done += count
    }
    return 'ok'
  }

  const read = function* (offset: number, into: readonly Uint8Array[]): Eager<BlockStatus> {
    for (const buffer of into) {
      const status = yield* readInto(offset, buffer)
      if (status !== 'ok') return status
      offset += buffer.length
    }
    return 'ok'
  }

  /** Brings the bytes from `offset` to `end`, in one cluster that the store does not have, into the store. */
  const copyUp = function* (offset: number, end: number): Eager<BlockStatus> {
    if (end <= offset) return 'ok'
    const bytes = new Uint8Array(end - offset)
    const status = yield* wait(readRun(offset, bytes))
    return status === 'ok' ? yield* wait(store.write(offset, bytes)) : status
  }

  /**
   * Writes a range: first the rest of its first and last clusters when the store lacks them, then the data, and only
   * then marks the clusters. A failure on the way leaves every cluster with the content that it had, or torn where
   * the store had it already. Requests to one cluster never overlap in time: `unit` sees to that.
   */
  const write = function* (offset: number, from: readonly Uint8Array[], length: number): Eager<BlockStatus> {
    const end = offset + length
    const first = Math.floor(offset / clusterSize)
    const past = Math.ceil(end / clusterSize)
    if (store.map.get(first) !== clusterState.stored) {
      const status = yield* copyUp(first * clusterSize, offset)
      if (status !== 'ok') return status
    }
    if (store.map.get(past - 1) !== clusterState.stored) {
      const status = yield* copyUp(end, Math.min(past * clusterSize, size))
      if (status !== 'ok') return status
    }
    for (let index = 0, at = offset; index < from.length; index++) {
      const buffer = from[index]
      if (buffer === undefined || buffer.length === 0) continue
      const status = yield* wait(store.write(at, buffer))
      if (status !== 'ok') return status
      at += buffer.length
    }
    store.mark(first, past, clusterState.stored)
    return 'ok'
  }

  /** Marks the clusters that lie whole in a range as zero, and hands what is left at its ends to `edge`. */
  const clear = async (offset: number, length: number, edge: (offset: number, length: number) => Outcome): Promise<BlockStatus> => {
    const end = offset + length
    const first = Math.ceil(offset / clusterSize)
    const past = end === size ? Math.ceil(end / clusterSize) : Math.floor(end / clusterSize)
    if (first >= past) return edge(offset, length)
    store.mark(first, past, clusterState.zero)
    await store.release(first * clusterSize, Math.min(past * clusterSize, size) - first * clusterSize)
    const head = first * clusterSize - offset
    const status = head > 0 ? await edge(offset, head) : 'ok'
    if (status !== 'ok') return status
    const tail = end - past * clusterSize
    return tail > 0 ? edge(past * clusterSize, tail) : 'ok'
  }

  return {
    size,
    readOnly: false,
    blockSize: Math.max(base.blockSize, 4096),
    unit: clusterSize,
    read: (offset, into) => eagerly(read(offset, into)),
    ...(base.readAtOnce !== undefined && {
      // What the store has is in memory, or in another file, and not one range of the base.
      readAtOnce(offset: number, into: readonly Uint8Array[]): boolean {
        const first = Math.floor(offset / clusterSize)
        const past = Math.ceil((offset + lengthOf(into)) / clusterSize)
        return store.map.get(first) === clusterState.base && store.map.runEnd(first, past) >= past && base.readAtOnce?.(offset, into, () => {}) === true
      },
    }),
    write: (offset, from) => eagerly(write(offset, from, lengthOf(from))),
    flush: () => store.flush(),
    discard: (offset, length) => clear(offset, length, () => 'ok'),
    writeZeroes: (offset, length) => clear(offset, length, (at, count) => eagerly(write(at, [new Uint8Array(count)], count))),
    close,
  }
}
