import { type MachinistError, machinistError } from '@machinist/api'
import type { SnapshotCodec } from '../codec.ts'
import type { SnapshotInput } from '../file.ts'

/** The first bytes, as those of a snapshot are, with other letters. */
const MAGIC: readonly number[] = [0x8d, 0x4d, 0x52, 0x45, 0x43, 0x0d, 0x0a, 0x1a]

const VERSION = 1

/** Bytes of the header; all numbers in the file are little-endian. */
export const HEADER_SIZE = 32

/** Fields of the header, by offset: bytes of what the machine begins with, which follows, and a CRC-32 of all before it. */
const at = { version: 8, baseSize: 16, crc: 28 } as const

/** Bytes before a part of the log. */
export const PART_HEADER = 16

/** Fields of these: CRC-32 of all that follows it, the part's number from 0, bytes stored, and bytes after decompression. */
export const partAt = { crc: 0, number: 4, stored: 8, length: 12 } as const

/** Most bytes of a part: what comes in one turn, and some. */
export const MOST_PART: number = 2 ** 28

export function recordingDamaged(name: string, problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'recording-damaged', part: name, value, remedy: 'Use another copy of the file, or record again.' }, problem)
}

export function encodeHeader(baseSize: number, codec: Pick<SnapshotCodec, 'crc32'>): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(at.version, VERSION, true)
  view.setBigUint64(at.baseSize, BigInt(baseSize), true)
  view.setUint32(at.crc, codec.crc32(bytes.subarray(0, at.crc)), true)
  return bytes
}

/**
 * How many bytes of a file are what the machine begins with.
 *
 * @throws typed errors `'recording-format'`, `'recording-version'`, `'recording-damaged'`
 */
export function decodeHeader({ name, size, read }: SnapshotInput, codec: Pick<SnapshotCodec, 'crc32'>): number {
  const bytes = size < HEADER_SIZE ? new Uint8Array() : read(0, HEADER_SIZE)
  if (bytes.length !== HEADER_SIZE || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw machinistError({ code: 'recording-format', part: name, remedy: 'Give a file that a recording was written to.' }, 'not a recording of a machine')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const version = view.getUint32(at.version, true)
  if (version !== VERSION) throw machinistError({ code: 'recording-version', part: name, value: version, remedy: 'Use the version of Machinist that wrote it.' }, `a recording of a version that this one cannot read; it reads ${VERSION}`)
  if (view.getUint32(at.crc, true) !== codec.crc32(bytes.subarray(0, at.crc))) throw recordingDamaged(name, 'its header is damaged')
  const baseSize = view.getBigUint64(at.baseSize, true)
  if (baseSize > BigInt(size - HEADER_SIZE)) throw recordingDamaged(name, 'what the machine begins with is not all there', Number(baseSize))
  return Number(baseSize)
}
