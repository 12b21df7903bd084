/**
 * The log of a VHDX image ([MS-VHDX] 2.3): entries in a ring, each with pages of the file as they are to become. It is replayed when an
 * image is opened whose header names a log.
 *
 * What we write is one entry for each batch of pages, complete in itself, in two places by turns: while one is written the other, which
 * has long been carried out, remains a sound log. An entry is stable before its pages are written to their places, and those are stable before
 * the next entry is written.
 */
import { imageDamaged } from '../format.ts'
import { Fields, roundUp } from '../mapped/fields.ts'
import type { ChangedPage, StagedFile } from '../mapped/staged.ts'
import { checksumOf, isSound, MiB } from './structures.ts'
import type { Region } from './structures.ts'

const sector = 4096
const headerBytes = 64
const descriptorBytes = 32
/** The longest log that is read: what others write is 1 MiB. */
const longest = 16 * MiB
/** The most that one descriptor may zero, and by how much a log may make the file longer. */
const mostZero = 2 ** 30
const mostGrowth = 2 ** 28
/** Pages whose descriptors fit the first sector of an entry. */
export const pagesPerEntry: number = (sector - headerBytes) / descriptorBytes

interface Entry {
  readonly fields: Fields
  readonly length: number
  readonly tail: number
  readonly sequence: number
}

/** Carries out what the log says, and makes it stable. */
export async function replay(staged: StagedFile, region: Region, guid: Uint8Array, name: string): Promise<void> {
  if (region.length > longest) throw imageDamaged(name, 'vhdx', 'its log is longer than any', region.length)
  const ring = (await staged.fields(region.offset, region.length)).bytes
  for (const entry of activeSequence(ring, guid)) await carryOut(staged, entry, name)
  await staged.file.flush()
}

/** The entries to replay, oldest first (2.3.3): of all complete sequences the one with the newest end. */
function activeSequence(ring: Uint8Array, guid: Uint8Array): Entry[] {
  const entries = new Map<number, Entry>()
  // Entries that overlap could make us sum up the same bytes again and again.
  let budget = ring.length * 8
  for (let at = 0; at < ring.length && budget > 0;) {
    const entry = entryAt(ring, at, guid)
    budget -= entry.cost
    if (entry.found !== null) entries.set(at, entry.found)
    at += entry.found?.length ?? sector
  }
  let best: Entry[] = []
  for (const [start, head] of entries) {
    if (head.sequence <= (best[best.length - 1]?.sequence ?? 0)) continue
    const chain: Entry[] = []
    let at = head.tail
    for (let entry = entries.get(at); entry !== undefined && chain.length < entries.size; entry = entries.get(at)) {
      const before = chain[chain.length - 1]
      if (before !== undefined && entry.sequence !== before.sequence + 1) break
      chain.push(entry)
      if (at === start) {
        best = chain
        break
      }
      at = (at + entry.length) % ring.length
    }
  }
  return best
}

function entryAt(ring: Uint8Array, at: number, guid: Uint8Array): { readonly found: Entry | null, readonly cost: number } {
  const none = { found: null, cost: sector }
  const head = new Fields(ring.subarray(at, at + headerBytes), true)
  const [length, tail, sequence, count] = [head.u32(8), head.u32(12), head.u64(16), head.u32(24)]
  if (head.text(0, 4) !== 'loge' || length === 0 || length % sector !== 0 || length > ring.length || tail % sector !== 0 || tail >= ring.length) return none
  if (sequence === 0 || guid.some((byte, index) => head.bytes[32 + index] !== byte)) return none
  const directory = roundUp(headerBytes + count * descriptorBytes, sector)
  if (directory > length) return none
  const bytes = new Uint8Array(length)
  const first = Math.min(length, ring.length - at)
  bytes.set(ring.subarray(at, at + first))
  bytes.set(ring.subarray(0, length - first), first)
  const fields = new Fields(bytes, true)
  if (!isSound(fields, 'loge')) return { found: null, cost: length }
  let data = directory
  for (let index = 0; index < count; index++) {
    const descriptor = headerBytes + index * descriptorBytes
    const kind = fields.text(descriptor, 4)
    if (fields.u64(descriptor + 24) !== sequence) return { found: null, cost: length }
    if (kind === 'zero') continue
    if (kind !== 'desc' || data + sector > length || fields.text(data, 4) !== 'data' || fields.u32(data + 4) * 2 ** 32 + fields.u32(data + sector - 4) !== sequence) {
      return { found: null, cost: length }
    }
    data += sector
  }
  return { found: { fields, length, tail, sequence }, cost: length }
}

async function carryOut(staged: StagedFile, { fields }: Entry, name: string): Promise<void> {
  const count = fields.u32(24)
  const bad = (problem: string, value: number): never => { throw imageDamaged(name, 'vhdx', problem, value) }
  const [flushed, last] = [fields.u64(48), fields.u64(56)]
  if (flushed > staged.end) bad('it is shorter than when its log was written', staged.end)
  const limit = Math.max(staged.end, last)
  if (limit > staged.end + mostGrowth) bad('its log is about a much longer file', last)
  let data = roundUp(headerBytes + count * descriptorBytes, sector)
  for (let index = 0; index < count; index++) {
    const at = headerBytes + index * descriptorBytes
    const offset = fields.u64(at + 16)
    if (fields.text(at, 4) === 'zero') {
      const length = fields.u64(at + 8)
      if (offset % sector !== 0 || length % sector !== 0 || length > mostZero || offset + length > limit) bad('its log has an impossible place', offset)
      await staged.zero(offset, length)
      continue
    }
    if (offset % sector !== 0 || offset + sector > limit) bad('its log has an impossible place', offset)
    const page = fields.bytes.slice(data, data + sector)
    page.set(fields.bytes.subarray(at + 8, at + 16))
    page.set(fields.bytes.subarray(at + 4, at + 8), sector - 4)
    await staged.write(offset, page)
    data += sector
  }
}

/** An entry that stands for itself: its tail is where it begins. */
export function encodeEntry(pages: readonly ChangedPage[], start: number, sequence: number, guid: Uint8Array, fileEnd: number): Uint8Array {
  const fields = new Fields(new Uint8Array(sector * (1 + pages.length)), true)
  fields.setText(0, 'loge')
  fields.setU32(8, fields.bytes.length)
  fields.setU32(12, start)
  fields.setU64(16, sequence)
  fields.setU32(24, pages.length)
  fields.bytes.set(guid, 32)
  fields.setU64(48, Math.floor(fileEnd / MiB) * MiB)
  fields.setU64(56, Math.floor(fileEnd / MiB) * MiB)
  pages.forEach(({ offset, bytes }, index) => {
    const at = headerBytes + index * descriptorBytes
    fields.setText(at, 'desc')
    fields.bytes.set(bytes.subarray(sector - 4), at + 4)
    fields.bytes.set(bytes.subarray(0, 8), at + 8)
    fields.setU64(at + 16, offset)
    fields.setU64(at + 24, sequence)
    const data = sector * (1 + index)
    fields.bytes.set(bytes, data)
    fields.setText(data, 'data')
    fields.setU32(data + 4, Math.floor(sequence / 2 ** 32))
    fields.setU32(data + sector - 4, sequence % 2 ** 32)
  })
  fields.setU32(4, checksumOf(fields.bytes))
  return fields.bytes
}
