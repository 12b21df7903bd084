import type { PageSource } from '@machinist/memory'
import type { ChunkReader } from './chunk-reader.ts'
import { MOST_PAGES } from './format.ts'

/** Closes files when nobody holds them any more. */
export class Holders {
  #count = 0
  #closed = false
  readonly #end: () => void

  constructor(end: () => void) {
    this.#end = end
  }

  hold(): void {
    this.#count++
  }

  release(): void {
    this.#count--
    if (this.#closed && this.#count === 0) this.#end()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#count === 0) this.#end()
  }
}

/** A file of a chain: its pages, and what tells it from other files. */
export interface PageFile {
  readonly reader: ChunkReader
  readonly key: string
}

/** The pages of a file and of those that it stands on, under one row of numbers. */
export class StoredPages implements PageSource {
  readonly #files: readonly PageFile[]
  readonly #holders: Holders
  /** For each number which file has it, and under which number there; null when there is one file alone. */
  readonly #places: { readonly files: Uint8Array; readonly numbers: Uint32Array } | null

  constructor(files: readonly PageFile[], places: { readonly files: Uint8Array; readonly numbers: Uint32Array } | null, holders: Holders) {
    this.#files = files
    this.#places = places
    this.#holders = holders
  }

  load(number: number, into: Uint8Array): void {
    const [file, page] = this.#place(number)
    this.#files[file]?.reader.load(page, into)
  }

  hold(): void {
    this.#holders.hold()
  }

  release(): void {
    this.#holders.release()
  }

  /** What a page has in common with all that are known, by whatever number and of whatever source, to be the same. */
  keyOf(number: number): string {
    const [file, page] = this.#place(number)
    return `${this.#files[file]?.key ?? ''} ${page}`
  }

  /** Numbers in the order of these are read quickly. Less than 2^27. */
  orderOf(number: number): number {
    const [file, page] = this.#place(number)
    return file * (MOST_PAGES + 1) + page
  }

  #place(number: number): [file: number, number: number] {
    const places = this.#places
    return places === null ? [0, number] : [places.files[number] ?? 0, places.numbers[number] ?? 0]
  }
}
