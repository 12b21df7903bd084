import type { RandomAccessFile } from '../file.ts'
import { imageDamaged, imageUnsupported } from '../format.ts'
import { bytesOf, extension, field, getU64, headerLength, incompatible, limit, magic, maxClusterBits, minClusterBits, setU64, textOf } from './layout.ts'

/** The header of an image, checked: offsets are whole clusters inside the file, sizes within the limits. */
export interface Header {
  readonly version: 2 | 3
  readonly clusterBits: number
  readonly size: number
  readonly l1Entries: number
  readonly l1Offset: number
  readonly refcountTableOffset: number
  readonly refcountTableClusters: number
  readonly refcountOrder: number
  readonly snapshotCount: number
  readonly snapshotsOffset: number
  /** The lower words: the upper ones hold no feature that is known. */
  readonly incompatible: number
  readonly compatible: number
  /** Whether any bit of the 64 is set; `autoclear` is the lower word. */
  readonly anyAutoclear: boolean
  readonly autoclear: number
  readonly compression: 'deflate' | 'zstd'
  readonly backing: { readonly name: string, readonly format?: string } | null
  /** Where the header extension of bitmaps is, to account for their clusters. */
  readonly bitmaps: { readonly directoryOffset: number, readonly directorySize: number, readonly count: number } | null
}

const formatName = 'qcow2'
const knownIncompatible = incompatible.dirty | incompatible.corrupt | incompatible.compressionType
/** Of features that are not supported but known by name. */
const featureName: Readonly<Record<number, string>> = { 2: 'external data file', 4: 'extended L2 entries' }

/** Reads and checks a header. @throws a typed error */
export async function readHeader(file: RandomAccessFile, name: string): Promise<Header> {
  const bad = (problem: string, value?: string | number): Error => imageDamaged(name, formatName, problem, value)
  const fixed = new Uint8Array(headerLength.v3 + 8)
  const count = await file.read(0, fixed)
  const view = new DataView(fixed.buffer)
  if (count < headerLength.v2 || view.getUint32(0) !== magic) throw bad('it does not begin with the signature')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) throw imageUnsupported(name, formatName, `version ${String(version)}`)
  if (version === 3 && count < headerLength.v3) throw bad('the header is cut short')
  const clusterBits = view.getUint32(field.clusterBits)
  if (clusterBits < minClusterBits || clusterBits > maxClusterBits) throw bad('impossible cluster_bits', clusterBits)
  const clusterSize = 2 ** clusterBits
  const length = version === 2 ? headerLength.v2 : view.getUint32(field.headerLength)
  if (length < (version === 2 ? headerLength.v2 : headerLength.v3) || length > clusterSize || length % 8 !== 0) throw bad('impossible header_length', length)

  // The header, its extensions and the name of the backing file share the first cluster.
  const first = new Uint8Array(Math.min(clusterSize, file.size))
  const firstCount = await file.read(0, first)
  const whole = first.subarray(0, firstCount)
  const extensions = readExtensions(whole, length, getU64(view, field.backingFileOffset), bad)

  const incompatibleFeatures = version === 2 ? 0 : view.getUint32(field.incompatibleFeatures + 4)
  const incompatibleHigh = version === 2 ? 0 : view.getUint32(field.incompatibleFeatures)
  for (let bit = 0; bit < 64; bit++) {
    const set = bit < 32 ? (incompatibleFeatures >>> bit & 1) === 1 && (knownIncompatible >>> bit & 1) === 0 : (incompatibleHigh >>> (bit - 32) & 1) === 1
    if (set) throw imageUnsupported(name, formatName, featureName[bit] ?? extensions.features.get(bit) ?? `incompatible feature, bit ${String(bit)}`)
  }
  if (view.getUint32(field.cryptMethod) !== 0) throw imageUnsupported(name, formatName, 'encryption')

  const compressionType = version === 3 && length > headerLength.v3 ? fixed[field.compressionType] ?? 0 : 0
  if (compressionType > 1) throw imageUnsupported(name, formatName, `compression type ${String(compressionType)}`)
  if ((compressionType !== 0) !== ((incompatibleFeatures & incompatible.compressionType) !== 0)) throw bad('the compression type and its feature bit disagree')

  const refcountOrder = version === 2 ? 4 : view.getUint32(field.refcountOrder)
  if (refcountOrder > 6) throw bad('impossible refcount_order', refcountOrder)

  const size = getU64(view, field.size)
  if (!Number.isSafeInteger(size)) throw bad('impossible size', size)
  const inFile = (offset: number, bytes: number, what: string): void => {
    if (!Number.isSafeInteger(offset) || offset % clusterSize !== 0 || offset + bytes > Math.ceil(file.size / clusterSize) * clusterSize) {
      throw bad(`the ${what} is not inside the file`, offset)
    }
  }
  const l1Entries = view.getUint32(field.l1Size)
  if (l1Entries * 8 > limit.l1) throw bad('the L1 table is too large', l1Entries)
  if (l1Entries < l1EntriesFor(size, clusterBits)) throw bad('the L1 table is too small for the size', l1Entries)
  const l1Offset = getU64(view, field.l1TableOffset)
  if (l1Entries > 0) inFile(l1Offset, l1Entries * 8, 'L1 table')
  const refcountTableClusters = view.getUint32(field.refcountTableClusters)
  if (refcountTableClusters === 0 || refcountTableClusters * clusterSize > Math.max(limit.refcountTable, clusterSize)) throw bad('impossible refcount_table_clusters', refcountTableClusters)
  const refcountTableOffset = getU64(view, field.refcountTableOffset)
  inFile(refcountTableOffset, refcountTableClusters * clusterSize, 'refcount table')
  const snapshotCount = view.getUint32(field.nbSnapshots)
  const snapshotsOffset = getU64(view, field.snapshotsOffset)
  if (snapshotCount > limit.snapshots) throw bad('impossible nb_snapshots', snapshotCount)
  if (snapshotCount > 0) inFile(snapshotsOffset, 1, 'snapshot table')
  if ((l1Entries > 0 && l1Offset === 0) || refcountTableOffset === 0 || (snapshotCount > 0 && snapshotsOffset === 0)) throw bad('a table is in the place of the header')

  return {
    version, clusterBits, size, l1Entries, l1Offset, refcountTableOffset, refcountTableClusters, refcountOrder, snapshotCount, snapshotsOffset,
    incompatible: incompatibleFeatures,
    compatible: version === 2 ? 0 : view.getUint32(field.compatibleFeatures + 4),
    anyAutoclear: version === 3 && (view.getUint32(field.autoclearFeatures) !== 0 || view.getUint32(field.autoclearFeatures + 4) !== 0),
    autoclear: version === 2 ? 0 : view.getUint32(field.autoclearFeatures + 4),
    compression: compressionType === 1 ? 'zstd' : 'deflate',
    backing: readBacking(whole, view, extensions.backingFormat, bad),
    bitmaps: extensions.bitmaps,
  }
}

/** Entries of the L1 table that a disk needs. */
export function l1EntriesFor(size: number, clusterBits: number): number {
  return Math.ceil(size / 2 ** (2 * clusterBits - 3))
}

type Bad = (problem: string, value?: string | number) => Error

function readBacking(first: Uint8Array, view: DataView, format: string | undefined, bad: Bad): Header['backing'] {
  const offset = getU64(view, field.backingFileOffset)
  if (offset === 0) return null
  const length = view.getUint32(field.backingFileSize)
  if (length === 0) return null
  if (length > limit.backingName || offset + length > first.length) throw bad('the name of the backing file is not in the header', length)
  const name = textOf(first.subarray(offset, offset + length))
  return { name, ...(format !== undefined && { format }) }
}

interface Extensions {
  readonly backingFormat: string | undefined
  readonly features: ReadonlyMap<number, string>
  readonly bitmaps: Header['bitmaps']
}

function readExtensions(first: Uint8Array, start: number, backingOffset: number, bad: Bad): Extensions {
  const view = new DataView(first.buffer, first.byteOffset, first.length)
  const end = backingOffset > start && backingOffset < first.length ? backingOffset : first.length
  const features = new Map<number, string>()
  let backingFormat: string | undefined
  let bitmaps: Header['bitmaps'] = null
  for (let at = start; at + 8 <= end;) {
    const type = view.getUint32(at)
    const length = view.getUint32(at + 4)
    if (type === extension.end) break
    if (length > end - at - 8) throw bad('a header extension is longer than the header', `0x${type.toString(16)}`)
    const data = first.subarray(at + 8, at + 8 + length)
    if (type === extension.backingFormat) backingFormat = textOf(data)
    if (type === extension.featureNames) {
      for (let entry = 0; entry + 48 <= length; entry += 48) {
        // Of incompatible features only. The name comes from the image, so it is printable and short.
        if (data[entry] === 0) features.set(data[entry + 1] ?? 0, `"${textOf(data.subarray(entry + 2, entry + 48)).replace(/[^\x20-\x7e]/g, '')}"`)
      }
    }
    if (type === extension.bitmaps && length >= 24) {
      bitmaps = { count: view.getUint32(at + 8), directorySize: getU64(view, at + 16), directoryOffset: getU64(view, at + 24) }
    }
    at += 8 + Math.ceil(length / 8) * 8
  }
  return { backingFormat, features, bitmaps }
}

/** Bytes of a header as {@link encodeHeader} writes it, before the name of the backing file. */
const encodedLength = 112

/** A new header: one cluster. */
export function encodeHeader(header: Omit<Header, 'anyAutoclear' | 'autoclear' | 'bitmaps' | 'compression'>): Uint8Array {
  const bytes = new Uint8Array(2 ** header.clusterBits)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magic)
  view.setUint32(4, header.version)
  view.setUint32(field.clusterBits, header.clusterBits)
  setU64(view, field.size, header.size)
  view.setUint32(field.l1Size, header.l1Entries)
  setU64(view, field.l1TableOffset, header.l1Offset)
  setU64(view, field.refcountTableOffset, header.refcountTableOffset)
  view.setUint32(field.refcountTableClusters, header.refcountTableClusters)
  let at: number = headerLength.v2
  if (header.version === 3) {
    setU64(view, field.compatibleFeatures, header.compatible)
    view.setUint32(field.refcountOrder, header.refcountOrder)
    view.setUint32(field.headerLength, encodedLength)
    at = encodedLength
  }
  if (header.backing !== null) {
    const format = bytesOf(header.backing.format ?? 'raw')
    view.setUint32(at, extension.backingFormat)
    view.setUint32(at + 4, format.length)
    bytes.set(format, at + 8)
    at += 8 + Math.ceil(format.length / 8) * 8 + 8 // and the end of extensions, eight zeroes
    const name = bytesOf(header.backing.name)
    bytes.set(name, at)
    setU64(view, field.backingFileOffset, at)
    view.setUint32(field.backingFileSize, name.length)
  }
  return bytes
}

/** Bytes of the first cluster that the name of a backing file may take. */
export function backingNameRoom(clusterBits: number): number {
  return Math.min(limit.backingName, 2 ** clusterBits - encodedLength - 40)
}
