import { imageDamaged, imageFull } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { mappedBlocks } from '../mapped/engine.ts'
import type { Below, Layout, MappedBlocks } from '../mapped/engine.ts'
import { roundUp } from '../mapped/fields.ts'
import { closeGaps, Places } from '../mapped/places.ts'
import type { Findings } from '../mapped/report.ts'
import { StagedFile } from '../mapped/staged.ts'
import { defaultGrain, descriptorSectors, directorySectors, encodeSparse, flag, parseSparse, sector, tableBytes, tableEntries } from './header.ts'
import type { SparseHeader } from './header.ts'

/** A part of a disk: what the format's image is put together from. */
export interface Extent {
  readonly size: number
  /** Requests to the same unit of this many bytes must not overlap in time; 1 when all may. */
  readonly unit: number
  readonly readOnly: boolean
  readonly blocks: MappedBlocks
  flush(): Promise<void>
  close(): Promise<void>
  check?(findings: Findings, repair: boolean): Promise<void>
  /** Makes it longer by zeroes, stably. */
  grow?(size: number): Promise<void>
}

/** Writes an empty sparse extent, with all its grain tables, as everybody expects them. */
export async function createSparse(file: RandomAccessFile, sectors: number, descriptor: Uint8Array | null): Promise<void> {
  const { tables, directory, all } = directorySectors(sectors)
  const redundant = 1 + descriptorSectors
  const overHead = roundUp(redundant + 2 * all, defaultGrain)
  // The end first: what lies between reads as zeroes.
  await file.write(overHead * sector - sector, new Uint8Array(sector))
  for (const start of [redundant, redundant + all]) {
    const entries = new Uint32Array(directory * sector / 4)
    for (let table = 0; table < tables; table++) entries[table] = start + directory + table * tableBytes / sector
    await file.write(start * sector, littleEndian(entries))
  }
  if (descriptor !== null) await file.write(sector, descriptor)
  await file.write(0, encodeSparse(sectors, descriptor !== null, { redundant, directory: redundant + all, overHead }).bytes)
  await file.flush()
}

/** Numbers of 32 bits as a file keeps them. */
export function littleEndian(entries: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(entries.length * 4)
  const view = new DataView(bytes.buffer)
  entries.forEach((entry, index) => { view.setUint32(index * 4, entry, true) })
  return bytes
}

/**
 * A sparse extent. New grains and grain tables are appended; a flush makes them stable before the tables and the directory that name them are
 * written, the redundant ones and the others alike.
 */
export function openSparse(file: RandomAccessFile, header: SparseHeader, backing: Below | null, readOnly: boolean, name: string): Extent {
  if (header.directory === null) throw imageDamaged(name, 'vmdk', 'it does not say where its grain directory is')
  const staged = new StagedFile(file, sector, true)
  const grainBytes = header.grain * sector
  const elsewhere = backing === null ? 'zero' : 'backing'
  const zeroGrains = (header.flags & flag.zeroGrains) !== 0
  let capacity = header.capacity
  let directory = header.directory
  let redundant = header.redundant
  let next = Math.max(staged.end, sector)
  const take = (length: number, unit: number): number => {
    const place = roundUp(next, unit)
    if ((place + length) / sector >= 2 ** 32) throw imageFull(name, 'the format names no place so far')
    next = place + length
    return place
  }
  /** Where a table is by one of the directories, or 0. */
  const tableOf = async (start: number, block: number): Promise<number> => {
    const { fields, at } = await staged.field(start + Math.floor(block / tableEntries) * 4)
    const place = fields.u32(at) * sector
    if (place !== 0 && place + tableBytes > staged.end) throw new Error('a grain table lies beyond the end of the file')
    return place
  }
  let making: Promise<unknown> = Promise.resolve()
  /** The table, made if there is none. One at a time, so that none is made twice. */
  const ensureTable = (start: number, block: number): Promise<number> => {
    const made = making.then(async () => {
      const found = await tableOf(start, block)
      if (found !== 0) return found
      const place = take(tableBytes, sector)
      await staged.write(place, new Uint8Array(tableBytes))
      await staged.change(start + Math.floor(block / tableEntries) * 4, ({ fields, at }) => { fields.setU32(at, place / sector) })
      return place
    })
    making = made.catch(() => {})
    return made
  }
  const setGrain = async (block: number, entry: number): Promise<void> => {
    for (const start of redundant === null ? [directory] : [redundant, directory]) {
      const table = await ensureTable(start, block)
      await staged.change(table + block % tableEntries * 4, ({ fields, at }) => { fields.setU32(at, entry) })
    }
  }
  /** Goes through the grains that have a place. */
  const eachGrain = async (visit: (block: number, place: number) => void): Promise<void> => {
    const tables = Math.ceil(capacity / header.grain / tableEntries)
    for (let index = 0; index < tables; index++) {
      const table = await tableOf(directory, index * tableEntries)
      if (table === 0) continue
      const grains = await staged.fields(table, tableBytes)
      for (let entry = 0; entry < tableEntries; entry++) {
        const grain = grains.u32(entry * 4)
        if (grain !== 0 && !(grain === 1 && zeroGrains)) visit(index * tableEntries + entry, grain * sector)
      }
    }
  }
  const free: number[] = []
  const layout: Layout = {
    blockSize: grainBytes,
    async find(block) {
      const table = await tableOf(directory, block)
      if (table === 0) return elsewhere
      const { fields, at } = await staged.field(table + block % tableEntries * 4)
      const entry = fields.u32(at)
      if (entry === 0) return elsewhere
      if (entry === 1 && zeroGrains) return 'zero'
      if (entry * sector >= staged.end) throw new Error('a grain lies beyond the end of the file')
      return entry * sector
    },
    async untold(block) {
      const table = await tableOf(directory, block).catch(() => 0)
      return table === 0 ? tableEntries - block % tableEntries : 0
    },
    reserve() {
      const reused = free.pop()
      if (reused !== undefined) return { place: reused, fresh: false }
      const place = take(grainBytes, grainBytes)
      return { place, fresh: place >= staged.end }
    },
    release({ place }) { free.push(place) },
    commit: (block, { place }) => setGrain(block, place / sector),
    async clear(block) {
      if (zeroGrains) await setGrain(block, 1)
      return zeroGrains
    },
  }
  return {
    get size() { return capacity * sector },
    unit: grainBytes,
    readOnly,
    blocks: mappedBlocks(layout, staged, backing, () => capacity * sector),
    flush: () => staged.flush(),
    close: () => staged.close(!readOnly),
    async check(findings, repair) {
      if (!readOnly) await staged.flush()
      const taken = new Places(Math.ceil(staged.end / sector))
      const use = (place: number, length: number, what: string): void => {
        if (place < sector || place >= staged.end) return findings.corruption(`${what} lies beyond the end of the file`)
        if (!taken.takeAll(place / sector, length / sector)) findings.corruption(`${what} overlaps something else`)
      }
      const tables = Math.ceil(capacity / header.grain / tableEntries)
      for (const start of redundant === null ? [directory] : [redundant, directory]) use(start, Math.ceil(tables * 4 / sector) * sector, 'a grain directory')
      for (let index = 0; index < tables; index++) {
        const [mine, other] = [(await staged.fields(directory + index * 4, 4)).u32(0) * sector, redundant === null ? 0 : (await staged.fields(redundant + index * 4, 4)).u32(0) * sector]
        for (const place of [mine, other]) if (place !== 0) use(place, tableBytes, `grain table ${String(index)}`)
        if (mine === 0 || mine + tableBytes > staged.end) continue
        const grains = await staged.fields(mine, tableBytes)
        for (let entry = 0; entry < tableEntries; entry++) {
          const grain = grains.u32(entry * 4)
          if (grain !== 0 && !(grain === 1 && zeroGrains)) use(grain * sector, grainBytes, `grain ${String(index * tableEntries + entry)}`)
        }
        if (other === 0 || other + tableBytes > staged.end) continue
        const copy = (await staged.fields(other, tableBytes)).bytes
        if (grains.bytes.every((byte, at) => byte === copy[at])) continue
        if (repair && !readOnly) await staged.write(other, grains.bytes)
        // A crash between the two leaves them so. Nobody reads this one while the other is there.
        findings.leak(`the redundant grain table ${String(index)} differs`, 1, repair && !readOnly)
      }
      if (repair && !readOnly) {
        staged.forget()
        await staged.file.flush()
      }
      if (header.descriptor !== null) taken.takeAll(Math.floor(header.descriptor.offset / sector), Math.ceil(header.descriptor.length / sector))
      const head = Math.min(header.fields.u64(64), Math.ceil(staged.end / sector))
      const unused = taken.gaps(head, header.grain) + Math.max(0, Math.floor((staged.end / sector - Math.max(head, taken.end)) / header.grain))
      if (unused === 0) return
      const fix = repair && !readOnly && findings.report.corruptions === 0
      if (fix) {
        const end = await closeGaps({ staged, taken, unit: sector, base: 0, first: head, length: grainBytes, each: eachGrain, name: (block, place) => setGrain(block, place / sector) })
        await staged.file.truncate?.(Math.max(end, head * sector))
      }
      findings.leak(`${String(unused)} grains of the file are in no table`, unused, fix)
    },
    async grow(size) {
      await staged.flush()
      const [before, after] = [Math.ceil(capacity / header.grain / tableEntries), Math.ceil(size / sector / header.grain / tableEntries)]
      /** A directory at the end of the file, with the tables of the old one and empty ones. */
      const copy = async (start: number): Promise<number> => {
        const bytes = roundUp(after * 4, sector)
        const place = take(bytes + (after - before) * tableBytes, sector)
        const entries = new Uint32Array(bytes / 4)
        const old = await staged.fields(start, before * 4)
        for (let index = 0; index < after; index++) entries[index] = index < before ? old.u32(index * 4) : (place + bytes + (index - before) * tableBytes) / sector
        await staged.zero(place + bytes, (after - before) * tableBytes)
        await staged.write(place, littleEndian(entries))
        return place
      }
      if (after > before) {
        if (redundant !== null) redundant = await copy(redundant)
        directory = await copy(directory)
        await staged.file.flush()
      }
      if (redundant !== null) header.fields.setU64(48, redundant / sector)
      header.fields.setU64(56, directory / sector)
      header.fields.setU64(12, size / sector)
      // One sector: from here on the image is the larger one.
      await staged.write(0, header.fields.bytes)
      await staged.file.flush()
      capacity = size / sector
    },
  }
}

/** Reads the header of a sparse extent. */
export async function readSparse(file: RandomAccessFile, name: string): Promise<SparseHeader> {
  if (file.size < sector) throw imageDamaged(name, 'vmdk', 'an extent is too short', file.size)
  return parseSparse(await new StagedFile(file, sector, true).fields(0, sector), file.size, name)
}
