import { Fields } from '../mapped/fields.ts'
import { mixedEndian, uuidBytes } from '../mapped/identity.ts'
import { crc32, gptEntry, gptHeader } from './gpt.ts'
import type { Partition } from './partitions.ts'

const sector = 512
const entries = 128
const entriesBytes = entries * gptEntry.bytes
const tableSectors = entriesBytes / sector

/** A partition of a new table. */
export type NewPartition = Pick<Partition, 'offset' | 'length' | 'type' | 'uuid' | 'name' | 'readOnly'>

/** The bytes of a GUID partition table: at the first byte of a disk, and up to its last. */
export interface GptBytes {
  /** A protective master boot record, the header and the entries. */
  readonly first: Uint8Array
  /** The entries and the header once more. */
  readonly last: Uint8Array
}

function header(own: number, other: number, table: number, last: number, id: string, crc: number): Uint8Array {
  const fields = new Fields(new Uint8Array(sector), true)
  fields.setText(0, gptHeader.signature)
  fields.setU32(8, gptHeader.revision)
  fields.setU32(12, gptHeader.bytes)
  fields.setU64(24, own)
  fields.setU64(32, other)
  fields.setU64(40, 2 + tableSectors)
  fields.setU64(48, last - tableSectors - 1)
  fields.bytes.set(mixedEndian(uuidBytes(id)), 56)
  fields.setU64(72, table)
  fields.setU32(80, entries)
  fields.setU32(84, gptEntry.bytes)
  fields.setU32(88, crc)
  fields.setU32(16, crc32(fields.bytes.subarray(0, gptHeader.bytes)))
  return fields.bytes
}

/** A master boot record whose one partition is the whole disk, so that nobody takes it for empty (UEFI 2.10, 5.2.3). */
function protective(sectors: number): Uint8Array {
  const fields = new Fields(new Uint8Array(sector), true)
  fields.bytes.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff], 446)
  fields.setU32(454, 1)
  fields.setU32(458, Math.min(sectors - 1, 0xffff_ffff))
  fields.setU16(510, 0xaa55)
  return fields.bytes
}

/**
 * A GUID partition table (UEFI 2.10, 5.3) for a new disk with sectors of 512 bytes, of 128 entries.
 *
 * @param size - of the disk in bytes, a multiple of 512
 * @param id - GUID of the disk
 * @param partitions - at most 128, in whole sectors, none over another or within 17408 bytes of the disk's beginning or 16896 of its end; names of at most 36 letters
 * @throws a `RangeError` for what cannot be
 */
export function createGpt(size: number, id: string, partitions: readonly NewPartition[]): GptBytes {
  const sectors = size / sector
  const last = sectors - 1
  if (!Number.isSafeInteger(sectors) || partitions.length > entries) throw new RangeError(`${String(partitions.length)} partitions on ${String(size)} bytes`)
  const table = new Fields(new Uint8Array(entriesBytes), true)
  let end = (2 + tableSectors) * sector
  for (const { offset, length } of [...partitions].sort((one, other) => one.offset - other.offset)) {
    if (offset < end || length <= 0 || offset % sector !== 0 || length % sector !== 0 || offset + length > (last - tableSectors) * sector) throw new RangeError(`a partition of ${String(length)} bytes at ${String(offset)}`)
    end = offset + length
  }
  partitions.forEach(({ offset, length, type, uuid, name, readOnly }, index) => {
    if (name.length > gptEntry.nameBytes / 2) throw new RangeError(`a name of ${String(name.length)} letters`)
    const at = index * gptEntry.bytes
    table.bytes.set(mixedEndian(uuidBytes(type)), at)
    table.bytes.set(mixedEndian(uuidBytes(uuid)), at + 16)
    table.setU64(at + 32, offset / sector)
    table.setU64(at + 40, (offset + length) / sector - 1)
    table.setU32(at + 52, readOnly ? gptEntry.readOnly : 0)
    for (let letter = 0; letter < name.length; letter++) table.setU16(at + gptEntry.name + 2 * letter, name.charCodeAt(letter))
  })
  const crc = crc32(table.bytes)
  const [first, second] = [new Uint8Array((2 + tableSectors) * sector), new Uint8Array((tableSectors + 1) * sector)]
  first.set(protective(sectors))
  first.set(header(1, last, 2, last, id, crc), sector)
  first.set(table.bytes, 2 * sector)
  second.set(table.bytes)
  second.set(header(last, 1, last - tableSectors, last, id, crc), entriesBytes)
  return { first, last: second }
}
