import { writeZeroes } from '../raw.ts'
import type { RandomAccessFile } from '../file.ts'
import { imageDamaged } from '../format.ts'
import { Fields } from './fields.ts'

/** The code of an error that says that the file ends too early. */
const cutOff = 'cut-off'

/** Opens, checks or resizes an image, and says in a typed error when the file is too short for what it says. */
export async function opening<T>(format: string, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === cutOff) throw imageDamaged(name, format, 'it is cut off')
    throw error
  }
}

interface Page {
  readonly offset: number
  readonly fields: Fields
  dirty: boolean
  /** Flushes that are writing it: until they are done the file may hold less than it. */
  pins: number
}

/** A page as it is to be written. */
export interface ChangedPage {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Where a field is. */
export interface Field {
  readonly fields: Fields
  readonly at: number
}

/** Pages that are kept in memory, clean ones by age; and the number of changed ones from which a flush is due. */
const most = 8192
const mostChanged = 4096

/**
 * The file of an image, whose tables are changed in memory and written by `flush` in this order:
 *
 * 1. content is written as it comes, before anything names it;
 * 2. `before` writes what must be there before the tables are: counters, footers;
 * 3. the file is flushed;
 * 4. the changed pages of tables, as they were when the flush began, are written;
 * 5. the file is flushed again.
 *
 * So after a crash at any moment a table never names content that did not arrive, and what was flushed is there.
 */
export class StagedFile {
  readonly file: RandomAccessFile
  /** Bytes of the file, as far as it was written. */
  end: number
  /** Step 2. */
  before: (() => Promise<void>) | null = null
  /** Step 4 when it is not plain writing. */
  apply: ((pages: readonly ChangedPage[]) => Promise<void>) | null = null
  readonly pageSize: number
  readonly #little: boolean
  readonly #pages = new Map<number, Page>()
  readonly #loading = new Map<number, Promise<Page>>()
  #changed = new Set<Page>()
  #flushing: Promise<void> = Promise.resolve()

  constructor(file: RandomAccessFile, pageSize: number, little: boolean) {
    this.file = file
    this.end = file.size
    this.pageSize = pageSize
    this.#little = little
  }

  /** Fills `into`; rejects when the file ends before. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    if (into.length > 0 && await this.file.read(offset, into) < into.length) throw Object.assign(new Error('the file is shorter than its tables say'), { code: cutOff })
  }

  /** A structure of the file. */
  async fields(offset: number, length: number): Promise<Fields> {
    const bytes = new Uint8Array(length)
    await this.read(offset, bytes)
    return new Fields(bytes, this.#little)
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    if (from.length === 0) return
    await this.file.write(offset, from)
    this.end = Math.max(this.end, offset + from.length)
  }

  /** Makes a range read as zeroes. */
  async zero(offset: number, length: number): Promise<void> {
    if (length <= 0) return
    if (this.file.discard !== undefined && offset + length <= this.end) return this.file.discard(offset, length)
    await writeZeroes(this.file, offset, length)
    this.end = Math.max(this.end, offset + length)
  }

  /** A field of a table, to be read at once: pages may be dropped when somebody else has had a turn. */
  async field(offset: number): Promise<Field> {
    const page = await this.#page(offset - offset % this.pageSize)
    return { fields: page.fields, at: offset % this.pageSize }
  }

  /** Changes a field of a table in memory; the next flush writes it. */
  async change(offset: number, edit: (field: Field) => void): Promise<void> {
    const start = offset - offset % this.pageSize
    let page = await this.#page(start)
    // It may have been dropped since it was loaded.
    while (this.#pages.get(start) !== page) page = await this.#page(start)
    edit({ fields: page.fields, at: offset % this.pageSize })
    page.dirty = true
    this.#changed.add(page)
    if (this.#changed.size >= mostChanged) await this.flush()
  }

  /** The five steps. Rejects when one fails; then what was to be written is still due. */
  flush(): Promise<void> {
    const done = this.#flushing.then(() => this.#flush())
    this.#flushing = done.catch(() => {})
    return done
  }

  async #flush(): Promise<void> {
    const pages = [...this.#changed].sort((a, b) => a.offset - b.offset)
    this.#changed = new Set()
    const copies = pages.map((page) => ({ offset: page.offset, bytes: page.fields.bytes.slice() }))
    for (const page of pages) {
      page.dirty = false
      page.pins += 1
    }
    try {
      await this.before?.()
      await this.file.flush()
      if (pages.length === 0) return
      if (this.apply !== null) await this.apply(copies)
      else await this.writePages(copies)
      await this.file.flush()
    } catch (error) {
      for (const page of pages) {
        page.dirty = true
        this.#changed.add(page)
      }
      throw error
    } finally {
      for (const page of pages) page.pins -= 1
    }
  }

  /** Writes pages to their places, neighbours together. */
  async writePages(pages: readonly ChangedPage[]): Promise<void> {
    for (let first = 0; first < pages.length;) {
      let past = first + 1
      while (past < pages.length && past - first < 256 && pages[past]?.offset === (pages[past - 1]?.offset ?? 0) + this.pageSize) past += 1
      const run = new Uint8Array((past - first) * this.pageSize)
      pages.slice(first, past).forEach(({ bytes }, index) => { run.set(bytes, index * this.pageSize) })
      await this.write(pages[first]?.offset ?? 0, run)
      first = past
    }
  }

  /** Forgets the pages, after somebody wrote past them. When nothing is due and nobody else runs. */
  forget(): void {
    this.#pages.clear()
  }

  /** Flushes what is due, without a promise to anybody, and closes. */
  async close(writable: boolean): Promise<void> {
    try {
      if (writable) await this.flush()
    } finally {
      await this.file.close()
    }
  }

  #page(offset: number): Promise<Page> | Page {
    const found = this.#pages.get(offset)
    if (found !== undefined) return found
    const loading = this.#loading.get(offset)
    if (loading !== undefined) return loading
    const load = this.#load(offset).finally(() => { this.#loading.delete(offset) })
    this.#loading.set(offset, load)
    return load
  }

  async #load(offset: number): Promise<Page> {
    const fields = await this.fields(offset, this.pageSize)
    if (this.#pages.size >= most) this.#drop()
    const page = { offset, fields, dirty: false, pins: 0 }
    this.#pages.set(offset, page)
    return page
  }

  /** Drops half of the clean pages, the oldest first. */
  #drop(): void {
    let left = most / 2
    for (const [offset, page] of this.#pages) {
      if (left === 0) return
      if (page.dirty || page.pins > 0) continue
      this.#pages.delete(offset)
      left -= 1
    }
  }
}
