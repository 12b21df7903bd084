/**
 * What a qcow2 image consists of; names and numbers are those of docs/interop/qcow2 of QEMU. All numbers are big-endian.
 */

/** `QFI\xfb`. */
export const magic = 0x514649fb

/** Bytes of the header of version 2, and of the shortest of version 3. */
export const headerLength: { readonly v2: 72, readonly v3: 104 } = { v2: 72, v3: 104 }

/** Where the fields of the header are. */
export const field: {
  readonly backingFileOffset: 8, readonly backingFileSize: 16, readonly clusterBits: 20, readonly size: 24, readonly cryptMethod: 32,
  readonly l1Size: 36, readonly l1TableOffset: 40, readonly refcountTableOffset: 48, readonly refcountTableClusters: 56,
  readonly nbSnapshots: 60, readonly snapshotsOffset: 64, readonly incompatibleFeatures: 72, readonly compatibleFeatures: 80,
  readonly autoclearFeatures: 88, readonly refcountOrder: 96, readonly headerLength: 100, readonly compressionType: 104
} = {
  backingFileOffset: 8, backingFileSize: 16, clusterBits: 20, size: 24, cryptMethod: 32,
  l1Size: 36, l1TableOffset: 40, refcountTableOffset: 48, refcountTableClusters: 56,
  nbSnapshots: 60, snapshotsOffset: 64, incompatibleFeatures: 72, compatibleFeatures: 80,
  autoclearFeatures: 88, refcountOrder: 96, headerLength: 100, compressionType: 104,
}

/** Bits of `incompatible_features`. */
export const incompatible: { readonly dirty: 1, readonly corrupt: 2, readonly externalData: 4, readonly compressionType: 8, readonly extendedL2: 16 } =
  { dirty: 1, corrupt: 2, externalData: 4, compressionType: 8, extendedL2: 16 }

/** Bit of `compatible_features`: refcounts are written only when the image is closed. We write them always. */
export const lazyRefcounts = 1
/** Bit of `autoclear_features`: the bitmaps agree with the content. */
export const bitmapsConsistent = 1

/** Types of header extensions. */
export const extension: { readonly end: 0, readonly backingFormat: 0xe2792aca, readonly featureNames: 0x6803f857, readonly bitmaps: 0x23852875 } =
  { end: 0, backingFormat: 0xe2792aca, featureNames: 0x6803f857, bitmaps: 0x23852875 }

/** Most bytes of the L1 table, of the refcount table, and of a file name; entries of the snapshot table and its bytes. QEMU's own limits. */
export const limit: { readonly l1: number, readonly refcountTable: number, readonly backingName: number, readonly snapshots: number, readonly snapshotTable: number } =
  { l1: 32 << 20, refcountTable: 8 << 20, backingName: 1023, snapshots: 65536, snapshotTable: 16 << 20 }

export const minClusterBits = 9
export const maxClusterBits = 21

/** An entry of a table: bits 9 to 55 are an offset in the file. */
const offsetHigh = 0x00ffffff
const offsetLow = 0xfffffe00
/** Bit 63, of the upper word: the cluster has one owner, so it may be written in place. */
const copiedBit = 0x80000000
/** Bit 62, of the upper word. */
const compressedBit = 0x40000000
/** Bit 0, of the lower word; version 3. */
const zeroBit = 1

/** What an entry of an L2 table says. */
export type Mapping =
  /** Neither here nor zero: the backing file has it, or nobody. */
  | { readonly kind: 'absent' }
  /** Reads as zeroes; `offset` is the cluster that is kept for it, or 0. */
  | { readonly kind: 'zero', readonly offset: number, readonly copied: boolean }
  | { readonly kind: 'data', readonly offset: number, readonly copied: boolean }
  | { readonly kind: 'compressed', readonly offset: number, readonly length: number }
  /** Not possible. */
  | { readonly kind: 'bad' }

const absent: Mapping = { kind: 'absent' }
const bad: Mapping = { kind: 'bad' }

/** A 64-bit number; those from 2^53 on come out inexact, but never below 2^53. */
export function getU64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
}

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32))
  view.setUint32(at + 4, value % 2 ** 32)
}

/** The offset in an entry of the L1 table; NaN when no file has it. */
export function tableOffset(view: DataView, at: number): number {
  const offset = (view.getUint32(at) & offsetHigh) * 2 ** 32 + ((view.getUint32(at + 4) & offsetLow) >>> 0)
  return Number.isSafeInteger(offset) ? offset : NaN
}

/** Whether bit 63 of an entry is set. */
export function isCopied(view: DataView, at: number): boolean {
  return (view.getUint32(at) & copiedBit) !== 0
}

/** Writes an entry of the L1 table, or one of the L2 table for a plain cluster. */
export function setEntry(view: DataView, at: number, offset: number, copied: boolean, zero: boolean = false): void {
  view.setUint32(at, (Math.floor(offset / 2 ** 32) | (copied && offset !== 0 ? copiedBit : 0)) >>> 0)
  view.setUint32(at + 4, (offset % 2 ** 32) + (zero ? zeroBit : 0))
}

/** Reads an entry of an L2 table. */
export function mappingAt(view: DataView, at: number, clusterBits: number, version: number): Mapping {
  const high = view.getUint32(at)
  const low = view.getUint32(at + 4)
  if (high === 0 && low === 0) return absent
  if ((high & compressedBit) !== 0) {
    // Bits 0 to x - 1 are the offset, x to 61 the number of further sectors that the data touches.
    const x = 62 - (clusterBits - 8)
    const offset = (high & ((1 << (x - 32)) - 1)) * 2 ** 32 + low
    if (!Number.isSafeInteger(offset)) return bad
    const sectors = ((high & 0x3fffffff) >>> (x - 32)) + 1
    return { kind: 'compressed', offset, length: sectors * 512 - offset % 512 }
  }
  const offset = (high & offsetHigh) * 2 ** 32 + ((low & offsetLow) >>> 0)
  if (!Number.isSafeInteger(offset) || offset % 2 ** clusterBits !== 0) return bad
  const copied = (high & copiedBit) !== 0
  if (version >= 3 && (low & zeroBit) !== 0) return { kind: 'zero', offset, copied }
  return offset === 0 ? absent : { kind: 'data', offset, copied }
}

/** Text of an image: ASCII and UTF-8, without a decoder of the host's; what is neither becomes U+FFFD. */
export function textOf(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at] ?? 0
    const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1
    let code = more === 0 ? first : more > 0 ? first & (0x3f >> more) : -1
    for (let index = 1; index <= more; index++) {
      const next = bytes[at + index] ?? 0
      code = code >= 0 && (next & 0xc0) === 0x80 ? (code << 6) | (next & 0x3f) : -1
    }
    const valid = code >= 0 && code <= 0x10ffff
    text += valid ? String.fromCodePoint(code) : '\ufffd'
    at += valid ? more + 1 : 1
  }
  return text
}

/** UTF-8 of a text. */
export function bytesOf(text: string): Uint8Array {
  const bytes: number[] = []
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (code < 0x80) bytes.push(code)
    else if (code < 0x800) bytes.push(0xc0 | code >> 6, 0x80 | code & 0x3f)
    else if (code < 0x10000) bytes.push(0xe0 | code >> 12, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f)
    else bytes.push(0xf0 | code >> 18, 0x80 | code >> 12 & 0x3f, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f)
  }
  return new Uint8Array(bytes)
}
