/**
 * GUID partition tables (UEFI 2.10, 5.3), all numbers little-endian. The header is in block 1, and another in the last block:
 *
 * ```
 * 0   "EFI PART"                 56  GUID of the disk
 * 12  u32  bytes of the header   72  u64  block of the entries
 * 16  u32  its CRC-32            80  u32  entries
 * 24  u64  its own block         84  u32  bytes of an entry
 *                                88  u32  CRC-32 of the entries
 * ```
 *
 * An entry has the GUID of its type (zeroes: unused), its own, the first and the last block, attributes, and at 56 a name in UTF-16.
 */
import type { ReadBytes } from '@machinist/boot'
import { allZero, Fields } from '../mapped/fields.ts'
import { mixedEndian, uuidText } from '../mapped/identity.ts'
import { utf16 } from '../vhd/structures.ts'
import type { Partition, PartitionTable } from './partitions.ts'

/** What a header of revision 1.0 has. */
export const gptHeader = { signature: 'EFI PART', revision: 0x10000, bytes: 92 } as const
/** An entry: its usual bytes, where its name is and how long, and the attribute "Read-only", number 60, in their upper half. */
export const gptEntry: { readonly bytes: number, readonly name: number, readonly nameBytes: number, readonly readOnly: number } = { bytes: 128, name: 56, nameBytes: 72, readOnly: 2 ** 28 }
/** The most entries, and bytes of them, that are believed. Everybody makes 128 of 128 bytes. */
const mostEntries = 4096
const mostBytes = 1 << 20
/** "Legacy BIOS bootable", of an entry's attributes. */
const bootable = 4
/** Blocks that disks have. */
const blockSizes = [512, 4096] as const

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** CRC-32, of Ethernet and zip files too. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  return ~crc >>> 0
}

export async function readGpt(read: ReadBytes, size: number): Promise<PartitionTable | null> {
  for (const block of blockSizes) {
    const found = await readAt(read, size, block, block) ?? await readAt(read, size, block, size - size % block - block)
    if (found !== null) return found
  }
  return null
}

/** The table whose header is at a byte; null when none is that is sound. */
async function readAt(read: ReadBytes, size: number, block: number, at: number): Promise<PartitionTable | null> {
  if (at < block || at + block > size) return null
  const header = new Fields(await read(at, block), true)
  const [length, crc, own, table, count, entryBytes] = [header.u32(12), header.u32(16), header.u64(24), header.u64(72), header.u32(80), header.u32(84)]
  if (header.text(0, 8) !== gptHeader.signature || length < gptHeader.bytes || length > block || own * block !== at) return null
  const covered = header.bytes.slice(0, length)
  covered.fill(0, 16, 20)
  if (crc32(covered) !== crc) return null
  if (entryBytes < gptEntry.bytes || entryBytes % 8 !== 0 || count > mostEntries || count * entryBytes > mostBytes || !(table * block + count * entryBytes <= size)) return null
  const entries = new Fields(await read(table * block, count * entryBytes), true)
  if (crc32(entries.bytes) !== header.u32(88)) return null
  const guidAt = (fields: Fields, place: number): string => uuidText(mixedEndian(fields.bytes.subarray(place, place + 16)))
  const partitions: Partition[] = []
  for (let index = 0; index < count; index++) {
    const place = index * entryBytes
    const [first, last] = [entries.u64(place + 32), entries.u64(place + 40)]
    if (allZero(entries.bytes.subarray(place, place + 16)) || !(first <= last && (last + 1) * block <= size)) continue
    partitions.push({
      number: index + 1, offset: first * block, length: (last + 1 - first) * block, type: guidAt(entries, place), uuid: guidAt(entries, place + 16),
      name: utf16(entries.bytes.subarray(place + gptEntry.name, place + gptEntry.name + gptEntry.nameBytes), true), bootable: (entries.u32(place + 48) & bootable) !== 0,
      readOnly: (entries.u32(place + 52) & gptEntry.readOnly) !== 0,
    })
  }
  return { scheme: 'gpt', id: guidAt(header, 56), partitions }
}
