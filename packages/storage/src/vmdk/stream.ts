/**
 * Stream-optimised extents ("Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents"): compressed grains, each behind a marker
 * with its sector and length, then grain tables, the grain directory and a footer, each behind a marker of a sector, and an end mark.
 *
 * What is written is kept as whole grains, which are compressed and appended; a flush appends the tables, makes all that stable, and then
 * appends a new footer. An image that is written in one go, as a conversion does, has one footer and can be read as a stream. Space of
 * grains and tables that were written again is not used again. After a crash the last footer counts.
 */
import { imageDamaged, imageFull, imageUnsupported } from '../format.ts'
import type { Codec } from '../format.ts'
import type { RandomAccessFile } from '../file.ts'
import { readBacking } from '../mapped/engine.ts'
import type { Below, MappedBlocks } from '../mapped/engine.ts'
import { allZero, Fields, roundUp } from '../mapped/fields.ts'
import { StagedFile } from '../mapped/staged.ts'
import { defaultGrain, descriptorSectors, encodeSparse, flag, parseSparse, sector, tableBytes, tableEntries } from './header.ts'
import type { SparseHeader } from './header.ts'
import { littleEndian } from './sparse.ts'
import type { Extent } from './sparse.ts'

const markerType: { readonly end: 0, readonly table: 1, readonly directory: 2, readonly footer: 3 } = { end: 0, table: 1, directory: 2, footer: 3 }
const grainMarkerBytes = 12
/** Changed grains that wait to be compressed, and grains that are remembered, at most. */
const mostGrains = 64
/** Grain tables of an image that is written: 2 TiB with the usual grains. */
const mostTables = 65536

function marker(sectors: number, type: number): Uint8Array {
  const fields = new Fields(new Uint8Array(sector), true)
  fields.setU64(0, sectors)
  fields.setU32(12, type)
  return fields.bytes
}

/** The end of an image: footer and end mark, whose directory is at a sector. */
function ending(header: Uint8Array, directory: number): Uint8Array {
  const bytes = new Uint8Array(sector * 3)
  bytes.set(marker(1, markerType.footer))
  bytes.set(header, sector)
  new Fields(bytes, true).setU64(sector + 56, directory)
  return bytes
}

function directoryLength(sectors: number, grain: number): number {
  return roundUp(Math.ceil(sectors / grain / tableEntries) * 4, sector)
}

/** Writes an empty stream-optimised image. Its directory and footer lie in what readers of the stream pass over, before the first grain. */
export async function createStream(file: RandomAccessFile, sectors: number, descriptor: Uint8Array): Promise<void> {
  const header = encodeSparse(sectors, true, null)
  const start = 1 + descriptorSectors
  const overHead = roundUp(start + 1 + directoryLength(sectors, header.u64(20)) / sector + 3, defaultGrain)
  header.setU64(64, overHead)
  await file.write(sector, descriptor)
  await file.write(start * sector, marker(directoryLength(sectors, header.u64(20)) / sector, markerType.directory))
  await file.write((overHead - 3) * sector, ending(header.bytes, start + 1))
  await file.write(0, header.bytes)
  await file.flush()
}

/** The last footer: at the end, or wherever a crash left it. Returns where it is. */
async function findFooter(staged: StagedFile, name: string): Promise<number> {
  const isFooter = (bytes: Uint8Array, at: number): boolean => {
    const fields = new Fields(bytes.subarray(at - sector, at + 2 * sector), true)
    return fields.u32(8) === 0 && fields.u32(12) === markerType.footer && fields.text(sector, 4) === 'KDMV' && fields.u32(2 * sector + 8) === 0 && fields.u32(2 * sector + 12) === markerType.end
  }
  const window = 1 << 20
  // Windows overlap by two sectors, so that none falls between.
  for (let end = staged.end - staged.end % sector; end >= 3 * sector;) {
    const start = Math.max(0, end - window)
    const { bytes } = await staged.fields(start, end - start)
    for (let at = bytes.length - 2 * sector; at >= sector; at -= sector) if (isFooter(bytes, at)) return start + at
    if (start === 0) break
    end = start + 2 * sector
  }
  throw imageDamaged(name, 'vmdk', 'it lacks the footer, so it was cut off, or not written to the end')
}

/** Opens a stream-optimised image. Those that have their tables at the beginning, as QEMU makes them, can only be read. */
export async function openStream(file: RandomAccessFile, header: SparseHeader, backing: Below | null, readOnly: boolean, codec: Codec | undefined, name: string): Promise<Extent> {
  if (codec?.inflates.includes('zlib') !== true) throw imageUnsupported(name, 'vmdk', 'compression, which this host cannot undo', 'Open it on a host that can')
  if ((header.flags & flag.markers) === 0) throw imageUnsupported(name, 'vmdk', 'compressed grains without markers')
  const staged = new StagedFile(file, sector, true)
  const footer = header.directory === null ? await findFooter(staged, name) : null
  const last = footer === null ? header : parseSparse(await staged.fields(footer, sector), staged.end, name)
  const { grain, capacity } = last
  if (last.directory === null || grain !== header.grain || capacity !== header.capacity) throw imageDamaged(name, 'vmdk', 'its footer contradicts its header')
  const size = capacity * sector
  const grainBytes = grain * sector
  const tables = Math.ceil(capacity / grain / tableEntries)
  const { deflate } = codec
  const fixed = readOnly || header.directory !== null || deflate === undefined || tables > mostTables
  const directory = new Uint32Array(fixed ? 0 : tables)
  if (!fixed) for (let index = 0; index < tables; index++) directory[index] = (await staged.field(last.directory + index * 4)).fields.u32((last.directory + index * 4) % sector)
  /** Grain tables that changed since the last flush. */
  const changed = new Map<number, Uint32Array>()
  const dirty = new Map<number, Uint8Array>()
  const clean = new Map<number, Uint8Array>()
  let next = roundUp(staged.end, sector)
  /** Bytes behind the footer and the end mark, of which nobody knows: a crash left them. */
  let lost = footer === null ? 0 : staged.end - footer - 2 * sector

  const tablePlace = async (index: number): Promise<number> => {
    const at = (last.directory ?? 0) + index * 4
    const entry = fixed ? (await staged.field(at)).fields.u32(at % sector) : directory[index] ?? 0
    if (entry * sector + (entry === 0 ? 0 : tableBytes) > staged.end) throw new Error('a grain table lies beyond the end of the file')
    return entry * sector
  }
  const entryOf = async (block: number): Promise<number> => {
    const index = Math.floor(block / tableEntries)
    const mine = changed.get(index)
    if (mine !== undefined) return mine[block % tableEntries] ?? 0
    const at = await tablePlace(index) + block % tableEntries * 4
    return at < sector * 4 ? 0 : (await staged.field(at)).fields.u32(at % sector)
  }
  const setEntry = async (block: number, entry: number): Promise<void> => {
    const index = Math.floor(block / tableEntries)
    let table = changed.get(index)
    if (table === undefined) {
      table = new Uint32Array(tableEntries)
      const place = await tablePlace(index)
      if (place !== 0) {
        const old = await staged.fields(place, tableBytes)
        for (let each = 0; each < tableEntries; each++) table[each] = old.u32(each * 4)
      }
      changed.set(index, table)
    }
    table[block % tableEntries] = entry
  }

  const load = async (block: number): Promise<Uint8Array> => {
    const found = dirty.get(block) ?? clean.get(block)
    if (found !== undefined) return found
    const bytes = new Uint8Array(grainBytes)
    const place = await entryOf(block) * sector
    if (place === 0) {
      const there = Math.min(grainBytes, size - block * grainBytes)
      await readBacking(backing, block * grainBytes, bytes.subarray(0, there))
    } else if (place !== sector || (last.flags & flag.zeroGrains) === 0) {
      const head = await staged.fields(place, grainMarkerBytes)
      const length = head.u32(8)
      if (head.u64(0) !== block * grain || length === 0 || length > grainBytes * 2 + 1024) throw new Error('a grain is not where its table says')
      const packed = await staged.fields(place + grainMarkerBytes, length)
      bytes.set((await codec.inflate('zlib', packed.bytes, grainBytes)).subarray(0, grainBytes))
    }
    if (clean.size >= mostGrains) clean.delete(clean.keys().next().value ?? block)
    clean.set(block, bytes)
    return bytes
  }
  /** Compresses a grain and appends it. */
  const append = async (block: number, bytes: Uint8Array): Promise<void> => {
    const empty = backing === null && allZero(bytes)
    if (empty) await setEntry(block, 0)
    else {
      const packed = await deflate?.('zlib', bytes) ?? bytes
      const record = new Fields(new Uint8Array(roundUp(grainMarkerBytes + packed.length, sector)), true)
      record.setU64(0, block * grain)
      record.setU32(8, packed.length)
      record.bytes.set(packed, grainMarkerBytes)
      if ((next + record.bytes.length) / sector >= 2 ** 32) throw imageFull(name, 'the format names no place so far')
      await staged.write(next, record.bytes)
      await setEntry(block, next / sector)
      next += record.bytes.length
    }
    dirty.delete(block)
    clean.set(block, bytes)
  }
  const finish = async (place: number): Promise<void> => {
    await staged.write(next, ending(header.fields.bytes, place))
    await file.flush()
    next += sector * 3
    lost = 0
  }
  const flush = async (): Promise<void> => {
    for (const [block, bytes] of [...dirty].sort(([a], [b]) => a - b)) await append(block, bytes)
    if (changed.size === 0) return file.flush()
    for (const [index, table] of changed) {
      await staged.write(next, marker(tableBytes / sector, markerType.table))
      await staged.write(next + sector, littleEndian(table))
      directory[index] = next / sector + 1
      next += sector + tableBytes
    }
    const length = directoryLength(capacity, grain)
    await staged.write(next, marker(length / sector, markerType.directory))
    const entries = new Uint8Array(length)
    entries.set(littleEndian(directory))
    await staged.write(next + sector, entries)
    await file.flush()
    const place = next / sector + 1
    next += sector + length
    await finish(place)
    changed.clear()
  }

  let turn: Promise<unknown> = Promise.resolve()
  /** One after another: grains and tables belong to whoever has the turn. */
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work)
    turn = done.catch(() => {})
    return done
  }
  const modify = async (offset: number, length: number, change: (grain: Uint8Array, done: number) => void): Promise<void> => {
    for (let done = 0; done < length;) {
      const [block, from] = [Math.floor((offset + done) / grainBytes), (offset + done) % grainBytes]
      const count = Math.min(grainBytes - from, length - done)
      const bytes = count === grainBytes ? new Uint8Array(grainBytes) : await load(block)
      change(bytes.subarray(from, from + count), done)
      clean.delete(block)
      dirty.set(block, bytes)
      const [oldest] = dirty
      if (dirty.size > mostGrains && oldest !== undefined) await append(...oldest)
      done += count
    }
  }
  const blocks: MappedBlocks = {
    read: (offset, into) => alone(async () => {
      for (let done = 0; done < into.length;) {
        const [block, from] = [Math.floor((offset + done) / grainBytes), (offset + done) % grainBytes]
        const count = Math.min(grainBytes - from, into.length - done)
        into.set((await load(block)).subarray(from, from + count), done)
        done += count
      }
    }),
    write: (offset, from) => alone(() => modify(offset, from.length, (bytes, done) => { bytes.set(from.subarray(done, done + bytes.length)) })),
    discard: () => Promise.resolve(),
    writeZeroes: (offset, length) => alone(() => modify(offset, length, (bytes) => { bytes.fill(0) })),
    async *ranges(total) {
      for (let block = 0; block * grainBytes < total; block++) {
        const there = await alone(async () => dirty.has(block) || await entryOf(block) !== 0)
        yield { offset: block * grainBytes, length: Math.min(grainBytes, total - block * grainBytes), state: there ? 'data' : backing === null ? 'zero' : 'backing' }
      }
    },
  }
  return {
    size, unit: 1, readOnly: fixed, blocks,
    flush: () => alone(flush),
    async close() {
      try {
        if (!fixed && (dirty.size > 0 || changed.size > 0)) await alone(flush)
      } finally {
        await file.close()
      }
    },
    async check(findings, repair) {
      if (lost > 0) {
        const [bytes, fix] = [lost, repair && !fixed]
        // Others look for the footer at the end only.
        if (fix) await alone(() => dirty.size + changed.size > 0 ? flush() : finish((last.directory ?? 0) / sector))
        findings.leak(`${String(bytes)} bytes behind the footer belong to nothing`, 1, fix)
      }
      for (let block = 0; block * grainBytes < size; block++) {
        if (await entryOf(block) === 0 && !dirty.has(block)) continue
        try {
          await alone(() => load(block))
        } catch {
          findings.corruption(`grain ${String(block)} cannot be read`)
        }
      }
    },
  }
}
