import type { ReplaySource } from '@machinist/machine'
import type { SnapshotCodec } from '../codec.ts'
import type { SnapshotInput } from '../file.ts'
import { unpack } from '../format.ts'
import { isObject } from '../opened-file.ts'
import { openSnapshot, type OpenSnapshot } from '../reader.ts'
import { decodeHeader, HEADER_SIZE, MOST_PART, PART_HEADER, partAt, recordingDamaged } from './format.ts'

/** A recording's file, open. */
export interface OpenRecording {
  /** How errors name it. */
  readonly name: string
  /** What the machine begins with: its definition and boot images; of one that was restored, all that a snapshot has. It is checked when a machine is made of it. */
  readonly base: OpenSnapshot
  /** The machine was restored from a snapshot. */
  readonly restored: boolean
  /** It took the place of the one that was saved. */
  readonly exact: boolean
  /** What whoever wrote it added: plain data. */
  readonly about: unknown
  /** The log. */
  readonly source: ReplaySource
  /** Parts of it. */
  readonly parts: number
  /** Bytes of the log as it is stored. */
  readonly logSize: number
  /** It is not to be used any more; machines that were restored from it go on, but not their replay. */
  close(): void
}

/** A part of the log: its place in the file, bytes stored, and bytes. */
interface Part {
  readonly at: number
  readonly stored: number
  readonly length: number
}

/**
 * Opens a recording's file. Header and definition are read and checked now, parts of the log when their turn comes. A file that was cut off, because its
 * writer was killed, is read up to the last part that is whole.
 *
 * @param codec - `portableCodec` where there is no other
 * @throws typed errors: `'recording-format'` for a file of another kind, `'recording-version'`, `'recording-damaged'`; those of `openSnapshot` for what the machine begins with; and what
 * the input throws; `input` is then still to be closed
 */
export function openRecording(input: SnapshotInput, codec: SnapshotCodec): OpenRecording {
  const { name } = input
  const baseSize = decodeHeader(input, codec)
  const base = openSnapshot({
    name, size: baseSize,
    read: (offset, length) => input.read(HEADER_SIZE + offset, length),
    ...(input.close !== undefined && { close: () => { input.close?.() } }),
  }, codec)
  const note = isObject(base.about) ? base.about : {}
  const parts = partsOf(input, HEADER_SIZE + baseSize)
  // Without a disk that was flushed, what was written last may have its length, and nothing else.
  const last = parts.at(-1)
  if (last !== undefined && !isWhole(input, codec, last, parts.length - 1)) parts.pop()
  return {
    name, base,
    restored: base.state !== null && base.state !== undefined,
    exact: note['exact'] === true,
    about: note['about'],
    parts: parts.length,
    logSize: parts.reduce((sum, { stored }) => sum + PART_HEADER + stored, 0),
    source: {
      part(index) {
        const part = parts[index]
        if (part === undefined) return null
        if (!isWhole(input, codec, part, index)) throw recordingDamaged(name, 'a part of its log is damaged', index)
        return unpack(name, codec, 'deflate', input.read(part.at + PART_HEADER, part.stored), part.length, `part ${index} of its log`)
      },
    },
    close: () => { base.close() },
  }
}

/** The parts that are there, as far as their headers say so. */
function partsOf({ name, size, read }: SnapshotInput, from: number): Part[] {
  const parts: Part[] = []
  for (let at = from; at + PART_HEADER <= size;) {
    const header = read(at, PART_HEADER)
    const view = new DataView(header.buffer, header.byteOffset, header.length)
    const [stored, length] = [view.getUint32(partAt.stored, true), view.getUint32(partAt.length, true)]
    if (at + PART_HEADER + stored > size) break
    if (view.getUint32(partAt.number, true) !== parts.length || stored > length || length > MOST_PART || length === 0) throw recordingDamaged(name, 'its log makes no sense', parts.length)
    parts.push({ at, stored, length })
    at += PART_HEADER + stored
  }
  return parts
}

function isWhole(input: SnapshotInput, codec: SnapshotCodec, { at, stored }: Part, number: number): boolean {
  const bytes = input.read(at, PART_HEADER + stored)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return bytes.length === PART_HEADER + stored && view.getUint32(partAt.number, true) === number && codec.crc32(bytes.subarray(partAt.number)) === view.getUint32(partAt.crc, true)
}
