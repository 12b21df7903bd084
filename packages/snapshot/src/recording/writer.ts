import { machinistError } from '@machinist/api'
import type { Machine, RecordSink } from '@machinist/machine'
import type { SnapshotCodec } from '../codec.ts'
import type { SnapshotOutput } from '../file.ts'
import type { OpenSnapshot } from '../reader.ts'
import { rewriteSnapshot, writeDefinition } from '../writer.ts'
import { encodeHeader, HEADER_SIZE, PART_HEADER, partAt } from './format.ts'

/** A new file, written at once. */
export interface RecordingOutput {
  /** Writes bytes at `offset`: one after the other, but for the header at 0. What it throws ends the machine. */
  write(offset: number, bytes: Uint8Array): void
  /** All is written. */
  end?(): void
}

/** What {@link RecordingWriter.begin} may be given besides what it needs. */
export interface RecordingOptions {
  /** The snapshot that the machine was restored from. */
  readonly restored?: OpenSnapshot
  /** Whether it took the place of the one that was saved (`RestoreOptions.exact`). */
  readonly exact?: boolean
  /** Plain data of whoever writes it, to be read again. */
  readonly about?: unknown
}

/** Writes a recording's file: what the machine begins with, then the log, as it comes. */
export class RecordingWriter {
  readonly #output: RecordingOutput
  readonly #codec: SnapshotCodec
  /** Behind what has been written; 0 before anything is. */
  #at = 0
  #number = 0
  #ended = false
  /** What came before the file had begun. */
  #early: Uint8Array[] = []
  /** For the machine: `record: { sink }`. */
  readonly sink: RecordSink = {
    write: (bytes) => { this.#write(bytes) },
    end: () => {
      this.#ended = true
      if (this.#at > 0) this.#output.end?.()
    },
  }

  /** @param codec - that of `'deflate'`, so that a browser can read the file */
  constructor(output: RecordingOutput, codec: SnapshotCodec) {
    this.#output = output
    this.#codec = codec
  }

  /**
   * Writes what the machine begins with. To be called when it is made, before it starts; what it does before this has resolved is kept until then. Boot images are
   * stored as they are.
   *
   * @throws as `writeSnapshot`; a typed error `'image-not-loaded'` for images that are not in the definition
   */
  async begin(machine: Machine, { restored, exact = false, about }: RecordingOptions = {}): Promise<void> {
    const { definition } = machine.resolved
    let end = HEADER_SIZE
    const base: SnapshotOutput = {
      write: (offset, bytes) => {
        end = Math.max(end, HEADER_SIZE + offset + bytes.length)
        this.#output.write(HEADER_SIZE + offset, bytes)
        return Promise.resolve()
      },
    }
    const note = { about: { about: about ?? null, exact } }
    if (restored !== undefined) await rewriteSnapshot({ ...restored, definition, image: (file) => restored.image(file) }, base, this.#codec, note)
    else await writeDefinition(definition, missing, base, { ...this.#codec, compress: (bytes) => bytes }, note)
    this.#output.write(0, encodeHeader(end - HEADER_SIZE, this.#codec))
    this.#at = end
    for (const bytes of this.#early.splice(0)) this.#write(bytes)
    if (this.#ended) this.#output.end?.()
  }

  #write(bytes: Uint8Array): void {
    if (this.#at === 0) {
      this.#early.push(bytes)
      return
    }
    const packed = this.#codec.compress(bytes)
    const stored = packed.length < bytes.length ? packed : bytes
    const part = new Uint8Array(PART_HEADER + stored.length)
    const view = new DataView(part.buffer)
    view.setUint32(partAt.number, this.#number++, true)
    view.setUint32(partAt.stored, stored.length, true)
    view.setUint32(partAt.length, bytes.length, true)
    part.set(stored, PART_HEADER)
    view.setUint32(partAt.crc, this.#codec.crc32(part.subarray(partAt.number)), true)
    this.#output.write(this.#at, part)
    this.#at += part.length
  }
}

function missing(file: string): never {
  throw machinistError({ code: 'image-not-loaded', part: 'recording', value: file, remedy: 'Read the files of a definition before making the machine.' }, 'the file has not been read')
}
