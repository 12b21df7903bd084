const pageSize = 65536

/** Bytes that read as zeroes until written, kept in pages made on first use, up to a limit. */
export class SparseBytes {
  readonly #pages = new Map<number, Uint8Array>()
  /** Numbers of pages that somebody else has, too: they are copied before they change. */
  readonly #shared = new Set<number>()
  readonly #limit: number

  /** @param limit - most bytes of pages to hold, rounded up to whole pages */
  constructor(limit: number) {
    this.#limit = Math.ceil(limit / pageSize) * pageSize
  }

  /** Bytes of host memory in use. */
  get held(): number {
    return this.#pages.size * pageSize
  }

  read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length;) {
      const at = (offset + done) % pageSize
      const count = Math.min(pageSize - at, into.length - done)
      const page = this.#pages.get((offset + done - at) / pageSize)
      if (page === undefined) into.fill(0, done, done + count)
      else into.set(page.subarray(at, at + count), done)
      done += count
    }
  }

  /** Returns false when the limit, or the host's memory, is exhausted; what came before is written. */
  write(offset: number, from: Uint8Array): boolean {
    for (let done = 0; done < from.length;) {
      const at = (offset + done) % pageSize
      const count = Math.min(pageSize - at, from.length - done)
      const page = this.#page((offset + done - at) / pageSize)
      if (page === null) return false
      page.set(from.subarray(done, done + count), at)
      done += count
    }
    return true
  }

  /** Makes a range read as zeroes, giving back the pages that lie in it whole. */
  zero(offset: number, length: number): void {
    const end = offset + length
    const first = Math.floor(offset / pageSize)
    const past = Math.ceil(end / pageSize)
    const clear = (number: number): void => {
      if (!this.#pages.has(number)) return
      const start = number * pageSize
      const from = Math.max(offset - start, 0)
      const to = Math.min(end - start, pageSize)
      if (from === 0 && to === pageSize) {
        this.#pages.delete(number)
        this.#shared.delete(number)
      } else {
        const page = this.#own(number)
        if (page === null) throw new RangeError('the host has no memory to give')
        page.fill(0, from, to)
      }
    }
    // The work is bounded by what is held, not by what the range spans.
    if (past - first > this.#pages.size) {
      for (const number of [...this.#pages.keys()]) if (number >= first && number < past) clear(number)
    } else {
      for (let number = first; number < past; number++) clear(number)
    }
  }

  /** All pages by offset, upwards, as they are now: they stay so, and nobody may change them. What is missing is zeroes. */
  share(): (readonly [offset: number, page: Uint8Array])[] {
    const pages = [...this.#pages].sort(([a], [b]) => a - b)
    for (const [number] of pages) this.#shared.add(number)
    return pages.map(([number, page]) => [number * pageSize, page])
  }

  /** As {@link SparseBytes.write}, with bytes that nobody changes any more: whole pages are taken as they are. */
  adopt(offset: number, from: Uint8Array): boolean {
    for (let done = 0; done < from.length;) {
      const at = (offset + done) % pageSize
      const count = Math.min(pageSize - at, from.length - done)
      const piece = from.subarray(done, done + count)
      if (count < pageSize) {
        if (!this.write(offset + done, piece)) return false
      } else {
        const number = (offset + done) / pageSize
        if (!this.#pages.has(number) && this.held + pageSize > this.#limit) return false
        this.#pages.set(number, piece)
        this.#shared.add(number)
      }
      done += count
    }
    return true
  }

  /** A page to change; null when there is no room for it. */
  #page(number: number): Uint8Array | null {
    if (this.#pages.has(number)) return this.#own(number)
    if (this.held + pageSize > this.#limit) return null
    return this.#make(number, () => new Uint8Array(pageSize))
  }

  /** A page that is there, to change; null when the host has no memory for a copy. */
  #own(number: number): Uint8Array | null {
    const found = this.#pages.get(number)
    if (found === undefined || !this.#shared.has(number)) return found ?? null
    const copy = this.#make(number, () => found.slice())
    if (copy !== null) this.#shared.delete(number)
    return copy
  }

  #make(number: number, make: () => Uint8Array): Uint8Array | null {
    try {
      const page = make()
      this.#pages.set(number, page)
      return page
    } catch {
      return null // the host has no memory to give
    }
  }
}
