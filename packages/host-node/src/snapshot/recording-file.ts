import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { crc32, deflateRawSync } from 'node:zlib'
import type { Machine, RecordSink } from '@machinist/machine'
import { type OpenRecording, openRecording, type RecordingOptions, RecordingWriter, type SnapshotCodec } from '@machinist/snapshot'
import { fileError } from '../system/errors.ts'
import { openInput, snapshotCodec } from './snapshot-file.ts'

/** Of zlib: the fastest. */
const LEVEL = 1

/** Deflate, which every host can read. */
const recordingCodec: SnapshotCodec = { ...snapshotCodec, compression: 'deflate', compress: (bytes) => deflateRawSync(bytes, { level: LEVEL }), crc32: (bytes) => crc32(bytes) }

/** A file that a machine is recorded into. */
export interface RecordingFile {
  /** For the machine: `record: { sink }`. */
  readonly sink: RecordSink
  /** Bytes written. */
  readonly size: number
  /**
   * Writes what the machine begins with. To be called when it is made, before it starts.
   *
   * @throws typed errors `'file-…'`, and as `RecordingWriter.begin`
   */
  begin(machine: Machine, options?: RecordingOptions): Promise<void>
  /** Closes the file, if the end of the recording has not. */
  close(): void
}

/**
 * Makes a file that a machine is recorded into, in place of what has its name. What is recorded is in it within a fraction of a second, so that of a process that is killed
 * almost all can be replayed.
 *
 * @throws typed errors `'file-…'`
 */
export function recordIntoFile(path: string): RecordingFile {
  const guarded = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw fileError(error, path, path)
    }
  }
  const fd = guarded(() => openSync(path, 'w', 0o600))
  let open = true
  let size = 0
  const close = (): void => {
    if (open) closeSync(fd)
    open = false
  }
  const writer = new RecordingWriter({
    write: (offset, bytes) => {
      guarded(() => { for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done) })
      size = Math.max(size, offset + bytes.length)
    },
    end: () => {
      guarded(() => { fsyncSync(fd) })
      close()
    },
  }, recordingCodec)
  return {
    sink: writer.sink,
    get size() { return size },
    begin: (machine, options) => writer.begin(machine, options),
    close,
  }
}

/**
 * Opens a recording's file, for `replayMachine`. Close it when it has been replayed.
 *
 * @throws typed errors `'file-…'`, and as `openRecording`
 */
export function openRecordingFile(path: string): OpenRecording {
  const input = openInput(path, path)
  try {
    return openRecording(input, snapshotCodec)
  } catch (error) {
    input.close?.()
    throw error
  }
}
