import { machinistError } from '@machinist/api'
import type { RandomAccessFile } from '../file.ts'
import type { CheckOptions, CheckReport } from '../format.ts'
import { countOwners, eachEntry } from './count-owners.ts'
import { readHeader } from './header.ts'
import type { Header } from './header.ts'
import { field, incompatible, isCopied, limit, mappingAt, setU64, tableOffset } from './layout.ts'
import { getCount, setCount, writeRefcountPlace } from './refcounts.ts'
import { readSnapshots } from './snapshots.ts'

/** Clusters of a file that can be checked: a count of each is held. */
const maxClusters = 2 ** 26
const maxProblems = 100

/**
 * Looks through the tables of an image, counts who refers to what, and compares that with the refcounts and marks.
 *
 * Repair of counts that are too low writes the counts anew at the end of the file and then changes the header to them, so that
 * it may stop at any moment.
 *
 * @throws a typed error when the header, or the snapshot table, is not sound, or the file is too large
 */
export async function checkImage(file: RandomAccessFile, name: string, options: CheckOptions): Promise<CheckReport> {
  const repair = options.repair ?? false
  const header = await readHeader(file, name)
  const clusterSize = 2 ** header.clusterBits
  const clusters = Math.ceil(file.size / clusterSize)
  if (clusters > maxClusters) {
    throw machinistError({ code: 'image-too-large', part: name, value: file.size, remedy: 'Check it with qemu-img check' }, 'has too many clusters to check')
  }
  const problems: string[] = []
  let lost = 0
  const note = (text: string): void => { if (problems.length < maxProblems) problems.push(text) }
  const problem = (text: string): void => {
    lost += 1
    note(text)
  }
  const { snapshots, bytes } = await readSnapshots(file, header, name)
  const { counts, activeTables } = await countOwners(file, header, snapshots, bytes, clusters, problem, (done) => { options.progress?.(done * 0.8) })

  // The counts' own clusters come last: a repair may do away with them.
  const blocks = await readRefcountTable(file, header)
  const holders = [...Array.from({ length: header.refcountTableClusters }, (_, index) => header.refcountTableOffset / clusterSize + index)]
  let broken = 0
  const seen = new Set<number>()
  const sound = Float64Array.from(blocks, (block) => {
    if (block === 0) return 0
    const cluster = block / clusterSize
    if (!(cluster < clusters) || cluster % 1 !== 0 || seen.has(block)) {
      broken += 1
      note(`a block of refcounts has an impossible place, ${String(block)}`)
      return 0
    }
    seen.add(block)
    holders.push(cluster)
    return block
  })
  for (const cluster of holders) counts[cluster] = (counts[cluster] ?? 0) + 1

  const compared = await compare(file, header, counts, sound, note, repair)
  let low = compared.low + broken
  let leaks = compared.leaks
  let corruptionsFixed = 0
  let leaksFixed = compared.leaksFixed
  const countable = 2 ** header.refcountOrder >= 32 ? 2 ** 32 : 2 ** 2 ** header.refcountOrder - 1
  if (repair === 'all' && low > 0 && lost === 0 && counts.every((count) => count <= countable)) {
    for (const cluster of holders) counts[cluster] = (counts[cluster] ?? 1) - 1
    if (await rebuild(file, header, counts)) {
      corruptionsFixed += low
      leaksFixed += leaks
      low = leaks = 0
    }
  }
  const marks = await checkMarks(file, header, counts, activeTables, repair === 'all' && low === 0, note)
  corruptionsFixed += marks.fixed
  const corruptions = lost + low + marks.wrong
  const marked = header.incompatible & (incompatible.dirty | incompatible.corrupt)
  if (repair === 'all' && corruptions === 0 && marked !== 0) await clearMarks(file, header)
  if (repair !== false) await file.flush()
  options.progress?.(1)
  return { corruptions, leaks, corruptionsFixed, leaksFixed, problems }
}

/** Offsets of the blocks of counts; NaN where no file has one. */
export async function readRefcountTable(file: RandomAccessFile, header: Header): Promise<Float64Array> {
  const entries = header.refcountTableClusters * 2 ** (header.clusterBits - 3)
  const table = new Float64Array(entries)
  await eachEntry(file, header.refcountTableOffset, entries, (view, at, index) => {
    const high = view.getUint32(at)
    const offset = high * 2 ** 32 + ((view.getUint32(at + 4) & 0xfffffe00) >>> 0)
    table[index] = Number.isSafeInteger(offset) && offset % 2 ** header.clusterBits === 0 ? offset : NaN
  })
  return table
}

async function compare(
  file: RandomAccessFile, header: Header, counts: Uint32Array, blocks: Float64Array, note: (text: string) => void, repair: CheckOptions['repair'],
): Promise<{ low: number, leaks: number, leaksFixed: number }> {
  const perBlock = 2 ** (header.clusterBits + 3 - header.refcountOrder)
  const result = { low: 0, leaks: 0, leaksFixed: 0 }
  const bytes = new Uint8Array(2 ** header.clusterBits)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < Math.max(blocks.length, Math.ceil(counts.length / perBlock)); index++) {
    const block = blocks[index] ?? 0
    if (block === 0 && index * perBlock >= counts.length) continue
    bytes.fill(0, block === 0 ? 0 : await file.read(block, bytes))
    let changed = false
    for (let slot = 0; slot < perBlock; slot++) {
      const cluster = index * perBlock + slot
      const stored = getCount(view, slot, header.refcountOrder)
      const owners = counts[cluster] ?? 0
      if (stored === owners) continue
      note(`${stored < owners ? 'corruption' : 'leak'}: cluster ${String(cluster)} has ${String(owners)} owners and a refcount of ${String(stored)}`)
      if (stored < owners) {
        result.low += 1
      } else if (repair === 'leaks' || repair === 'all') {
        setCount(view, slot, header.refcountOrder, owners)
        changed = true
        result.leaksFixed += 1
      } else {
        result.leaks += 1
      }
    }
    if (changed) await file.write(block, bytes)
  }
  return result
}

/** Writes all counts anew, at the end of the file. False when the refcount table would be too large. */
async function rebuild(file: RandomAccessFile, header: Header, counts: Uint32Array): Promise<boolean> {
  const clusterSize = 2 ** header.clusterBits
  const perBlock = 2 ** (header.clusterBits + 3 - header.refcountOrder)
  let blocks = 0
  let clusters = 1
  for (;;) {
    const needed = Math.ceil((counts.length + blocks + clusters) / perBlock)
    const table = Math.ceil(needed * 8 / clusterSize)
    if (needed === blocks && table === clusters) break
    blocks = needed
    clusters = table
  }
  if (clusters * clusterSize > Math.max(limit.refcountTable, clusterSize)) return false
  const total = counts.length + blocks + clusters
  const table = new Uint8Array(clusters * clusterSize)
  const tableView = new DataView(table.buffer)
  for (let index = 0; index < blocks; index++) {
    const bytes = new Uint8Array(clusterSize)
    const view = new DataView(bytes.buffer)
    for (let slot = 0; slot < perBlock; slot++) {
      const cluster = index * perBlock + slot
      if (cluster < total) setCount(view, slot, header.refcountOrder, cluster < counts.length ? counts[cluster] ?? 0 : 1)
    }
    const offset = (counts.length + index) * clusterSize
    await file.write(offset, bytes)
    setU64(tableView, index * 8, offset)
  }
  const place = { offset: (counts.length + blocks) * clusterSize, clusters }
  await file.write(place.offset, table)
  await file.flush()
  await writeRefcountPlace(file, place)
  await file.flush()
  return true
}

/** Compares the marks of single ownership in the active tables with the owners. */
async function checkMarks(
  file: RandomAccessFile, header: Header, counts: Uint32Array, activeTables: readonly number[], repair: boolean, note: (text: string) => void,
): Promise<{ wrong: number, fixed: number }> {
  const clusterSize = 2 ** header.clusterBits
  let wrong = 0
  let fixed = 0
  const places: { readonly at: number, readonly high: number }[] = []
  const look = (view: DataView, at: number, place: number, offset: number): void => {
    if ((counts[offset / clusterSize] === 1) === isCopied(view, at)) return
    note(`corruption: the entry at ${String(place)} is wrong about its cluster's having one owner`)
    if (repair) places.push({ at: place, high: (view.getUint32(at) ^ 0x80000000) >>> 0 })
    else wrong += 1
  }
  const correct = async (): Promise<void> => {
    const word = new Uint8Array(4)
    for (const { at, high } of places.splice(0)) {
      new DataView(word.buffer).setUint32(0, high)
      await file.write(at, word)
      fixed += 1
    }
  }
  await eachEntry(file, header.l1Offset, header.l1Entries, (view, at, index) => {
    const table = tableOffset(view, at)
    if (table > 0) look(view, at, header.l1Offset + index * 8, table)
  })
  await correct()
  for (const table of activeTables) {
    if (table / clusterSize >= counts.length) continue
    await eachEntry(file, table, clusterSize / 8, (view, at, index) => {
      const mapping = mappingAt(view, at, header.clusterBits, header.version)
      if (mapping.kind === 'data' || (mapping.kind === 'zero' && mapping.offset !== 0)) look(view, at, table + index * 8, mapping.offset)
    })
    await correct()
  }
  return { wrong, fixed }
}

/** Takes the marks of an unclean end and of damage from the header. */
async function clearMarks(file: RandomAccessFile, header: Header): Promise<void> {
  const bytes = new Uint8Array(4)
  await file.flush()
  new DataView(bytes.buffer).setUint32(0, header.incompatible & ~(incompatible.dirty | incompatible.corrupt))
  await file.write(field.incompatibleFeatures + 4, bytes)
}
