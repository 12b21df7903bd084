import type { BackendClock, BlockStatus } from '@machinist/api'
import { lengthOf } from '../buffers.ts'
import type { DiskEngine, Outcome } from '../disk.ts'
import { answered, type Eager, eagerly, settle, wait } from '../eager.ts'
import { Sequencer } from '../sequencer.ts'
import { ClusterTable, clusterSize, isZero, Room } from './cluster-table.ts'

/** Clusters that are copied at once. */
const stretch = 64

/** What the disk had while it was as it was at some moment, as far as it has changed since; what it lacks, the next one has, or the disk. */
export interface Layer {
  readonly table: ClusterTable
  next: Layer | null
  /** Copies that were made at that moment, and copies of them. */
  users: number
}

/**
 * A disk that has copies. Each copy has a table of what it has written, and reads the rest from what the disk was when the copy was made. Before the disk
 * changes, the old content goes to the newest layer, once, however many copies there are: older ones look there, too.
 *
 * All that reads and changes the disk goes through its sequencer, so that neither side sees the other half done.
 */
export class Origin {
  readonly sequencer: Sequencer = new Sequencer()
  readonly room: Room
  readonly #open: (clock?: BackendClock) => DiskEngine
  readonly #release: () => Promise<void>
  #engine: DiskEngine | null = null
  /** Null when there are no copies. */
  #oldest: Layer | null = null
  #newest: Layer | null = null
  /** Whether the disk itself is still used, and not only its copies. */
  #own = true

  constructor(open: (clock?: BackendClock) => DiskEngine, release: () => Promise<void>, limit: number) {
    this.#open = open
    this.#release = release
    this.room = new Room(limit)
  }

  /** What is below, opened when it is first needed. */
  engine(clock?: BackendClock): DiskEngine {
    this.#engine ??= this.#open(clock)
    return this.#engine
  }

  /** The disk as it is now, for a copy: to be given back by {@link Origin.leave}. */
  now(): Layer {
    const newest = this.#newest
    const layer = newest?.table.empty === true ? newest : { table: new ClusterTable(this.room), next: null, users: 0 }
    if (newest === null) this.#oldest = layer
    else if (newest !== layer) newest.next = layer
    this.#newest = layer
    layer.users += 1
    return layer
  }

  /** A copy is closed, or, without a layer, the disk itself; the last one closes what is below. */
  async leave(layer?: Layer): Promise<void> {
    if (layer === undefined) this.#own = false
    else layer.users -= 1
    // What only older copies would look for.
    while (this.#oldest !== null && this.#oldest.users === 0) {
      this.#oldest.table.clear()
      this.#oldest = this.#oldest.next
    }
    if (this.#oldest !== null) return
    this.#newest = null
    if (!this.#own) await (this.#engine === null ? this.#release() : this.#engine.close())
  }

  /** Does work that reads a range of the disk, while nobody changes it. */
  reading(offset: number, length: number, work: () => Outcome): Outcome {
    return answered((done) => {
      this.sequencer.run(offset, offset + length, false, (release) => {
        settle(work, 'io-error', (status) => {
          done(status)
          release()
        })
      })
    })
  }

  /** Whether there are copies. */
  get copied(): boolean {
    return this.#newest !== null
  }

  /** The disk as its own machine has it. */
  own(clock?: BackendClock): DiskEngine {
    const engine = this.engine(clock)
    const copied = (): boolean => this.#newest !== null
    const { unit } = engine
    const common = unit % clusterSize === 0 ? unit : clusterSize % unit === 0 ? clusterSize : unit * clusterSize
    const keeping = (offset: number, length: number, change: () => Outcome): Outcome => {
      if (!copied()) return change()
      return eagerly((function* (keep): Eager<BlockStatus> {
        const status = yield* keep
        return status === 'ok' ? yield* wait(change()) : status
      })(this.#keep(engine, offset, length)))
    }
    return {
      size: engine.size,
      readOnly: engine.readOnly,
      blockSize: engine.blockSize,
      // What is copied whole must not change in part meanwhile.
      get unit() { return copied() ? common : unit },
      read: (offset, into) => engine.read(offset, into),
      ...(engine.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => engine.readAtOnce?.(offset, into) ?? false }),
      write: (offset, from) => keeping(offset, lengthOf(from), () => engine.write(offset, from)),
      flush: () => engine.flush(),
      // It need not do anything, and copies may still want what is there.
      discard: (offset, length) => copied() ? 'ok' : engine.discard(offset, length),
      writeZeroes: (offset, length) => keeping(offset, length, () => engine.writeZeroes(offset, length)),
      close: () => engine.close(),
      save: () => engine.save?.() ?? [],
    }
  }

  /** Keeps the clusters of a range that is about to change, for the copies that read them here. */
  *#keep(engine: DiskEngine, offset: number, length: number): Eager<BlockStatus> {
    const past = Math.ceil((offset + length) / clusterSize)
    for (let at = Math.floor(offset / clusterSize); at < past;) {
      if (!this.#wanted(at)) {
        at += 1
        continue
      }
      let end = at + 1
      while (end < past && end - at < stretch && this.#wanted(end)) end += 1
      const start = at * clusterSize
      const bytes = new Uint8Array((end - at) * clusterSize)
      const status = yield* wait(engine.read(start, [bytes.subarray(0, Math.min(bytes.length, engine.size - start))]))
      if (status !== 'ok') return status
      for (let cluster = at; cluster < end; cluster++) {
        const from = (cluster - at) * clusterSize
        const content = bytes.subarray(from, from + clusterSize)
        if (this.#wanted(cluster) && this.#newest?.table.set(cluster, isZero(content) ? null : { bytes: content.slice(), owners: 0 }) === false) return 'no-space'
      }
      at = end
    }
    return 'ok'
  }

  /** Whether the newest layer lacks it. Older ones have got theirs before there was this one, or look here. */
  #wanted(cluster: number): boolean {
    return this.#newest !== null && this.#newest.table.get(cluster) === undefined
  }
}
