/**
 * Structures of VHDX images ([MS-VHDX] 2), all numbers little-endian, GUIDs in mixed order:
 *
 * ```
 * 0        file identifier
 * 64 KiB   header, and another at 128 KiB: the one with the higher sequence number counts
 * 192 KiB  region table, and a copy at 256 KiB: where the log's companions are
 * 1 MiB …  log, metadata, table of blocks (BAT) and blocks, all at multiples of 1 MiB
 * ```
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import { Fields } from '../mapped/fields.ts'
import { mixedEndian, uuidText } from '../mapped/identity.ts'
import type { StagedFile } from '../mapped/staged.ts'

export const MiB: number = 1 << 20
export const headerPlaces: readonly [number, number] = [65536, 131072]
export const regionPlaces: readonly [number, number] = [196608, 262144]
export const headerSize = 4096
export const regionTableSize = 65536
export const regionGuid: { readonly bat: string, readonly metadata: string } = { bat: '2dc27766-f623-4200-9d64-115e9bfd4a08', metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e' }
export const itemGuid: { readonly [Name in 'parameters' | 'size' | 'logicalSector' | 'physicalSector' | 'diskId' | 'parent']: string } = {
  parameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  size: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  logicalSector: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  physicalSector: 'cda348c7-445d-4471-9cc9-e9885251c556',
  diskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  parent: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
}
/** States of a block (2.5.1.1). */
export const blockState: { readonly absent: 0, readonly present: 6, readonly partial: 7 } = { absent: 0, present: 6, partial: 7 }
/** The flag of the file parameters (2.6.2.1) that says that the image stands on another. */
export const hasParent = 2
/** The longest parent locator that is believed. */
const longestLocator = 65536
/** Bytes of one item of the table of blocks. */
export const batEntry = 8

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** CRC-32C of a structure whose own checksum, at byte 4, counts as zero. */
export function checksumOf(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (let index = 0; index < bytes.length; index++) {
    const byte = index >= 4 && index < 8 ? 0 : bytes[index] ?? 0
    crc = (crcTable[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}

/** Whether a structure begins with its signature and has the right checksum. */
export function isSound(fields: Fields, signature: string): boolean {
  return fields.text(0, 4) === signature && fields.u32(4) === checksumOf(fields.bytes)
}

/** A GUID of a structure, as it is written. */
export function guidAt(fields: Fields, at: number): string {
  return uuidText(mixedEndian(fields.bytes.subarray(at, at + 16)))
}

/** A GUID as a structure keeps it. */
export function guidBytes(text: string): Uint8Array {
  const digits = text.replaceAll('-', '')
  return mixedEndian(Uint8Array.from({ length: 16 }, (_, index) => parseInt(digits.slice(index * 2, index * 2 + 2), 16)))
}

/** The header that counts (2.2.2): its fields, and which of the two it is. */
export async function readHeader(staged: StagedFile, name: string): Promise<{ readonly fields: Fields, readonly which: 0 | 1 }> {
  let best: { fields: Fields, which: 0 | 1 } | null = null
  for (const which of [0, 1] as const) {
    const fields = await staged.fields(headerPlaces[which], headerSize)
    if (isSound(fields, 'head') && (best === null || fields.u64(8) > best.fields.u64(8))) best = { fields, which }
  }
  if (best === null) throw imageDamaged(name, 'vhdx', 'neither of its headers is sound')
  const { fields } = best
  if (fields.u16(66) !== 1) throw imageUnsupported(name, 'vhdx', `version ${String(fields.u16(66))}`)
  if (fields.u16(64) !== 0) throw imageUnsupported(name, 'vhdx', `version ${String(fields.u16(64))} of the log`)
  const [length, offset] = [fields.u32(68), fields.u64(72)]
  if (length === 0 || length % MiB !== 0 || offset % MiB !== 0 || offset < MiB || !(offset + length <= staged.end)) {
    throw imageDamaged(name, 'vhdx', 'its log has an impossible place', offset)
  }
  return best
}

/** A part of the file. */
export interface Region {
  readonly offset: number
  readonly length: number
}

/** The regions (2.2.3); `others` are those that need not be known. */
export async function readRegions(staged: StagedFile, log: Region, name: string): Promise<{ readonly bat: Region, readonly metadata: Region, readonly others: readonly Region[] }> {
  for (const place of regionPlaces) {
    const fields = await staged.fields(place, regionTableSize)
    if (!isSound(fields, 'regi')) continue
    const count = fields.u32(8)
    if (count > 2047) throw imageDamaged(name, 'vhdx', 'its region table has too many entries', count)
    const found = new Map<string, Region>()
    const taken = [log]
    const others: Region[] = []
    for (let index = 0; index < count; index++) {
      const at = 16 + index * 32
      const guid = guidAt(fields, at)
      const region = { offset: fields.u64(at + 16), length: fields.u32(at + 24) }
      if (guid !== regionGuid.bat && guid !== regionGuid.metadata) {
        if ((fields.u32(at + 28) & 1) !== 0) throw imageUnsupported(name, 'vhdx', `region ${guid}`)
        others.push(region)
        continue
      }
      if (found.has(guid) || region.offset % MiB !== 0 || region.offset < MiB || region.length % MiB !== 0 || region.length === 0 || !(region.offset + region.length <= staged.end)
        || taken.some((other) => region.offset < other.offset + other.length && other.offset < region.offset + region.length)) {
        throw imageDamaged(name, 'vhdx', 'a region has an impossible place', region.offset)
      }
      found.set(guid, region)
      taken.push(region)
    }
    const [bat, metadata] = [found.get(regionGuid.bat), found.get(regionGuid.metadata)]
    if (bat === undefined || metadata === undefined) throw imageDamaged(name, 'vhdx', 'it lacks metadata or its table of blocks')
    return { bat, metadata, others }
  }
  throw imageDamaged(name, 'vhdx', 'neither of its region tables is sound')
}

/** What we go by in the metadata (2.6). */
export interface VhdxMetadata {
  readonly blockSize: number
  readonly size: number
  /** Where in the file the size stands. */
  readonly sizeAt: number
  readonly logicalSector: number
  readonly fixed: boolean
  readonly diskId: string
  /** Of a differencing image: what names its parent. */
  readonly parent: Fields | null
}

export async function readMetadata(staged: StagedFile, region: Region, name: string): Promise<VhdxMetadata> {
  const table = await staged.fields(region.offset, 65536)
  const count = table.u16(10)
  if (table.text(0, 8) !== 'metadata' || count > 2047) throw imageDamaged(name, 'vhdx', 'its metadata table is not one')
  const known = new Map<string, number>()
  let locatorLength = 0
  for (let index = 0; index < count; index++) {
    const at = 32 + index * 32
    const guid = guidAt(table, at)
    const [offset, length, flags] = [table.u32(at + 16), table.u32(at + 20), table.u32(at + 24)]
    if (!Object.values(itemGuid).includes(guid)) {
      // An item of a user, or one that need not be understood.
      if ((flags & 4) !== 0) throw imageUnsupported(name, 'vhdx', `metadata ${guid}`)
      continue
    }
    if (offset < 65536 || offset + Math.max(length, 16) > region.length) throw imageDamaged(name, 'vhdx', 'metadata has an impossible place', offset)
    known.set(guid, region.offset + offset)
    if (guid === itemGuid.parent) locatorLength = length
  }
  const item = async (guid: string, length: number): Promise<Fields> => {
    const at = known.get(guid)
    if (at === undefined) throw imageDamaged(name, 'vhdx', `it lacks metadata ${guid}`)
    return staged.fields(at, length)
  }
  const file = await item(itemGuid.parameters, 8)
  const differencing = (file.u32(4) & hasParent) !== 0
  if (differencing && locatorLength > longestLocator) throw imageDamaged(name, 'vhdx', 'its parent locator is longer than any', locatorLength)
  const [blockSize, size, logicalSector] = [file.u32(0), (await item(itemGuid.size, 8)).u64(0), (await item(itemGuid.logicalSector, 4)).u32(0)]
  if (blockSize < MiB || blockSize > 256 * MiB || (blockSize & (blockSize - 1)) !== 0) throw imageDamaged(name, 'vhdx', 'its blocks have an impossible size', blockSize)
  if (logicalSector !== 512 && logicalSector !== 4096) throw imageDamaged(name, 'vhdx', 'its sectors have an impossible size', logicalSector)
  if (size === 0 || size > 2 ** 46 || size % logicalSector !== 0) throw imageDamaged(name, 'vhdx', 'it names an impossible size of the disk', size)
  return {
    blockSize, size, logicalSector, sizeAt: known.get(itemGuid.size) ?? 0, fixed: (file.u32(4) & 1) !== 0,
    parent: differencing ? await item(itemGuid.parent, locatorLength) : null,
    diskId: known.has(itemGuid.diskId) ? guidAt(await item(itemGuid.diskId, 16), 0) : '',
  }
}

/**
 * Entries of the table of blocks that a size needs: after so many blocks there is one for a bitmap of sectors (2.5), which the last ones
 * need in an image that stands on another.
 */
export function batShape(size: number, blockSize: number, logicalSector: number, differencing: boolean = false): { readonly blocks: number, readonly ratio: number, readonly entries: number } {
  const blocks = Math.ceil(size / blockSize)
  const ratio = 2 ** 23 * logicalSector / blockSize
  return { blocks, ratio, entries: differencing ? Math.ceil(blocks / ratio) * (ratio + 1) : blocks + Math.floor((blocks - 1) / ratio) }
}
