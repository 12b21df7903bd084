import { machinistError } from '@machinist/api'
import { PAGE_SIZE } from '../page-size.ts'
import { pageHash } from '../page-hash.ts'

/** A file of the host for pages, which nobody else reads or writes, and that is gone when the process is. Everything happens at once. */
export interface SwapFile {
  /** Pages that it may hold. */
  readonly pages: number
  /** Fills `into`, {@link PAGE_SIZE} bytes. @throws anything, when it cannot */
  read(page: number, into: Uint8Array): void
  /** @returns false when it cannot: the host has no room, say */
  write(page: number, from: Uint8Array): boolean
  close(): void
}

/** Places of a swap file, with a checksum of what is in each. */
export class SwapSpace {
  readonly #file: SwapFile
  readonly #free: number[] = []
  readonly #sums: number[] = []
  /** No more may be written: the host had no room, until something is freed. */
  #full = false
  readonly #words = new Uint32Array(PAGE_SIZE / 4)
  readonly #bytes: Uint8Array = new Uint8Array(this.#words.buffer)

  constructor(file: SwapFile) {
    this.#file = file
  }

  /** Pages in it. */
  get used(): number {
    return this.#sums.length - this.#free.length
  }

  /** Keeps a page; returns its place, or −1 when there is no room. */
  put(page: Uint8Array): number {
    if (this.#full || (this.#free.length === 0 && this.#sums.length >= this.#file.pages)) return -1
    const place = this.#free.pop() ?? this.#sums.length
    this.#bytes.set(page)
    // A host may not take what others can change meanwhile, or share.
    if (!this.#file.write(place, this.#bytes)) {
      this.#full = true
      if (place < this.#sums.length) this.#free.push(place)
      return -1
    }
    this.#sums[place] = pageHash(this.#words, 0)
    return place
  }

  /** @throws a typed error `'swap-damaged'`, or what the host throws */
  load(place: number, into: Uint8Array): void {
    this.#file.read(place, this.#bytes)
    if (pageHash(this.#words, 0) !== this.#sums[place]) {
      throw machinistError({ code: 'swap-damaged', part: 'memory', value: place, remedy: 'Check the disk of the host; the machine cannot go on.' }, 'a page that was swapped out is not what it was')
    }
    into.set(this.#bytes)
  }

  free(place: number): void {
    this.#free.push(place)
    this.#full = false
  }
}
