import { type Arena, PAGE_CODE, PAGE_SHARED, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { ENTRY_BITS, JUMPS_BYTES } from './jump-cache.ts'
import { dropFetches, dropTranslations, withoutHints } from './tlb-hints.ts'

/** Translated code: its place in the table, and what it took to let the interpreter come to it. */
export interface Region<Enter> {
  readonly slot: number
  readonly enters: readonly Enter[]
}

/** A page of pre-decoded ops. */
export interface CodePage<Enter = unknown> {
  readonly ops: number
  readonly frame: number
  /** Stores into the page since it was decoded. */
  writes: number
  /** Counts up when the page changes; what was translated from an older version is of no use. */
  version: number
  /** Translated code of the page. */
  readonly regions: Region<Enter>[]
  /** Translations asked for so far, and one asked for now. */
  requests: number
  pending: boolean
  /** Interpreted instructions that samples have found in the page, since it began to be watched; and the same by offset. */
  heat: number
  readonly heatAt: Map<number, number>
  /** Whether the page's ops are those that were executed since it was found warm. */
  warm: boolean
}

/** Whose TLBs may lead to pages of the cache: the machines of an arena. */
export type Banks = Iterable<{ readonly banks: readonly number[] }>

/** Linear memory, and what a code cache needs of whoever has it: an arena. */
export type CodeMemory = Pick<Arena, 'u8' | 'u32' | 'data' | 'markCode'>

/** What a code cache is made with. */
export interface CodeCacheOptions {
  readonly memory: CodeMemory
  /** Where `limit` pages of ops lie, of `pageBytes` each, all zero. Host pages of them that nothing was written to cost nothing. */
  readonly pool: number
  readonly pageBytes: number
  /** Most pages to keep. */
  readonly limit: number
  readonly clusters: Banks
  /** Address of the jumps from region to region that are remembered; see jump-cache.ts. */
  readonly jumps: number
}

/**
 * Pre-decoded pages, by frame, for all machines of an arena. Memory that code was decoded from is watched: its page-map entry says `PAGE_CODE`,
 * no write TLB holds it, and a store to it comes here. Nobody writes to a frame that several pages share: its
 * code is theirs together.
 *
 * What ops are, and how translated code is entered from among them, is that of an instruction set.
 */
export abstract class CodeCache<Enter = unknown> {
  protected readonly memory: CodeMemory
  readonly #pages = new Map<number, CodePage<Enter>>()
  readonly #byOps = new Map<number, CodePage<Enter>>()
  readonly #free: number[] = []
  readonly #options: CodeCacheOptions
  /** Ops pages of the pool that were ever taken. */
  #used = 0

  constructor(options: CodeCacheOptions) {
    this.#options = options
    this.memory = options.memory
  }

  /** Regions dropped because their code changed or was evicted, or because nothing enters them, and pages evicted. */
  dropped = 0
  evicted = 0

  /** Called with the slot of a function that nothing leads to any more. */
  onRelease: ((slot: number) => void) | null = null

  /** Writes what the ops of a page begin with, where all is zero. */
  protected abstract begin(ops: number, frame: number): void
  /** Whether translated code is entered at an offset of the page with these ops. */
  protected abstract isEntered(ops: number, offset: number): boolean
  /** Lets the interpreter enter translated code at an offset, unless other code is entered there: `target` is one of jump-cache.ts. Null when it cannot. */
  protected abstract enter(page: CodePage<Enter>, offset: number, target: number): Enter | null
  /** Takes that back. */
  protected abstract undo(page: CodePage<Enter>, enter: Enter): void
  /** Places at which translated code may come to be entered besides those where it is. */
  abstract get freeEnters(): number
  /** Offsets at which control has arrived in `page`. */
  abstract arrivals(page: CodePage<Enter>): number[]
  /** Whether the instruction at `offset` was ever reached. */
  abstract reached(page: CodePage<Enter>, offset: number): boolean
  /**
   * Forgets what was ever executed in `page`, and where control arrived: from now on its ops and marks tell of the
   * present. Not while it has translated code.
   */
  abstract startOver(page: CodePage<Enter>): void

  /** Pages held. */
  get size(): number {
    return this.#pages.size
  }

  /**
   * The ops of the page in `frame`; made if need be.
   *
   * @param entry - address of the page-map entry by which a machine with these TLB banks came to it
   */
  page(frame: number, entry: number, banks: readonly number[]): number {
    const { memory } = this
    const { pool, pageBytes, limit } = this.#options
    const flags = memory.u32[entry >>> 2] ?? 0
    if ((flags & (PAGE_CODE | PAGE_SHARED)) === 0) {
      dropTranslations(memory, banks, 'write', flags)
      memory.u32[entry >>> 2] = withoutHints(flags) | PAGE_CODE
    }
    const known = this.#pages.get(frame)
    if (known) return known.ops
    if (this.#pages.size >= limit) this.#evict()
    const free = this.#free.pop()
    const ops = free ?? pool + this.#used++ * pageBytes
    if (free !== undefined) memory.u8.fill(0, ops, ops + pageBytes)
    this.begin(ops, frame)
    const page: CodePage<Enter> = { ops, frame, writes: 0, version: 0, regions: [], requests: 0, pending: false, heat: 0, heatAt: new Map(), warm: false }
    this.#pages.set(frame, page)
    this.#byOps.set(ops, page)
    memory.markCode(frame)
    return ops
  }

  /** The page in a frame. */
  protected inFrame(frame: number): CodePage<Enter> | undefined {
    return this.#pages.get(frame)
  }

  /** The page with these ops. */
  byOps(ops: number): CodePage<Enter> | undefined {
    return this.#byOps.get(ops)
  }

  /** The page-map entry at this address is one of data: stores to the page are nothing that the cache has to see. */
  protected isData(entry: number): void {
    const { u32 } = this.memory
    u32[entry >>> 2] = (u32[entry >>> 2] ?? 0) & ~PAGE_CODE
  }

  /**
   * The page that the address with these halves is fetched from, by the TLB bank at `bank`, unless it is a place where
   * translated code is entered.
   */
  interpretedAt(low: number, high: number, bank: number): CodePage<Enter> | undefined {
    const { u32 } = this.memory
    const entry = (bank + tlbLayout.fetch + ((low >>> 8) & ((tlbLayout.fetchEntries - 1) << 4))) >>> 2
    if (u32[entry] !== (low | (PAGE_SIZE - 1)) >>> 0 || u32[entry + 1] !== high) return undefined
    const ops = u32[entry + 2] ?? 0
    if (ops === 0 || this.isEntered(ops, low & (PAGE_SIZE - 1))) return undefined
    return this.#byOps.get(ops)
  }

  /** The bytes of a page of code. */
  code(page: CodePage<Enter>): DataView {
    return new DataView(this.memory.data.buffer, page.frame, PAGE_SIZE)
  }

  /** Lets the interpreter enter translated code, the function in `slot`, at `entries`, unless other code is entered there. What can be entered nowhere is dropped. */
  install(page: CodePage<Enter>, slot: number, entries: readonly number[]): void {
    const enters: Enter[] = []
    entries.forEach((offset, number) => {
      const entered = this.enter(page, offset, slot * (1 << ENTRY_BITS) + number)
      if (entered !== null) enters.push(entered)
    })
    if (enters.length > 0) page.regions.push({ slot, enters })
    else this.#release(slot)
  }

  /** Drops the translated code of a page, which has changed. */
  protected dropRegions(page: CodePage<Enter>): void {
    page.version++
    if (page.regions.length > 0) this.#forgetJumps()
    for (const { slot, enters } of page.regions.splice(0)) {
      for (const entered of enters) this.undo(page, entered)
      this.#release(slot)
    }
  }

  #release(slot: number): void {
    this.dropped++
    this.onRelease?.(slot)
  }

  /** Drops all translated code, with the jumps from one to another. What had some may be translated again, as often as what had none. */
  dropTranslations(): void {
    for (const page of this.#pages.values()) {
      if (page.regions.length > 0) page.requests = 0
      this.dropRegions(page)
    }
    this.#forgetJumps()
  }

  /** Forgets a page. Entries of page maps may go on saying that it has code, until somebody writes to it. */
  protected drop(page: CodePage<Enter>): void {
    this.#remove(page)
    for (const { banks } of this.#options.clusters) dropFetches(this.memory, banks, page.ops)
  }

  /** Forgets all pages. */
  forgetAll(): void {
    for (const page of [...this.#pages.values()]) this.#remove(page)
    for (const { banks } of this.#options.clusters) dropFetches(this.memory, banks)
  }

  /** A frame is nobody's any more, and no fetch TLB leads to it. */
  freed(frame: number): void {
    const page = this.#pages.get(frame)
    if (page) this.#remove(page)
  }

  /**
   * A page of a machine with these banks has got another frame: code of the old one is not its own any more.
   *
   * @param from - the old frame
   */
  moved(from: number, banks: readonly number[]): void {
    const page = this.#pages.get(from)
    if (!page) return
    dropFetches(this.memory, banks, page.ops)
    this.#forgetJumps()
  }

  /** Forgets a page that no fetch TLB leads to. */
  #remove(page: CodePage<Enter>): void {
    this.dropRegions(page)
    this.#pages.delete(page.frame)
    this.#byOps.delete(page.ops)
    this.#free.push(page.ops)
  }

  /** Jumps lead past the fetch TLB. */
  #forgetJumps(): void {
    const { jumps } = this.#options
    this.memory.u8.fill(0, jumps, jumps + JUMPS_BYTES)
  }

  /**
   * Forgets the pages that were made first, a quarter of all: what is still in use is soon there again. Those without translated
   * code go before those with, which cost more to make.
   */
  #evict(): void {
    const { limit, clusters } = this.#options
    const oldest = [...this.#pages.values()]
    const plain = oldest.filter(({ regions }) => regions.length === 0)
    const pages = [...plain, ...oldest.filter(({ regions }) => regions.length > 0)].slice(0, Math.ceil(limit / 4))
    this.evicted += pages.length
    for (const page of pages) this.#remove(page)
    for (const { banks } of clusters) dropFetches(this.memory, banks)
  }

  /** Leaves the pool as it was. */
  clear(): void {
    const { pool, pageBytes } = this.#options
    this.memory.u8.fill(0, pool, pool + this.#used * pageBytes)
  }
}
