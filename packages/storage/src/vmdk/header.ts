/**
 * The header of a sparse extent ("Virtual Disk Format 5.0", "Hosted Sparse Extents"), all numbers little-endian, places in sectors:
 *
 * ```
 * 0  u32  magic "KDMV"            36 u64  sectors of the descriptor
 * 4  u32  version, 1 to 3         44 u32  entries of a grain table, 512
 * 8  u32  flags                   48 u64  redundant grain directory
 * 12 u64  capacity                56 u64  grain directory, all ones: the footer says where
 * 20 u64  sectors of a grain      64 u64  sectors of all this
 * 28 u64  descriptor, or 0        72 u8   was not closed in good order
 *                                 73 4×u8 line ends, to find what spoilt them
 *                                 77 u16  compression: 0 none, 1 deflate
 * ```
 *
 * A grain directory names grain tables, a grain table names grains: 0 for none, 1 for zeroes when the flags say so.
 */
import { imageDamaged, imageUnsupported } from '../format.ts'
import { asciiOf, Fields } from '../mapped/fields.ts'

export const sector = 512
export const tableEntries = 512
export const tableBytes: number = tableEntries * 4
export const flag: { readonly [Name in 'newlines' | 'redundant' | 'zeroGrains' | 'compressed' | 'markers']: number } = {
  newlines: 1, redundant: 2, zeroGrains: 4, compressed: 0x10000, markers: 0x20000,
}
/** Sectors of what stands before the tables: the header, and the descriptor. */
export const descriptorSectors = 20
export const defaultGrain = 128
const most64 = 2 ** 64

export interface SparseHeader {
  readonly fields: Fields
  readonly flags: number
  readonly capacity: number
  readonly grain: number
  /** In bytes. */
  readonly descriptor: { readonly offset: number, readonly length: number } | null
  /** In bytes; null when the footer says it. */
  readonly directory: number | null
  readonly redundant: number | null
  readonly unclean: boolean
}

/** Whether a sparse extent begins here; it may be cut off. */
export function isSparse(header: Uint8Array): boolean {
  return asciiOf(header.subarray(0, 4)) === 'KDMV'
}

/** Checks a header, or a footer, against the length of the file. */
export function parseSparse(fields: Fields, fileSize: number, name: string): SparseHeader {
  const bad = (problem: string, value?: number): never => { throw imageDamaged(name, 'vmdk', problem, value) }
  if (!isSparse(fields.bytes)) bad('an extent lacks the signature')
  if (fields.u32(4) < 1 || fields.u32(4) > 3) throw imageUnsupported(name, 'vmdk', `version ${String(fields.u32(4))}`)
  const flags = fields.u32(8)
  if ((flags & flag.newlines) !== 0 && fields.text(73, 4) !== '\n \r\n') bad('it was changed by a transfer as text')
  const [capacity, grain] = [fields.u64(12), fields.u64(20)]
  if (capacity === 0 || !Number.isSafeInteger(capacity * sector)) bad('it names an impossible size of the disk', capacity)
  if (!(grain >= 8 && grain <= 16384) || (grain & (grain - 1)) !== 0) bad('its grains have an impossible size', grain)
  if (fields.u32(44) !== tableEntries) throw imageUnsupported(name, 'vmdk', `grain tables of ${String(fields.u32(44))} entries`)
  const compression = fields.u16(77)
  if (compression > 1 || ((flags & flag.compressed) !== 0) !== (compression === 1)) throw imageUnsupported(name, 'vmdk', `compression ${String(compression)}`)
  const directoryBytes = Math.ceil(capacity / grain / tableEntries) * 4
  const place = (at: number): number => {
    const value = fields.u64(at) * sector
    if (!Number.isSafeInteger(value) || value < sector || value + directoryBytes > fileSize) bad('its grain directory has an impossible place', fields.u64(at))
    return value
  }
  const [descriptorAt, descriptorLength] = [fields.u64(28) * sector, fields.u64(36) * sector]
  if (descriptorAt > 0 && !(descriptorAt + descriptorLength <= fileSize && descriptorLength <= 1 << 20)) bad('its descriptor has an impossible place', descriptorAt)
  return {
    fields, flags, capacity, grain,
    descriptor: descriptorAt === 0 || descriptorLength === 0 ? null : { offset: descriptorAt, length: descriptorLength },
    directory: fields.u64(56) === most64 ? null : place(56),
    redundant: (flags & flag.redundant) === 0 ? null : place(48),
    unclean: fields.bytes[72] !== 0,
  }
}

/** Where the parts of a new extent are, in sectors. */
export interface SparseShape {
  readonly redundant: number
  readonly directory: number
  readonly overHead: number
}

/** Sectors of a grain directory and of its tables. */
export function directorySectors(capacity: number): { readonly tables: number, readonly directory: number, readonly all: number } {
  const tables = Math.ceil(capacity / defaultGrain / tableEntries)
  const directory = Math.ceil(tables * 4 / sector)
  return { tables, directory, all: directory + tables * tableBytes / sector }
}

export function encodeSparse(capacity: number, withDescriptor: boolean, shape: SparseShape | null): Fields {
  const fields = new Fields(new Uint8Array(sector), true)
  fields.setText(0, 'KDMV')
  fields.setU32(4, shape === null ? 3 : 1)
  fields.setU32(8, flag.newlines | (shape === null ? flag.compressed | flag.markers : flag.redundant))
  fields.setU64(12, capacity)
  fields.setU64(20, defaultGrain)
  if (withDescriptor) {
    fields.setU64(28, 1)
    fields.setU64(36, descriptorSectors)
  }
  fields.setU32(44, tableEntries)
  if (shape === null) fields.bytes.fill(0xff, 56, 64)
  else {
    fields.setU64(48, shape.redundant)
    fields.setU64(56, shape.directory)
  }
  fields.setU64(64, shape?.overHead ?? defaultGrain)
  fields.setText(73, '\n \r\n')
  fields.setU16(77, shape === null ? 1 : 0)
  return fields
}
