import { type Eager, wait } from '../eager.ts'
import type { RandomAccessFile } from '../file.ts'
import { Lock } from '../lock.ts'
import type { Header } from './header.ts'
import { isCopied, mappingAt, setEntry, tableOffset } from './layout.ts'
import type { Mapping } from './layout.ts'
import { Refcounts, clustersOf, systemError } from './refcounts.ts'
import { TableCache } from './table-cache.ts'

const cacheBytes = 16 << 20
/** Entries of the L1 table that are written together: a sector. */
const l1Step = 64
/** How many clusters may wait to be given back before they are. */
const maxFreed = 65536

/** Neighbouring clusters of the disk that are in one state; plain ones follow one another in the file, too. */
export interface Run {
  /** Of the first. */
  readonly mapping: Mapping
  readonly count: number
}

/** An L1 table in memory: entries as they are in the file. */
export type L1Table = DataView

/**
 * The two levels of tables from clusters of the disk to clusters of the file, and the counts.
 *
 * Changes stay in memory until `sync`, which writes them so that a loss of power at any moment leaves clusters that nobody uses,
 * at worst: data and counts; then, when those are stable, L2 tables; then the L1 table; and only when that is stable
 * do clusters that are no longer referred to become free.
 */
export class Tables {
  readonly #file: RandomAccessFile
  readonly #bits: number
  readonly #version: number
  readonly #entries: number
  #l1: L1Table
  #l1Offset: number
  readonly #l1Dirty = new Set<number>()
  readonly #l2: TableCache
  readonly #refcounts: Refcounts | null
  readonly #newTables = new Lock()
  /** Clusters to release once the tables in the file do not name them. */
  #freed: number[] = []
  /** Where the guest's data must never go: header, tables, counts. */
  readonly #reserved: Set<number>
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  /** @param refcounts - absent when nothing is written */
  constructor(file: RandomAccessFile, header: Header, l1: L1Table, counts: Float64Array | null) {
    this.#file = file
    this.#bits = header.clusterBits
    this.#version = header.version
    this.#entries = 2 ** (header.clusterBits - 3)
    this.#l1 = l1
    this.#l1Offset = header.l1Offset
    this.#l2 = new TableCache(file, 2 ** header.clusterBits, cacheBytes)
    this.#reserved = new Set([0])
    this.#refcounts = counts === null ? null : new Refcounts(
      file, header.clusterBits, header.refcountOrder, { offset: header.refcountTableOffset, clusters: header.refcountTableClusters }, counts,
      (offset) => this.#isMetadata(offset))
    if (counts === null) return
    this.#reserve(header.l1Offset, l1.byteLength)
    if (header.snapshotCount > 0) this.#reserve(header.snapshotsOffset, 1)
    for (let index = 0; index < l1.byteLength / 8; index++) this.#reserved.add(tableOffset(l1, index * 8))
  }

  get l1Entries(): number {
    return this.#l1.byteLength / 8
  }

  get #clusterSize(): number {
    return 2 ** this.#bits
  }

  get #counts(): Refcounts {
    if (this.#refcounts === null) throw systemError('EIO', 'the image is open for reading')
    return this.#refcounts
  }

  #reserve(offset: number, bytes: number): void {
    for (let at = offset; at < offset + bytes; at += this.#clusterSize) this.#reserved.add(at)
  }

  #isMetadata(offset: number): boolean {
    if (this.#reserved.has(offset)) return true
    const counts = this.#refcounts
    if (counts === null) return false
    const { place } = counts
    return counts.isBlock(offset) || (offset >= place.offset && offset < place.offset + place.clusters * this.#clusterSize)
  }

  /** Refuses to write data where metadata is, which an image can ask for. */
  guard(offset: number, clusters: number): void {
    for (let index = 0; index < clusters; index++) {
      if (this.#isMetadata(offset + index * this.#clusterSize)) throw systemError('EIO', 'a cluster of data is one of metadata')
    }
  }

  /** The state of up to `limit` clusters from one. */
  *lookup(cluster: number, limit: number): Eager<Run> {
    const index = Math.floor(cluster / this.#entries)
    const slot = cluster % this.#entries
    const table = index < this.l1Entries ? tableOffset(this.#l1, index * 8) : 0
    const count = Math.min(limit, this.#entries - slot)
    if (table === 0) return { mapping: { kind: 'absent' }, count }
    if (Number.isNaN(table) || table % this.#clusterSize !== 0) return { mapping: { kind: 'bad' }, count }
    const run = yield* wait(this.#l2.use(table, ({ view }) => this.#runIn(view, slot, count)))
    // While we waited for a shared table it may have become another's, and its cluster something else.
    return tableOffset(this.#l1, index * 8) === table ? run : yield* this.lookup(cluster, limit)
  }

  #runIn(view: DataView, slot: number, limit: number): Run {
    const mapping = mappingAt(view, slot * 8, this.#bits, this.#version)
    if (mapping.kind === 'compressed') return { mapping, count: 1 }
    let count = 1
    for (; count < limit; count++) {
      const next = mappingAt(view, (slot + count) * 8, this.#bits, this.#version)
      if (next.kind !== mapping.kind) break
      if (!('offset' in next) || !('offset' in mapping) || (next.offset === 0 && mapping.offset === 0)) continue
      if (mapping.offset === 0 || next.offset !== mapping.offset + count * this.#clusterSize || !('copied' in next) || !('copied' in mapping) || next.copied !== mapping.copied) break
    }
    return { mapping, count }
  }

  /** Takes clusters for data. */
  allocate(wanted: number): Promise<{ readonly offset: number, readonly count: number }> {
    return this.#counts.allocate(wanted)
  }

  /** Gives back clusters that no table ever named. */
  async abandon(offset: number, count: number): Promise<void> {
    await this.#counts.release(clustersOf({ offset, clusters: count }, this.#clusterSize))
  }

  /**
   * Sets clusters of the disk, all below one L2 table, to what `next` makes of what they were; null leaves one as it is.
   * What they occupied is given back.
   */
  async update(cluster: number, count: number, next: (mapping: Mapping, index: number) => { readonly offset: number, readonly zero: boolean } | null): Promise<void> {
    const table = await this.#writableTable(Math.floor(cluster / this.#entries))
    await this.#l2.use(table, (held) => {
      for (let index = 0; index < count; index++) {
        const at = (cluster % this.#entries + index) * 8
        const old = mappingAt(held.view, at, this.#bits, this.#version)
        const entry = next(old, index)
        if (entry === null) continue
        setEntry(held.view, at, entry.offset, true, entry.zero)
        this.#l2.touch(held)
        if (old.kind === 'compressed') {
          const first = old.offset - old.offset % this.#clusterSize
          for (let part = first; part < old.offset + old.length; part += this.#clusterSize) this.#freed.push(part)
        } else if ('offset' in old && old.offset !== 0 && old.offset !== entry.offset) {
          this.#freed.push(old.offset)
        }
      }
    })
  }

  /** Whether clusters have an L2 table; and how many from one share it. */
  tableOf(cluster: number): { readonly present: boolean, readonly left: number } {
    const index = Math.floor(cluster / this.#entries)
    return { present: index < this.l1Entries && tableOffset(this.#l1, index * 8) !== 0, left: this.#entries - cluster % this.#entries }
  }

  /** An L2 table that belongs to the active L1 table alone: as it is, new, or a copy. */
  #writableTable(index: number): Promise<number> | number {
    const present = tableOffset(this.#l1, index * 8)
    if (present > 0 && present % this.#clusterSize === 0 && isCopied(this.#l1, index * 8)) {
      if (this.#counts.isBlock(present) || present === 0) throw systemError('EIO', 'an L2 table is other metadata')
      return present
    }
    return this.#newTables.run(async () => {
      const old = tableOffset(this.#l1, index * 8)
      if (Number.isNaN(old) || old % this.#clusterSize !== 0) throw systemError('EIO', 'an L2 table has an impossible place')
      if (old !== 0 && isCopied(this.#l1, index * 8)) return old
      const { offset } = await this.#counts.allocate(1)
      try {
        const bytes = old === 0 ? new Uint8Array(this.#clusterSize) : await this.#l2.use(old, (table) => table.bytes.slice())
        // What a shared table names has more owners than one.
        if (old !== 0) for (let at = 0; at < bytes.length; at += 8) if (((bytes[at] ?? 0) & 0x40) === 0) bytes[at] = (bytes[at] ?? 0) & 0x7f
        // Its room in the file is taken now: a flush must not find the disk full, after writes that were answered.
        await this.#file.write(offset, bytes)
        this.#l2.create(offset, bytes)
      } catch (error) {
        await this.abandon(offset, 1)
        throw error
      }
      setEntry(this.#l1, index * 8, offset, true)
      this.#l1Dirty.add(Math.floor(index / l1Step))
      this.#reserved.add(offset)
      if (old !== 0) {
        this.#reserved.delete(old)
        this.#l2.drop(old)
        this.#freed.push(old)
      }
      return offset
    })
  }

  /** Whether clusters are to become free with the next {@link sync}. */
  get owes(): boolean {
    return this.#freed.length > 0
  }

  /** Whether the file lacks nothing, counts included. */
  get clean(): boolean {
    return this.#refcounts === null || (this.#refcounts.clean && !this.#l2.anyDirty && this.#l1Dirty.size === 0 && this.#freed.length === 0)
  }

  /** Writes changes out when many wait. */
  relieve(): Promise<void> | undefined {
    return this.#l2.crowded || this.#counts.crowded || this.#freed.length > maxFreed ? this.sync() : undefined
  }

  /** Makes everything stable that was written before the call. Calls that come while one runs share the next. */
  sync(): Promise<void> {
    if (this.#running === null) {
      this.#running = this.#syncNow().finally(() => { this.#running = null })
      return this.#running
    }
    this.#next ??= this.#running.catch(() => undefined).then(() => {
      this.#next = null
      return this.sync()
    })
    return this.#next
  }

  async #syncNow(): Promise<void> {
    const counts = this.#refcounts
    if (counts === null) return
    const tables = this.#l2.takeDirty()
    const steps = [...this.#l1Dirty].map((step) => ({ at: step * l1Step * 8, bytes: new Uint8Array(this.#l1.buffer).slice(step * l1Step * 8, (step + 1) * l1Step * 8) }))
    this.#l1Dirty.clear()
    const freed = this.#freed
    this.#freed = []
    try {
      const moved = await counts.write()
      await this.#file.flush()
      if (tables.length > 0) {
        await this.#l2.write(tables)
        await this.#file.flush()
      }
      if (steps.length > 0) {
        for (const { at, bytes } of steps) await this.#file.write(this.#l1Offset + at, bytes)
        await this.#file.flush()
      }
      freed.push(...moved)
    } catch (error) {
      this.#l2.untake(tables)
      for (const { at } of steps) this.#l1Dirty.add(at / 8 / l1Step)
      for (const offset of freed) this.#freed.push(offset)
      throw error
    }
    if (freed.length > 0) await counts.release(freed)
  }

  /** Moves the L1 table to where it has room for more entries; `write` puts place and size into the header. All is stable afterwards. */
  async growL1(entries: number, write: (offset: number) => Promise<void>): Promise<void> {
    await this.sync()
    const clusters = Math.ceil(entries * 8 / this.#clusterSize)
    const bytes = new Uint8Array(clusters * this.#clusterSize)
    bytes.set(new Uint8Array(this.#l1.buffer))
    const offset = await this.#contiguous(clusters)
    const freed = [...await this.#counts.write()]
    await this.#file.write(offset, bytes)
    await this.#file.flush()
    await write(offset)
    await this.#file.flush()
    const old = { offset: this.#l1Offset, clusters: Math.ceil(this.#l1.byteLength / this.#clusterSize) }
    this.#l1 = new DataView(bytes.buffer, 0, entries * 8)
    this.#l1Offset = offset
    for (const cluster of clustersOf(old, this.#clusterSize)) this.#reserved.delete(cluster)
    this.#reserve(offset, bytes.length)
    if (old.offset !== 0) freed.push(...clustersOf(old, this.#clusterSize))
    await this.#counts.release(freed)
  }

  /** Free clusters in one piece; pieces that are too short are given back in the end. */
  async #contiguous(clusters: number): Promise<number> {
    const short: number[] = []
    let start = 0
    let have = 0
    while (have < clusters) {
      const piece = await this.#counts.allocate(clusters - have)
      if (have > 0 && piece.offset === start + have * this.#clusterSize) {
        have += piece.count
        continue
      }
      short.push(...clustersOf({ offset: start, clusters: have }, this.#clusterSize))
      start = piece.offset
      have = piece.count
    }
    await this.#counts.release(short)
    return start
  }
}
