/**
 * Bochs' growing images ("Growing" redologs): to read. All numbers are little-endian:
 *
 * ```
 * 0   32   "Bochs Virtual HD Image"          72  u32  entries of the catalog
 * 32  16   type, "Redolog"                   76  u32  bytes of a bitmap
 * 48  16   subtype, "Growing"                80  u32  bytes of an extent
 * 64  u32  version, 1.0 or 2.0               84  u64  size of the disk in bytes, in version 1.0
 * 68  u32  bytes of this header              88  u64  the same in version 2.0
 * ```
 *
 * Behind the header stands the catalog: for each extent of the disk its number in the file, all ones for none. Behind that are the extents,
 * each a bitmap in whole sectors, a bit for each sector, the lowest of a byte first, and the sectors. One whose bit is clear is zero.
 */
import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageUnsupported } from '../format.ts'
import type { DiskFormat, DiskImage, OpenOptions } from '../format.ts'
import { asciiOf, roundUp } from '../mapped/fields.ts'
import type { Fields } from '../mapped/fields.ts'
import { padded, readOnlyImage } from '../mapped/pieces.ts'
import type { Piece } from '../mapped/pieces.ts'
import { opening, StagedFile } from '../mapped/staged.ts'

const sector = 512
const headerSize = 512
const signature = 'Bochs Virtual HD Image'
const none = 0xffffffff
const version: { readonly first: number, readonly second: number } = { first: 0x00010000, second: 0x00020000 }
/** The largest extent that is believed. Bochs makes them of some kilobytes to a few megabytes. */
const mostExtent = 1 << 30

/** Bochs' growing images: read-only. */
export const bochs: DiskFormat = {
  name: 'bochs',
  extensions: [],
  probe: ({ header }) => asciiOf(header.subarray(0, 32)).startsWith(`${signature}\0`),
  open: (file, options) => opening('bochs', options.name, () => openBochs(padded(file), options)),
}

interface Header {
  readonly catalog: number
  readonly entries: number
  /** Bytes of a bitmap, in whole sectors. */
  readonly bitmap: number
  readonly extent: number
  readonly size: number
}

/** Text up to a zero. */
function textAt(fields: Fields, at: number, length: number): string {
  return fields.text(at, length).replace(/\0[^]*$/, '')
}

function parse(fields: Fields, fileSize: number, name: string): Header {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'bochs', problem, value) }
  if (textAt(fields, 0, 32) !== signature) bad('it lacks the signature')
  const kind = `${textAt(fields, 32, 16)}, ${textAt(fields, 48, 16)}`
  if (kind !== 'Redolog, Growing') throw imageUnsupported(name, 'bochs', `an image of type ${kind}`, 'Commit it to the image that it stands on, with bximage')
  const stated = fields.u32(64)
  if (stated !== version.first && stated !== version.second) throw imageUnsupported(name, 'bochs', `version 0x${stated.toString(16)}`)
  const [catalog, entries, bitmap, extent] = [fields.u32(68), fields.u32(72), fields.u32(76), fields.u32(80)]
  const size = fields.u64(stated === version.first ? 84 : 88)
  if (!Number.isSafeInteger(size) || size < sector) bad('it names an impossible size of the disk', size)
  if (extent < sector || extent > mostExtent || extent % sector !== 0) bad('its extents have an impossible size', extent)
  if (bitmap * 8 < extent / sector || bitmap > mostExtent) bad('its bitmaps have an impossible size', bitmap)
  if (catalog < 92 || catalog % 4 !== 0 || catalog + entries * 4 > fileSize) bad('its catalog has an impossible place', catalog)
  if (entries * extent < size - size % sector) bad('its catalog is too short for its size', entries)
  return { catalog, entries, bitmap: roundUp(bitmap, sector), extent, size: size - size % sector }
}

async function openBochs(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage> {
  const { name } = options
  if (options.snapshot !== undefined) throw imageUnsupported(name, 'bochs', 'snapshots')
  if (file.size < headerSize) throw imageDamaged(name, 'bochs', 'it is too short', file.size)
  const staged = new StagedFile(file, sector, true)
  const { catalog, entries, bitmap, extent, size } = parse(await staged.fields(0, headerSize), file.size, name)
  const data = catalog + entries * 4
  const find = async (offset: number): Promise<Piece> => {
    const start = offset - offset % extent
    const entry = await staged.field(catalog + start / extent * 4)
    const index = entry.fields.u32(entry.at)
    if (index === none) return { offset: start, length: extent, place: 'zero' }
    const place = data + index * (bitmap + extent)
    if (!(place < file.size)) throw new Error('an extent lies beyond the end of the file')
    // Sectors of one kind, as far as a page of the bitmap goes.
    const first = (offset - start - offset % sector) / sector
    const { fields, at } = await staged.field(place + (first - first % 8) / 8)
    const reach = Math.min(extent / sector, first - first % 8 + (fields.bytes.length - at) * 8)
    const isSet = (number: number): boolean => ((fields.bytes[at + Math.floor(number / 8) - Math.floor(first / 8)] ?? 0) & (1 << number % 8)) !== 0
    let past = first + 1
    while (past < reach && isSet(past) === isSet(first)) past += 1
    return { offset: start + first * sector, length: (past - first) * sector, place: isSet(first) ? place + bitmap + first * sector : 'zero' }
  }
  return readOnlyImage({ format: 'bochs', file, size, find, info: { clusterSize: extent, details: { subformat: 'growing' } } })
}
