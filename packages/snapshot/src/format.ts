import { type MachinistError, machinistError } from '@machinist/api'
import { PAGE_SIZE } from '@machinist/memory'
import type { SnapshotCodec, SnapshotCompression } from './codec.ts'
import type { SnapshotInput } from './file.ts'

/** The first bytes: one that is no ASCII, letters, and line ends that careless copying changes. */
const MAGIC: readonly number[] = [0x8d, 0x4d, 0x53, 0x4e, 0x50, 0x0d, 0x0a, 0x1a]

/** Versions of the format: that of a file that holds all of its pages, that of one with a parent, and that of one whose state has byte strings of its parent's. Readers refuse others. */
const VERSIONS = { alone: 1, child: 2, sharing: 3 } as const

const KINDS = Object.keys(VERSIONS) as (keyof typeof VERSIONS)[]

/** In the index of a region: the page is what the parent has at its place. */
export const AS_PARENT = 0xffff_ffff

/** Most files that a page is looked for in: a file, its parent, and so on. */
export const MOST_FILES = 64

/** Bytes of the header; all numbers in the file are little-endian. */
export const HEADER_SIZE = 64

/** Fields of the header, by offset. */
const at = { version: 8, compression: 12, documentOffset: 16, documentStored: 24, documentLength: 28, documentCrc: 32, fileSize: 40, crc: 60 } as const

/** The numbers of compressions. */
const COMPRESSIONS: readonly SnapshotCompression[] = ['brotli', 'deflate']

/** Pages in a chunk, which is compressed as a whole. */
export const CHUNK_PAGES = 16

/** Bytes of a record of the table of chunks: stored length, CRC-32. */
export const CHUNK_RECORD = 8

/** Most bytes of the document. */
export const MOST_DOCUMENT: number = 64 * 2 ** 20

/** Most bytes of one byte string, and of all in the document together. */
export const MOST_BYTES: number = 2 ** 30

/** Most pages of a file: the numbers that a page map can hold. */
export const MOST_PAGES: number = 2 ** 20 - 1

/** Where bytes are in the file: offset, bytes stored, bytes, CRC-32 of what is stored. Stored as they are when both lengths are equal. */
export type Piece = readonly [offset: number, stored: number, length: number, crc: number]

/** What the document says of memory. */
export interface MemoryDocument {
  /** Pages stored. */
  readonly pages: number
  /** Where the first chunk begins; they follow one another. */
  readonly offset: number
  readonly chunks: Piece
  readonly regions: readonly { readonly name: string; readonly base: number; readonly size: number; readonly index: Piece }[]
}

/** What tells a file from others, so that a child finds the parent that it was written for: its length, and the CRC of its header, which covers all else. */
export interface SnapshotIdentity {
  /** Bytes of the file. */
  readonly size: number
  /** CRC-32 of the header. */
  readonly crc: number
}

/** What a header says. */
export interface Header {
  readonly compression: SnapshotCompression
  readonly document: Piece
  /** `'child'`: the document names a parent. `'sharing'`: its byte strings are the parent's in part. */
  readonly kind: keyof typeof VERSIONS
}

/** An error for a file that is not what it should be. */
export function damaged(name: string, problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'snapshot-damaged', part: name, value, remedy: 'Use another copy of the file, or save the machine again.' }, problem)
}

/** The header of a file of `size` bytes. */
export function encodeHeader({ compression, kind, document: [offset, stored, length, crc] }: Header, size: number, codec: SnapshotCodec): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(at.version, VERSIONS[kind], true)
  view.setUint32(at.compression, COMPRESSIONS.indexOf(compression) + 1, true)
  view.setBigUint64(at.documentOffset, BigInt(offset), true)
  view.setUint32(at.documentStored, stored, true)
  view.setUint32(at.documentLength, length, true)
  view.setUint32(at.documentCrc, crc, true)
  view.setBigUint64(at.fileSize, BigInt(size), true)
  view.setUint32(at.crc, codec.crc32(bytes.subarray(0, at.crc)), true)
  return bytes
}

/** @throws typed errors `'snapshot-format'`, `'snapshot-version'`, `'snapshot-damaged'` */
export function decodeHeader({ name, size, read }: SnapshotInput, codec: SnapshotCodec): Header & { readonly identity: SnapshotIdentity } {
  const bytes = size < HEADER_SIZE ? new Uint8Array() : read(0, HEADER_SIZE)
  if (bytes.length !== HEADER_SIZE || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw machinistError({ code: 'snapshot-format', part: name, remedy: 'Give a file that save wrote to its end.' }, 'not a snapshot of a machine')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const version = view.getUint32(at.version, true)
  const kind = KINDS.find((each) => VERSIONS[each] === version)
  if (kind === undefined) {
    throw machinistError({ code: 'snapshot-version', part: name, value: version, remedy: 'Use the version of Machinist that wrote it.' }, `a snapshot of a version that this one cannot read; it reads 1 to ${VERSIONS.sharing}`)
  }
  const crc = view.getUint32(at.crc, true)
  if (crc !== codec.crc32(bytes.subarray(0, at.crc))) throw damaged(name, 'its header is damaged')
  if (view.getBigUint64(at.fileSize, true) !== BigInt(size)) throw damaged(name, 'it is not as long as when it was written', size)
  const compression = COMPRESSIONS[view.getUint32(at.compression, true) - 1]
  if (compression === undefined) throw damaged(name, 'its compression is not known')
  return {
    compression, kind, identity: { size, crc },
    document: [Number(view.getBigUint64(at.documentOffset, true)), view.getUint32(at.documentStored, true), view.getUint32(at.documentLength, true), view.getUint32(at.documentCrc, true)],
  }
}

/**
 * The bytes of a piece, checked.
 *
 * @param most - more are refused before anything is made
 * @throws a typed error `'snapshot-damaged'`
 */
export function readPiece(input: SnapshotInput, codec: SnapshotCodec, compression: SnapshotCompression, piece: unknown, most: number, what: string): Uint8Array {
  const { name, size } = input
  if (!Array.isArray(piece) || piece.length !== 4 || !piece.every((each) => Number.isSafeInteger(each) && each >= 0)) throw damaged(name, `${what} has no place in it`)
  const [offset, stored, length, crc] = piece as unknown as Piece
  if (length > most || stored > length || offset + stored > size) throw damaged(name, `${what} lies outside of what it can be`, length)
  const bytes = input.read(offset, stored)
  if (bytes.length !== stored || codec.crc32(bytes) !== crc) throw damaged(name, `${what} is damaged`)
  return unpack(name, codec, compression, bytes, length, what)
}

/** Decompresses what was stored, unless it was stored as it is. */
export function unpack(name: string, codec: SnapshotCodec, compression: SnapshotCompression, bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length === length) return bytes
  let unpacked: Uint8Array
  try {
    unpacked = codec.decompress(compression, bytes, length)
  } catch (error) {
    throw damaged(name, `${what} does not decompress`, error instanceof Error ? error.message : undefined)
  }
  if (unpacked.length !== length) throw damaged(name, `${what} has another length`, unpacked.length)
  return unpacked
}

/** Bytes of `pages` pages. */
export function bytesOf(pages: number): number {
  return pages * PAGE_SIZE
}
