import { machinistError } from '@machinist/api'
import type { SnapshotInput } from '@machinist/snapshot'

/** Reads a blob at once (File API, 6.5). */
interface WaitingReader {
  readAsArrayBuffer(blob: Blob): ArrayBuffer
}

/** A file that the user picked or dropped, or any other blob, which is read at once. For workers. Reads throw typed errors `'snapshot-load'` when the file is gone or another. */
export function blobInput(name: string, blob: Blob): SnapshotInput {
  const { FileReaderSync } = globalThis as unknown as { readonly FileReaderSync: new () => WaitingReader }
  const reader = new FileReaderSync()
  return {
    name,
    size: blob.size,
    read(offset, length) {
      try {
        return new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset, offset + length)))
      } catch (error) {
        throw machinistError({ code: 'snapshot-load', part: name, value: error instanceof Error ? error.name : String(error), remedy: 'Pick the file again.' }, 'the file cannot be read any more')
      }
    },
  }
}
