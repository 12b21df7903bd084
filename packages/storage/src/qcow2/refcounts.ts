import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageFull } from '../format.ts'
import { Lock } from '../lock.ts'
import { field, limit, setU64, getU64 } from './layout.ts'
import { TableCache } from './table-cache.ts'

/** An error that a disk reports as `'no-space'` or `'io-error'`. */
export function systemError(code: 'ENOSPC' | 'EIO', problem: string): Error {
  return code === 'ENOSPC' ? imageFull('qcow2 image', problem) : imageDamaged('qcow2 image', 'qcow2', problem)
}

/** One count of a block, of `2^order` bits; those below a byte fill it from its lowest bits. */
export function getCount(view: DataView, index: number, order: number): number {
  switch (order) {
    case 3: return view.getUint8(index)
    case 4: return view.getUint16(index * 2)
    case 5: return view.getUint32(index * 4)
    case 6: return getU64(view, index * 8)
    default: return (view.getUint8((index << order) >>> 3) >>> ((index << order) & 7)) & ((1 << (1 << order)) - 1)
  }
}

export function setCount(view: DataView, index: number, order: number, value: number): void {
  switch (order) {
    case 3: view.setUint8(index, value); break
    case 4: view.setUint16(index * 2, value); break
    case 5: view.setUint32(index * 4, value); break
    case 6: setU64(view, index * 8, value); break
    default: {
      const at = (index << order) >>> 3
      const shift = (index << order) & 7
      view.setUint8(at, (view.getUint8(at) & ~(((1 << (1 << order)) - 1) << shift)) | (value << shift))
    }
  }
}

const cacheBytes = 4 << 20
/** Entries of the refcount table that are written together: a sector. */
const tableStep = 64

/** Where the refcounts are, as the header says. */
export interface RefcountPlace {
  readonly offset: number
  readonly clusters: number
}

/**
 * How many owners each cluster of the file has, and with that, which are free.
 *
 * Counts change in memory; `write` brings them to the file. A count that went up must be stable before anything in the
 * file refers to the cluster, and may go down only when nothing does: `release` is for clusters whose last reference is
 * gone from stable storage.
 */
export class Refcounts {
  readonly #file: RandomAccessFile
  readonly #clusterBits: number
  readonly #order: number
  readonly #perBlock: number
  readonly #cache: TableCache
  readonly #lock = new Lock()
  /** Whether a cluster holds metadata: then it is not free, whatever its count says. */
  readonly #reserved: (offset: number) => boolean
  /** Offsets of the blocks, 0 for none: the refcount table. */
  #table: Float64Array
  readonly #tableDirty = new Set<number>()
  #place: RefcountPlace
  /** Where the table was, while the header still says so. */
  #moved: RefcountPlace | null = null
  /** Places of the table between that one and the present one, which it has never been written to. */
  #passed: number[] = []
  /** No cluster before it is free, as far as is known. */
  #hint = 0

  constructor(file: RandomAccessFile, clusterBits: number, order: number, place: RefcountPlace, table: Float64Array, reserved: (offset: number) => boolean) {
    this.#file = file
    this.#clusterBits = clusterBits
    this.#order = order
    this.#perBlock = 2 ** (clusterBits + 3 - order)
    this.#cache = new TableCache(file, 2 ** clusterBits, cacheBytes)
    this.#place = place
    this.#table = table
    this.#reserved = reserved
  }

  get place(): RefcountPlace {
    return this.#place
  }

  /** Whether too much waits to be written. */
  get crowded(): boolean {
    return this.#cache.crowded
  }

  get clean(): boolean {
    return !this.#cache.anyDirty && this.#tableDirty.size === 0 && this.#moved === null
  }

  /** Whether a cluster is a block of counts. */
  isBlock(offset: number): boolean {
    return this.#blocks.has(offset)
  }

  get #blocks(): Set<number> {
    this.#blockSet ??= new Set(this.#table)
    return this.#blockSet
  }
  #blockSet: Set<number> | null = null

  /**
   * Takes free clusters that follow one another, at least one and at most `wanted`, and counts one owner for each.
   * Rejects with `ENOSPC` when the refcount table cannot grow further.
   */
  allocate(wanted: number): Promise<{ readonly offset: number, readonly count: number }> {
    return this.#lock.run(async () => {
      for (;;) {
        const index = Math.floor(this.#hint / this.#perBlock)
        const block = await this.#ensureBlock(index)
        const found = await this.#cache.use(block, (table) => {
          const base = index * this.#perBlock
          const free = (slot: number): boolean => getCount(table.view, slot, this.#order) === 0 && !this.#reserved((base + slot) * 2 ** this.#clusterBits)
          let start = this.#hint - base
          while (start < this.#perBlock && !free(start)) start += 1
          let end = start
          while (end < this.#perBlock && end - start < wanted && free(end)) {
            setCount(table.view, end, this.#order, 1)
            end += 1
          }
          this.#hint = base + end
          if (end === start) return null
          this.#cache.touch(table)
          return { offset: (base + start) * 2 ** this.#clusterBits, count: end - start }
        })
        if (found !== null) return found
      }
    })
  }

  /** Takes one owner from each of some clusters, given by their offsets. What is free then may be taken again at once. */
  release(offsets: readonly number[]): Promise<void> {
    return this.#lock.run(async () => {
      const free: number[] = []
      for (const offset of offsets) {
        const cluster = offset / 2 ** this.#clusterBits
        const index = Math.floor(cluster / this.#perBlock)
        const block = this.#table[index] ?? 0
        // An image may name clusters that it does not count; there is nothing to give back.
        if (!(block > 0)) continue
        const left = await this.#cache.use(block, (table) => {
          const count = getCount(table.view, cluster % this.#perBlock, this.#order)
          if (count === 0) return -1
          setCount(table.view, cluster % this.#perBlock, this.#order, count - 1)
          this.#cache.touch(table)
          return count - 1
        })
        if (left !== 0) continue
        // An image may name its own structures as content: then they stay what they are.
        if (!this.#reserved(offset) && !this.isBlock(offset)) free.push(cluster)
        this.#hint = Math.min(this.#hint, cluster)
      }
      await this.#giveBack(free.sort((a, b) => a - b))
    })
  }

  /** Gives the host the storage of clusters that are free, neighbours together. */
  async #giveBack(free: readonly number[]): Promise<void> {
    const clusterSize = 2 ** this.#clusterBits
    for (let first = 0, past = 1; first < free.length; first = past, past += 1) {
      const start = free[first] ?? 0
      while (free[past] === start + past - first) past += 1
      try {
        await this.#file.discard?.(start * clusterSize, (past - first) * clusterSize)
      } catch {
        return // Only room of the host's that could have been given back.
      }
    }
  }

  /** The count of a cluster. */
  async count(offset: number): Promise<number> {
    const cluster = offset / 2 ** this.#clusterBits
    const block = this.#table[Math.floor(cluster / this.#perBlock)] ?? 0
    return block > 0 ? this.#cache.use(block, ({ view }) => getCount(view, cluster % this.#perBlock, this.#order)) : 0
  }

  /**
   * Writes what changed, in an order in which whatever the file refers to is stable. The last writes are not: a flush has to follow.
   * On failure all is still to be written.
   *
   * @returns clusters to release after that flush
   */
  write(): Promise<readonly number[]> {
    return this.#lock.run(async () => {
      await this.#cache.write(this.#cache.takeDirty())
      if (this.#moved !== null) {
        await this.#file.write(this.#place.offset, this.#encode(0, this.#table.length))
        await this.#file.flush()
        await writeRefcountPlace(this.#file, this.#place)
        const freed = [...clustersOf(this.#moved, 2 ** this.#clusterBits), ...this.#passed]
        this.#moved = null
        this.#passed = []
        this.#tableDirty.clear()
        return freed
      }
      if (this.#tableDirty.size === 0) return []
      await this.#file.flush()
      for (const step of [...this.#tableDirty]) {
        await this.#file.write(this.#place.offset + step * tableStep * 8, this.#encode(step * tableStep, tableStep))
        this.#tableDirty.delete(step)
      }
      return []
    })
  }

  #encode(first: number, count: number): Uint8Array {
    const bytes = new Uint8Array(count * 8)
    const view = new DataView(bytes.buffer)
    for (let index = 0; index < count; index++) setU64(view, index * 8, this.#table[first + index] ?? 0)
    return bytes
  }

  #setBlock(index: number, offset: number): void {
    this.#table[index] = offset
    this.#tableDirty.add(Math.floor(index / tableStep))
    this.#blocks.add(offset)
  }

  async #ensureBlock(index: number): Promise<number> {
    if (index >= this.#table.length) await this.#grow(index)
    const present = this.#table[index] ?? 0
    if (Number.isNaN(present)) throw systemError('EIO', 'a block of counts has an impossible place')
    if (present !== 0) return present
    // Nothing counts these clusters, so all are free. The block takes the first of them and counts itself.
    const offset = index * this.#perBlock * 2 ** this.#clusterBits
    if (offset === 0 || this.#reserved(offset)) throw systemError('EIO', 'clusters in use are not counted')
    const bytes = new Uint8Array(2 ** this.#clusterBits)
    setCount(new DataView(bytes.buffer), 0, this.#order, 1)
    // Its room in the file is taken now, when a full disk can still be told to whoever writes, and not when it is flushed.
    await this.#file.write(offset, bytes)
    this.#cache.create(offset, bytes)
    this.#setBlock(index, offset)
    return offset
  }

  /** Moves the table to where no clusters are counted yet, larger, with blocks that count it and themselves. */
  async #grow(index: number): Promise<void> {
    const clusterSize = 2 ** this.#clusterBits
    const perCluster = clusterSize / 8
    let clusters = Math.ceil(Math.max(index + 1, this.#table.length * 1.5) / perCluster)
    let blocks = 0
    for (;;) {
      blocks = Math.ceil(clusters / (this.#perBlock - 1))
      if (clusters * perCluster > index + blocks) break
      clusters += 1
    }
    if (clusters * clusterSize > Math.max(limit.refcountTable, clusterSize)) throw systemError('ENOSPC', 'the refcount table cannot grow')
    const table = new Float64Array(clusters * perCluster)
    table.set(this.#table)
    // Blocks first, then the table.
    const start = index * this.#perBlock
    const made = Array.from({ length: blocks }, (_, block) => {
      const bytes = new Uint8Array(clusterSize)
      const used = Math.min(this.#perBlock, blocks + clusters - block * this.#perBlock)
      for (let slot = 0; slot < used; slot++) setCount(new DataView(bytes.buffer), slot, this.#order, 1)
      return bytes
    })
    // Their room is taken now, as that of a single block.
    for (const [block, bytes] of made.entries()) await this.#file.write((start + block) * clusterSize, bytes)
    await this.#file.write((start + blocks) * clusterSize, new Uint8Array(clusters * clusterSize))
    if (this.#moved === null) this.#moved = this.#place
    else this.#passed.push(...clustersOf(this.#place, clusterSize))
    this.#table = table
    for (const [block, bytes] of made.entries()) {
      this.#cache.create((start + block) * clusterSize, bytes)
      this.#setBlock(index + block, (start + block) * clusterSize)
    }
    this.#place = { offset: (start + blocks) * clusterSize, clusters }
  }
}

/** The clusters of a range. */
export function clustersOf(place: RefcountPlace, clusterSize: number): number[] {
  return Array.from({ length: place.clusters }, (_, index) => place.offset + index * clusterSize)
}

/** Writes into the header where the refcount table is: 12 bytes of one sector. */
export async function writeRefcountPlace(file: RandomAccessFile, place: RefcountPlace): Promise<void> {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  setU64(view, 0, place.offset)
  view.setUint32(8, place.clusters)
  await file.write(field.refcountTableOffset, bytes)
}
