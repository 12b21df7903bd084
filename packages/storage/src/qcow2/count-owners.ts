import type { RandomAccessFile } from '../file.ts'
import type { Header } from './header.ts'
import { bitmapsConsistent, getU64, mappingAt, tableOffset } from './layout.ts'
import type { StoredSnapshot } from './snapshots.ts'

/** Bytes of a table that are read at once. */
const chunk = 1 << 16

/** Calls `each` for every entry of a table of 8-byte entries. */
export async function eachEntry(file: RandomAccessFile, offset: number, entries: number, each: (view: DataView, at: number, index: number) => void): Promise<void> {
  const bytes = new Uint8Array(Math.min(chunk, entries * 8))
  const view = new DataView(bytes.buffer)
  for (let first = 0; first < entries; first += chunk / 8) {
    const count = Math.min(chunk / 8, entries - first)
    const read = await file.read(offset + first * 8, bytes.subarray(0, count * 8))
    bytes.fill(0, read)
    for (let index = 0; index < count; index++) each(view, index * 8, first + index)
  }
}

/** What walking an image found: owners of each cluster, save for what holds the counts, and what is wrong. */
export interface Owners {
  readonly counts: Uint32Array
  /** L2 tables of the active L1 table. */
  readonly activeTables: readonly number[]
}

/**
 * Counts, for every cluster of the file, how many references to it there are. A table that several share is walked once, so that the
 * work is bounded by what the file holds.
 */
export async function countOwners(
  file: RandomAccessFile, header: Header, snapshots: readonly StoredSnapshot[], snapshotBytes: number, clusters: number,
  problem: (text: string) => void, progress: (done: number) => void,
): Promise<Owners> {
  const clusterSize = 2 ** header.clusterBits
  const counts = new Uint32Array(clusters)
  const own = (offset: number, bytes: number, times: number, what: string): void => {
    const first = Math.floor(offset / clusterSize)
    const past = Math.ceil((offset + bytes) / clusterSize)
    if (!(past <= clusters)) {
      problem(`${what} at ${String(offset)} is beyond the end of the file`)
      return
    }
    for (let cluster = first; cluster < past; cluster++) counts[cluster] = (counts[cluster] ?? 0) + times
  }
  own(0, 1, 1, 'the header')
  if (snapshotBytes > 0) own(header.snapshotsOffset, snapshotBytes, 1, 'the snapshot table')

  const firstTables = new Map<string, { offset: number, entries: number, times: number }>()
  const addFirst = (offset: number, entries: number, what: string): void => {
    if (entries === 0) return
    own(offset, entries * 8, 1, what)
    const key = `${String(offset)} ${String(entries)}`
    const known = firstTables.get(key)
    if (known === undefined) firstTables.set(key, { offset, entries, times: 1 })
    else known.times += 1
  }
  addFirst(header.l1Offset, header.l1Entries, 'the L1 table')
  for (const snapshot of snapshots) addFirst(snapshot.l1Offset, snapshot.l1Entries, 'the L1 table of a snapshot')

  const tables = new Map<number, number>()
  const activeTables: number[] = []
  for (const { offset, entries, times } of firstTables.values()) {
    const active = offset === header.l1Offset
    await eachEntry(file, offset, entries, (view, at, index) => {
      const table = tableOffset(view, at)
      if (table === 0) return
      if (Number.isNaN(table) || table % clusterSize !== 0) {
        problem(`entry ${String(index)} of an L1 table is not a place in the file`)
        return
      }
      if (active && !tables.has(table)) activeTables.push(table)
      tables.set(table, (tables.get(table) ?? 0) + times)
    })
  }
  let walked = 0
  for (const [table, times] of tables) {
    own(table, clusterSize, times, 'an L2 table')
    progress(walked++ / tables.size)
    if (table >= clusters * clusterSize) continue
    await eachEntry(file, table, clusterSize / 8, (view, at) => {
      const mapping = mappingAt(view, at, header.clusterBits, header.version)
      if (mapping.kind === 'bad') problem(`an entry of the L2 table at ${String(table)} is not a place in the file`)
      else if (mapping.kind === 'compressed') own(mapping.offset, mapping.length, times, 'compressed data')
      else if (mapping.kind !== 'absent' && mapping.offset !== 0) own(mapping.offset, clusterSize, times, 'data')
    })
  }
  if (header.bitmaps !== null && (header.autoclear & bitmapsConsistent) !== 0) await ownBitmaps(file, header.bitmaps, clusterSize, own, problem)
  return { counts, activeTables }
}

async function ownBitmaps(
  file: RandomAccessFile, bitmaps: NonNullable<Header['bitmaps']>, clusterSize: number,
  own: (offset: number, bytes: number, times: number, what: string) => void, problem: (text: string) => void,
): Promise<void> {
  const { directoryOffset, directorySize, count } = bitmaps
  if (!Number.isSafeInteger(directoryOffset) || directorySize > 64 << 20 || directoryOffset + directorySize > file.size + clusterSize) return problem('the directory of bitmaps is not in the file')
  own(directoryOffset, directorySize, 1, 'the directory of bitmaps')
  const entry = new Uint8Array(24)
  const view = new DataView(entry.buffer)
  const seen = new Set<number>()
  for (let index = 0, at = directoryOffset; index < count; index++) {
    if (at + 24 > directoryOffset + directorySize || await file.read(at, entry) < 24) return problem('the directory of bitmaps is cut short')
    const table = getU64(view, 0)
    const entries = view.getUint32(8)
    // No two bitmaps share a table; a hostile image must not have us walk one again and again.
    if (!Number.isSafeInteger(table) || seen.has(table) || table + entries * 8 > file.size + clusterSize) return problem('a bitmap has an impossible table')
    seen.add(table)
    own(table, entries * 8, 1, 'the table of a bitmap')
    await eachEntry(file, table, entries, (words, word) => {
      const offset = tableOffset(words, word)
      if (offset !== 0) own(offset, clusterSize, 1, 'a bitmap')
    })
    at += Math.ceil((24 + view.getUint16(18) + view.getUint32(20)) / 8) * 8
  }
}
