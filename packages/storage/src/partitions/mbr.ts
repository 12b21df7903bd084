/**
 * Master boot records: at byte 440 the disk's number, at 446 four entries of 16 bytes, at 510 a signature. An entry has a mark (0x80: to be
 * started), at 4 its type, at 8 its first sector and at 12 how many there are, little-endian. A partition of an extended type holds
 * records of the same form, each of a logical partition (from its own place on) and of the next such record (from the extended one's).
 */
import type { ReadBytes } from '@machinist/boot'
import { Fields } from '../mapped/fields.ts'
import type { Partition, PartitionTable } from './partitions.ts'

const sector = 512
const idAt = 440
const entriesAt = 446
const entryBytes = 16
const primaries = 4
const extendedTypes: readonly number[] = [0x05, 0x0f, 0x85]
/** What stands for a GPT, and is no partition. */
const protective = 0xee
/** The most logical partitions that are looked for: a chain may lead back to itself. */
const mostLogical = 128

interface Entry {
  readonly mark: number
  readonly type: number
  readonly first: number
  readonly count: number
}

function entriesOf(record: Fields): Entry[] {
  return Array.from({ length: primaries }, (_, index) => {
    const at = entriesAt + index * entryBytes
    return { mark: record.bytes[at] ?? 0, type: record.bytes[at + 4] ?? 0, first: record.u32(at + 8), count: record.u32(at + 12) }
  })
}

async function recordAt(read: ReadBytes, size: number, at: number): Promise<Fields | null> {
  if (at + sector > size) return null
  const record = new Fields(await read(at, sector), true)
  return record.u16(510) === 0xaa55 ? record : null
}

export async function readMbr(read: ReadBytes, size: number): Promise<PartitionTable | null> {
  const record = await recordAt(read, size, 0)
  if (record === null) return null
  const entries = entriesOf(record)
  // The first sector of a file system has the same signature, and code where the entries would be.
  if (entries.some(({ mark }) => mark !== 0 && mark !== 0x80)) return null
  const used = entries.filter(({ type, count }) => type !== 0 && count !== 0)
  if (used.length === 0 || used.every(({ first }) => first === 0 || first * sector >= size)) return null
  const id = record.u32(idAt).toString(16).padStart(8, '0')
  const partitions: Partition[] = []
  const add = (number: number, { mark, type }: Entry, first: number, count: number): void => {
    if (type === protective || first === 0 || (first + count) * sector > size) return
    partitions.push({
      number, offset: first * sector, length: count * sector, type: `0x${type.toString(16).padStart(2, '0')}`,
      uuid: `${id}-${number.toString(16).padStart(2, '0')}`, name: '', bootable: mark === 0x80, readOnly: false,
    })
  }
  for (const [index, entry] of entries.entries()) {
    if (entry.type !== 0 && entry.count !== 0 && !extendedTypes.includes(entry.type)) add(index + 1, entry, entry.first, entry.count)
  }
  const extended = entries.find(({ type, count }) => extendedTypes.includes(type) && count !== 0)
  if (extended !== undefined) {
    let next = 0
    for (let number = primaries + 1; number <= primaries + mostLogical; number++) {
      const start = extended.first + next
      const logical = await recordAt(read, size, start * sector)
      if (logical === null) break
      const [own, link] = entriesOf(logical)
      if (own !== undefined && own.type !== 0 && own.count !== 0) add(number, own, start + own.first, own.count)
      if (link === undefined || !extendedTypes.includes(link.type) || link.first === 0 || link.count === 0) break
      next = link.first
    }
  }
  return { scheme: 'mbr', id, partitions }
}
