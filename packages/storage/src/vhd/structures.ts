/**
 * Structures of VHD images ("Virtual Hard Disk Image Format Specification" 1.0), all numbers big-endian. A footer of 512 bytes ends
 * every image; one that is not fixed has a copy at its beginning, then a header of 1024 bytes that tells where the table of blocks is.
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import { asciiOf, Fields } from '../mapped/fields.ts'

export const footerSize = 512
export const dynamicSize = 1024
export const vhdType: { readonly fixed: 2, readonly dynamic: 3, readonly differencing: 4 } = { fixed: 2, dynamic: 3, differencing: 4 }
/** An entry of the table of blocks that names no place. */
export const vhdNone = 0xffffffff
const checksumOfFooter = 64
const checksumOfDynamic = 36
const version = 0x00010000

/** The most that cylinders, heads and sectors can say, in sectors. */
const mostGeometry = 65535 * 16 * 255
/** The most of the format: 2040 GiB. Sectors have numbers of 32 bits, and tables and bitmaps need some too. */
export const mostBytes: number = 2040 * 2 ** 30

/** Cylinders, heads and sectors per track. */
export interface Geometry {
  readonly cylinders: number
  readonly heads: number
  readonly sectors: number
}

/** The geometry of a disk of so many sectors (appendix "CHS calculation"). It may say less than there is. */
export function geometryOf(total: number): Geometry {
  const most = Math.min(total, mostGeometry)
  const shape = (heads: number, sectors: number): Geometry => ({ cylinders: Math.floor(Math.floor(most / sectors) / heads), heads, sectors })
  if (most >= 65535 * 16 * 63) return shape(16, 255)
  const tracks = Math.floor(most / 17)
  const heads = Math.max(4, Math.ceil(tracks / 1024))
  if (heads <= 16 && tracks < heads * 1024) return shape(heads, 17)
  return Math.floor(most / 31) < 16 * 1024 ? shape(16, 31) : shape(16, 63)
}

/** The ones' complement of the sum of all bytes but the checksum's own. */
export function checksum(bytes: Uint8Array, at: number): number {
  let sum = 0
  bytes.forEach((byte, index) => { if (index < at || index >= at + 4) sum += byte })
  return ~sum >>> 0
}

/** Whether a footer, or its copy, begins here; its checksum may be wrong. */
export function looksLikeFooter(bytes: Uint8Array): boolean {
  return asciiOf(bytes.subarray(0, 8)) === 'conectix'
}

/** Whether these are the 512 bytes of a footer whose checksum is right. */
export function isFooter(bytes: Uint8Array): boolean {
  if (bytes.length < footerSize) return false
  const fields = new Fields(bytes.subarray(0, footerSize), false)
  return looksLikeFooter(bytes) && fields.u32(checksumOfFooter) === checksum(fields.bytes, checksumOfFooter)
}

/** What we go by in a footer. */
export interface VhdFooter {
  readonly type: number
  readonly size: number
  /** Where the dynamic header is. */
  readonly next: number
  readonly uuid: Uint8Array
  readonly creator: string
}

/**
 * Virtual PC takes the geometry for the size, and QEMU did under its old name; everybody else goes by the size. Where the geometry is the
 * largest that there is, it says nothing.
 */
export function parseFooter(fields: Fields, name: string): VhdFooter {
  if (fields.u32(12) !== version) throw imageUnsupported(name, 'vhd', `version 0x${fields.u32(12).toString(16)}`)
  const type = fields.u32(60)
  if (type < 2 || type > 4) throw imageUnsupported(name, 'vhd', `type ${String(type)}`)
  const creator = fields.text(28, 4)
  const stated = fields.u64(48)
  const byGeometry = fields.u16(56) * (fields.u16(58) >>> 8) * (fields.u16(58) & 0xff) * 512
  const size = (creator === 'vpc ' || creator === 'qemu') && byGeometry < mostGeometry * 512 ? byGeometry : stated
  if (!Number.isSafeInteger(size) || size <= 0 || size > 2 ** 43) throw imageDamaged(name, 'vhd', 'it names an impossible size of the disk', size)
  return { type, size: size - size % 512, next: fields.u64(16), uuid: fields.bytes.slice(68, 84), creator }
}

/** Puts a size and its geometry into a footer, and the checksum right. */
export function setFooterSize(fields: Fields, size: number): void {
  const { cylinders, heads, sectors } = geometryOf(size / 512)
  fields.setU64(48, size)
  fields.setU16(56, cylinders)
  fields.setU16(58, heads << 8 | sectors)
  fields.setU32(checksumOfFooter, checksum(fields.bytes, checksumOfFooter))
}

export function encodeFooter(size: number, type: 2 | 3, uuid: Uint8Array): Fields {
  const fields = new Fields(new Uint8Array(footerSize), false)
  fields.setText(0, 'conectix')
  fields.setU32(8, 2)
  fields.setU32(12, version)
  fields.bytes.fill(0xff, 16, 24)
  if (type !== vhdType.fixed) fields.setU64(16, footerSize)
  // By this name readers decide whether the size or the geometry counts: this one says the size.
  fields.setText(28, 'win ')
  fields.setU32(32, 0x000a0000)
  fields.setText(36, 'Wi2k')
  fields.setU64(40, size)
  fields.setU32(60, type)
  fields.bytes.set(uuid, 68)
  setFooterSize(fields, size)
  return fields
}

/** A way to the parent: a name, or where in the file it stands. */
export interface ParentLocator {
  readonly platform: string
  readonly length: number
  readonly offset: number
}

/** What we go by in a dynamic header. */
export interface VhdDynamic {
  readonly table: number
  readonly entries: number
  readonly blockSize: number
  readonly parentUuid: Uint8Array
  readonly parentName: string
  readonly locators: readonly ParentLocator[]
}

export function parseDynamic(fields: Fields, size: number, fileSize: number, name: string): VhdDynamic {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'vhd', problem, value) }
  if (fields.text(0, 8) !== 'cxsparse') bad('it lacks the header of its table of blocks')
  if (fields.u32(checksumOfDynamic) !== checksum(fields.bytes, checksumOfDynamic)) bad('the checksum of its header is wrong')
  if (fields.u32(24) !== version) throw imageUnsupported(name, 'vhd', `header version 0x${fields.u32(24).toString(16)}`)
  const [table, entries, blockSize] = [fields.u64(16), fields.u32(28), fields.u32(32)]
  if (blockSize < 4096 || blockSize > 1 << 28 || (blockSize & (blockSize - 1)) !== 0) bad('its blocks have an impossible size', blockSize)
  if (entries * blockSize < size) bad('its table has too few blocks', entries)
  if (!Number.isSafeInteger(table) || table % 512 !== 0 || table < footerSize || table + Math.ceil(size / blockSize) * 4 > fileSize) {
    bad('its table of blocks has an impossible place', table)
  }
  const locators = Array.from({ length: 8 }, (_, index) => {
    const at = 576 + index * 24
    return { platform: fields.text(at, 4), length: fields.u32(at + 8), offset: fields.u64(at + 16) }
  })
  return { table, entries, blockSize, parentUuid: fields.bytes.slice(40, 56), parentName: utf16(fields.bytes.subarray(64, 576), false), locators }
}

export function encodeDynamic(table: number, entries: number, blockSize: number): Fields {
  const fields = new Fields(new Uint8Array(dynamicSize), false)
  fields.setText(0, 'cxsparse')
  fields.bytes.fill(0xff, 8, 16)
  fields.setU64(16, table)
  fields.setU32(24, version)
  fields.setU32(32, blockSize)
  setEntries(fields, entries)
  return fields
}

/** Puts the number of blocks into a dynamic header, and the checksum right. */
export function setEntries(fields: Fields, entries: number): void {
  fields.setU32(28, entries)
  fields.setU32(checksumOfDynamic, checksum(fields.bytes, checksumOfDynamic))
}

/** Text in UTF-16, up to a zero. */
export function utf16(bytes: Uint8Array, little: boolean): string {
  const fields = new Fields(bytes, little)
  let text = ''
  for (let at = 0; at + 1 < bytes.length && fields.u16(at) !== 0; at += 2) text += String.fromCharCode(fields.u16(at))
  return text
}
