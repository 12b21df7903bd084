import { allZero } from '../mapped/fields.ts'
import type { Fields } from '../mapped/fields.ts'
import { successor } from '../mapped/identity.ts'
import type { ChangedPage, StagedFile } from '../mapped/staged.ts'
import { encodeEntry, pagesPerEntry, replay } from './log.ts'
import { checksumOf, headerPlaces } from './structures.ts'
import type { Region } from './structures.ts'

const fileWriteAt = 16
/** Where in the header the GUID stands that changes with every change of the content. */
export const dataWriteAt = 32
const logGuidAt = 48

/** The headers and the log of an image that is written. */
export class Session {
  readonly log: Region
  readonly #staged: StagedFile
  readonly #header: Fields
  #which: 0 | 1
  #begun: Promise<void> | null = null
  #slot = 0
  #sequence = 1

  constructor(staged: StagedFile, header: Fields, which: 0 | 1) {
    this.#staged = staged
    this.#header = header
    this.#which = which
    this.log = { offset: header.u64(72), length: header.u32(68) }
    staged.apply = (pages) => this.#apply(pages)
  }

  /** Whether the log has something to replay. */
  get dirty(): boolean {
    return !allZero(this.#header.bytes.subarray(logGuidAt, logGuidAt + 16))
  }

  /** Replays the log and empties it. */
  async replay(name: string): Promise<void> {
    await replay(this.#staged, this.log, this.#header.bytes.slice(logGuidAt, logGuidAt + 16), name)
    await this.#emptyLog()
  }

  /** To be called before anything is written: says in the header that the image is about to change (2.2.2.1). */
  begin(): Promise<void> {
    this.#begun ??= this.#update((header) => {
      const next = successor(header.bytes.subarray(fileWriteAt, fileWriteAt + 16))
      header.bytes.set(next, fileWriteAt)
      header.bytes.set(successor(next), dataWriteAt)
    }).catch((error: unknown) => {
      this.#begun = null
      throw error
    })
    return this.#begun
  }

  /** When all is flushed. */
  async end(): Promise<void> {
    if (this.dirty) await this.#emptyLog()
  }

  #emptyLog(): Promise<void> {
    return this.#update((header) => { header.bytes.fill(0, logGuidAt, logGuidAt + 16) })
  }

  /** Writes the header that does not count, so that from then on it does. */
  async #update(change: (header: Fields) => void): Promise<void> {
    const header = this.#header
    const before = header.bytes.slice()
    change(header)
    header.setU64(8, header.u64(8) + 1)
    header.setU32(4, checksumOf(header.bytes))
    try {
      await this.#staged.write(headerPlaces[1 - this.#which] ?? 0, header.bytes)
      await this.#staged.file.flush()
    } catch (error) {
      header.bytes.set(before)
      throw error
    }
    this.#which = this.#which === 0 ? 1 : 0
  }

  async #apply(pages: readonly ChangedPage[]): Promise<void> {
    await this.begin()
    const guid = this.dirty ? this.#header.bytes.slice(logGuidAt, logGuidAt + 16) : successor(this.#header.bytes.subarray(fileWriteAt, fileWriteAt + 16))
    for (let first = 0; first < pages.length; first += pagesPerEntry) {
      const batch = pages.slice(first, first + pagesPerEntry)
      // The pages of the batch before, in their places.
      if (first > 0) await this.#staged.file.flush()
      const start = this.#slot * this.log.length / 2
      await this.#staged.write(this.log.offset + start, encodeEntry(batch, start, this.#sequence, guid, this.#staged.end))
      await this.#staged.file.flush()
      this.#slot = 1 - this.#slot
      this.#sequence += 1
      if (!this.dirty) await this.#update((header) => { header.bytes.set(guid, logGuidAt) })
      await this.#staged.writePages(batch)
    }
  }
}
