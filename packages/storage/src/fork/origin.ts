import type { BackendClock, BlockStatus } from '@machinist/api'
import { lengthOf } from '../buffers.ts'
import type { DiskEngine, Outcome } from '../disk.ts'
import { answered, type Eager, eagerly, settle, wait } from '../eager.ts'
import { Sequencer } from '../sequencer.ts'
import { type ClusterTable, clusterSize, isZero, Room } from './cluster-table.ts'

/** Clusters that are copied at once. */
const stretch = 64

/**
 * A disk that has copies. Each copy has a table of what is its own, and reads the rest here. Before the disk changes, what it has is given to the copies
 * that still read it: copies of copies read it as directly, so that there are no chains.
 *
 * All that reads and changes the disk goes through its sequencer, so that neither side sees the other half done.
 */
export class Origin {
  readonly sequencer: Sequencer = new Sequencer()
  readonly room: Room
  readonly #open: (clock?: BackendClock) => DiskEngine
  readonly #release: () => Promise<void>
  #engine: DiskEngine | null = null
  readonly #tables = new Set<ClusterTable>()
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

  join(table: ClusterTable): void {
    this.#tables.add(table)
  }

  /** A copy is closed, or, without a table, the disk itself; the last one closes what is below. */
  async leave(table?: ClusterTable): Promise<void> {
    if (table === undefined) this.#own = false
    else {
      this.#tables.delete(table)
      table.clear()
    }
    if (!this.#own && this.#tables.size === 0) await (this.#engine === null ? this.#release() : this.#engine.close())
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

  /** The disk as its own machine has it. */
  own(clock?: BackendClock): DiskEngine {
    const engine = this.engine(clock)
    const tables = this.#tables
    const { unit } = engine
    const common = unit % clusterSize === 0 ? unit : clusterSize % unit === 0 ? clusterSize : unit * clusterSize
    const keeping = (offset: number, length: number, change: () => Outcome): Outcome => {
      if (tables.size === 0) return change()
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
      get unit() { return tables.size === 0 ? unit : common },
      read: (offset, into) => engine.read(offset, into),
      ...(engine.readAtOnce !== undefined && { readAtOnce: (offset: number, into: readonly Uint8Array[]) => engine.readAtOnce?.(offset, into) ?? false }),
      write: (offset, from) => keeping(offset, lengthOf(from), () => engine.write(offset, from)),
      flush: () => engine.flush(),
      // It need not do anything, and copies may still want what is there.
      discard: (offset, length) => tables.size === 0 ? engine.discard(offset, length) : 'ok',
      writeZeroes: (offset, length) => keeping(offset, length, () => engine.writeZeroes(offset, length)),
      close: () => engine.close(),
    }
  }

  /** Gives the clusters of a range that is about to change to the copies that read them here. */
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
        if (!this.#give(cluster, bytes.subarray(from, from + clusterSize))) return 'no-space'
      }
      at = end
    }
    return 'ok'
  }

  #wanted(cluster: number): boolean {
    for (const table of this.#tables) if (table.get(cluster) === undefined) return true
    return false
  }

  #give(cluster: number, bytes: Uint8Array): boolean {
    const content = isZero(bytes) ? null : { bytes: bytes.slice(), owners: 0 }
    for (const table of this.#tables) if (table.get(cluster) === undefined && !table.set(cluster, content)) return false
    return true
  }
}
