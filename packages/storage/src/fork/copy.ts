import type { BackendClock, BlockStatus } from '@machinist/api'
import { lengthOf } from '../buffers.ts'
import type { DiskEngine, Outcome } from '../disk.ts'
import { type Eager, eagerly, wait } from '../eager.ts'
import { contentState } from '../content/content.ts'
import { type Cluster, type ClusterTable, clusterSize } from './cluster-table.ts'
import type { Layer, Origin } from './origin.ts'
import { contentOfTables } from './saved-table.ts'

const clusterOf = (offset: number): number => Math.floor(offset / clusterSize)

/** A copy of a disk: reads its table, else what the disk was, `since` it was copied; writes into its table alone. */
export function copyEngine(origin: Origin, table: ClusterTable, since: Layer, clock?: BackendClock): DiskEngine {
  const engine = origin.engine(clock)
  const { size } = engine

  /** Undefined when it is as on the disk. */
  const get = (cluster: number): Cluster | null | undefined => {
    let content = table.get(cluster)
    for (let layer: Layer | null = since; content === undefined && layer !== null; layer = layer.next) content = layer.table.get(cluster)
    return content
  }
  /** The end of the clusters from `first` on that are on the disk. */
  const diskEnd = (first: number, past: number): number => {
    let end = first
    while (end < past && get(end) === undefined) end += 1
    return end
  }
  const onDisk = (first: number, past: number): boolean => diskEnd(first, past) === past

  /** Reads a range; the disk, if it needs it, is not changed meanwhile. */
  const readInto = function* (offset: number, into: Uint8Array): Eager<BlockStatus> {
    const past = clusterOf(offset + into.length - 1) + 1
    for (let done = 0; done < into.length;) {
      const at = offset + done
      const cluster = clusterOf(at)
      const content = get(cluster)
      const end = (content === undefined ? diskEnd(cluster + 1, past) : cluster + 1) * clusterSize
      const part = into.subarray(done, Math.min(into.length, end - offset))
      if (content === undefined) {
        const status = yield* wait(engine.read(at, [part]))
        if (status !== 'ok') return status
      } else if (content === null) part.fill(0)
      else part.set(content.bytes.subarray(at % clusterSize, at % clusterSize + part.length))
      done += part.length
    }
    return 'ok'
  }

  const read = (offset: number, into: readonly Uint8Array[]): Outcome => {
    const length = lengthOf(into)
    const work = (): Outcome => {
      if (onDisk(clusterOf(offset), clusterOf(offset + length - 1) + 1)) return engine.read(offset, into)
      return eagerly((function* (): Eager<BlockStatus> {
        let at = offset
        for (const buffer of into) {
          const status = yield* readInto(at, buffer)
          if (status !== 'ok') return status
          at += buffer.length
        }
        return 'ok'
      })())
    }
    // What is here already does not wait for what the other side does.
    for (let cluster = clusterOf(offset), last = clusterOf(offset + length - 1); cluster <= last; cluster++) {
      if (get(cluster) === undefined) return origin.reading(offset, length, work)
    }
    return work()
  }

  /** Writes a range, after it has read what its first and last clusters have besides it. */
  const write = function* (offset: number, from: readonly Uint8Array[], end: number): Eager<BlockStatus> {
    const first = clusterOf(offset)
    const last = clusterOf(end - 1)
    const edges = new Map<number, Uint8Array>()
    for (const cluster of new Set([first, last])) {
      const start = cluster * clusterSize
      if ((offset <= start && end >= Math.min(start + clusterSize, size)) || get(cluster) !== undefined) continue
      const bytes = new Uint8Array(Math.min(clusterSize, size - start))
      const status = yield* wait(read(start, [bytes]))
      if (status !== 'ok') return status
      edges.set(cluster, bytes)
    }
    // From here on nothing waits, so that all stays where it is.
    const take = taker(from)
    for (let cluster = first; cluster <= last; cluster++) {
      const start = cluster * clusterSize
      const own = table.get(cluster)
      const alone = own !== null && own?.owners === 1 && own.saved !== true
      const bytes = alone ? own.bytes : new Uint8Array(clusterSize)
      const before = get(cluster)
      const content = alone ? null : before === undefined ? edges.get(cluster) : before?.bytes
      if (content) bytes.set(content)
      take(bytes.subarray(Math.max(offset - start, 0), Math.min(end - start, clusterSize)))
      if (!alone && !table.set(cluster, { bytes, owners: 0 })) return 'no-space'
    }
    return 'ok'
  }

  /** The clusters that lie whole in a range, become zeroes; what is left at its ends goes to `edge`. */
  const clear = function* (offset: number, length: number, edge: (offset: number, length: number) => Eager<BlockStatus>): Eager<BlockStatus> {
    const end = offset + length
    const first = Math.ceil(offset / clusterSize)
    const past = end === size ? Math.ceil(end / clusterSize) : clusterOf(end)
    if (first >= past) return yield* edge(offset, length)
    if (!table.zero(first, past)) return 'no-space'
    const head = first * clusterSize - offset
    const status = head > 0 ? yield* edge(offset, head) : 'ok'
    const tail = end - past * clusterSize
    return status === 'ok' && tail > 0 ? yield* edge(past * clusterSize, tail) : status
  }

  return {
    size,
    readOnly: engine.readOnly,
    blockSize: engine.blockSize,
    unit: clusterSize,
    read,
    ...(engine.readAtOnce !== undefined && {
      readAtOnce(offset: number, into: readonly Uint8Array[]): boolean {
        const length = lengthOf(into)
        return length > 0 && onDisk(clusterOf(offset), clusterOf(offset + length - 1) + 1) && origin.sequencer.readable(offset, offset + length) &&
          engine.readAtOnce?.(offset, into) === true
      },
    }),
    write: (offset, from) => eagerly(write(offset, from, offset + lengthOf(from))),
    flush: () => 'ok',
    discard: (offset, length) => eagerly(clear(offset, length, nothing)),
    writeZeroes: (offset, length) => eagerly(clear(offset, length, (at, count) => write(at, [new Uint8Array(count)], at + count))),
    close: () => Promise.resolve(),
    save() {
      const layers: ClusterTable[] = []
      for (let layer: Layer | null = since; layer !== null; layer = layer.next) layers.push(layer.table)
      return [...engine.save?.() ?? [], contentState(contentOfTables([...layers.toReversed(), table], size))]
    },
  }
}

const nothing = function* (): Eager<BlockStatus> { return 'ok' }

/** Fills buffers with the bytes of others, one after another. */
function taker(from: readonly Uint8Array[]): (into: Uint8Array) => void {
  let index = 0
  let used = 0
  return (into) => {
    for (let done = 0; done < into.length;) {
      const buffer = from[index]
      if (buffer === undefined) return
      const part = buffer.subarray(used, used + into.length - done)
      into.set(part, done)
      done += part.length
      used += part.length
      if (used < buffer.length) continue
      index += 1
      used = 0
    }
  }
}
