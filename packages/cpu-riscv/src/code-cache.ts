import { dropFetches, dropTranslations, withoutHints } from '@machinist/cpu-core'
import { type Arena, PAGE_CODE, PAGE_SHARED, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { ENTER_FIELD, ENTRY_BITS, handlerOf, JUMP_SIZE, JUMPS, MAX_ENTERS, OP_SIZE, OPS_BYTES, PAGE_TAIL, Pseudo } from './handlers.ts'

/** One op for each halfword, and the one behind the last, which leads to the next page. */
const PAGE_OPS_BYTES: number = OPS_BYTES + PAGE_TAIL.marks + PAGE_SIZE / 2

/** Translated code: its place in the table, and the numbers of its `enter` records with the ops they are at. */
interface Region {
  readonly slot: number
  readonly enters: readonly { readonly record: number; readonly op: number }[]
}

/** A page of pre-decoded ops. */
export interface CodePage {
  readonly ops: number
  readonly frame: number
  /** Stores into the page since it was decoded. */
  writes: number
  /** Counts up when the page changes; what was translated from an older version is of no use. */
  version: number
  /** Translated code of the page. */
  readonly regions: Region[]
  /** Translations asked for so far, and one asked for now. */
  requests: number
  pending: boolean
  /** Interpreted instructions that samples have found in the page, since it began to be watched; and the same by offset. */
  heat: number
  readonly heatAt: Map<number, number>
  /** Whether the page's ops are those that were executed since it was found warm. */
  warm: boolean
}

/** After so many stores a page is taken for data that was once code. */
const WRITES_UNTIL_DATA = 64

/** Whose TLBs may lead to pages of the cache: the machines of an arena. */
export type Banks = Iterable<{ readonly banks: readonly number[] }>

/**
 * Pre-decoded pages, by frame, for all machines of an arena. Memory that code was decoded from is watched: its page-map entry says `PAGE_CODE`,
 * no write TLB holds it, and a store to it empties the ops of the bytes it changes. Nobody writes to a frame that several pages share: its
 * code is theirs together.
 */
export class CodeCache {
  readonly #arena: Arena
  readonly #pages = new Map<number, CodePage>()
  readonly #byOps = new Map<number, CodePage>()
  readonly #free: number[] = []
  readonly #limit: number
  readonly #pool: number
  /** Ops pages of the pool that were ever taken. */
  #used = 0
  readonly #clusters: Banks
  readonly #deaf: () => void

  /**
   * @param places - of what generated code names
   * @param limit - most pages to keep
   */
  constructor(arena: Arena, places: { readonly enters: number; readonly jumps: number }, clusters: Banks, limit: number) {
    this.#arena = arena
    this.#clusters = clusters
    this.#limit = limit
    // Host pages of the pool that nothing was written to cost nothing.
    this.#pool = arena.allocate(limit * PAGE_OPS_BYTES)
    this.enters = places.enters
    this.jumps = places.jumps
    this.#deaf = arena.onCodeFreed((frame) => {
      const page = this.#pages.get(frame)
      if (page) this.#remove(page)
    })
  }

  /** Regions dropped because their code changed or was evicted, and pages evicted. */
  dropped = 0
  evicted = 0

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
    const arena = this.#arena
    const flags = arena.u32[entry >>> 2] ?? 0
    if ((flags & (PAGE_CODE | PAGE_SHARED)) === 0) {
      dropTranslations(arena, banks, 'write', flags)
      arena.u32[entry >>> 2] = withoutHints(flags) | PAGE_CODE
    }
    const known = this.#pages.get(frame)
    if (known) return known.ops
    if (this.#pages.size >= this.#limit) this.#evict()
    const free = this.#free.pop()
    const ops = free ?? this.#pool + this.#used++ * PAGE_OPS_BYTES
    if (free !== undefined) arena.u8.fill(0, ops, ops + PAGE_OPS_BYTES)
    arena.data.setUint16(ops + OPS_BYTES, handlerOf(Pseudo.pageEnd, 4), true)
    arena.data.setUint32(ops + OPS_BYTES + PAGE_TAIL.frame, frame, true)
    const page: CodePage = { ops, frame, writes: 0, version: 0, regions: [], requests: 0, pending: false, heat: 0, heatAt: new Map(), warm: false }
    this.#pages.set(frame, page)
    this.#byOps.set(ops, page)
    arena.markCode(frame)
    return ops
  }

  /**
   * Bytes of a code page are about to change: `length` of them at arena address `host`, in the page whose map entry
   * is at `entry`.
   */
  written(host: number, entry: number, length: number): void {
    const frame = (host & -PAGE_SIZE) >>> 0
    const page = this.#pages.get(frame)
    if (!page) {
      this.#clearFlag(entry)
      return
    }
    if (++page.writes > WRITES_UNTIL_DATA) {
      this.#drop(page)
      this.#clearFlag(entry)
      return
    }
    this.#dropRegions(page)
    // Other code has a claim of its own to be translated.
    page.requests = 0
    const { data } = this.#arena
    const offset = host - frame
    // An instruction may begin two bytes before the first byte written.
    const first = Math.max(0, (offset - 2) & ~1)
    for (let at = first; at < Math.min(PAGE_SIZE, offset + length); at += 2) {
      data.setBigUint64(page.ops + (at / 2) * OP_SIZE, 0n, true)
    }
  }

  #clearFlag(entry: number): void {
    const { u32 } = this.#arena
    u32[entry >>> 2] = (u32[entry >>> 2] ?? 0) & ~PAGE_CODE
  }

  /** The page with these ops, for the translator. */
  byOps(ops: number): CodePage | undefined {
    return this.#byOps.get(ops)
  }

  /** Offsets at which control has arrived in `page`. */
  arrivals(page: CodePage): number[] {
    const { u8 } = this.#arena
    const marks = page.ops + OPS_BYTES + PAGE_TAIL.marks
    const offsets: number[] = []
    for (let i = 0; i < PAGE_SIZE / 2; i++) if (u8[marks + i] !== 0) offsets.push(2 * i)
    return offsets
  }

  /**
   * The page that the address with these halves is fetched from, by the TLB bank at `bank`, unless it is a place where
   * translated code is entered.
   */
  interpretedAt(low: number, high: number, bank: number): CodePage | undefined {
    const { data, u32 } = this.#arena
    const entry = (bank + tlbLayout.fetch + ((low >>> 8) & ((tlbLayout.fetchEntries - 1) << 4))) >>> 2
    if (u32[entry] !== (low | (PAGE_SIZE - 1)) >>> 0 || u32[entry + 1] !== high) return undefined
    const ops = u32[entry + 2] ?? 0
    if (data.getUint16(ops + ((low & 0xffe) / 2) * OP_SIZE, true) === handlerOf(Pseudo.enter, 4)) return undefined
    return this.#byOps.get(ops)
  }

  /**
   * Forgets what was ever executed in `page`, and where control arrived: from now on its ops and marks tell of the
   * present. Not while it has translated code.
   */
  startOver(page: CodePage): void {
    this.#arena.u8.fill(0, page.ops, page.ops + OPS_BYTES)
    const marks = page.ops + OPS_BYTES + PAGE_TAIL.marks
    this.#arena.u8.fill(0, marks, marks + PAGE_SIZE / 2)
  }

  /** Whether the instruction at `offset` was ever reached. */
  reached(page: CodePage, offset: number): boolean {
    return this.#arena.data.getUint16(page.ops + (offset / 2) * OP_SIZE, true) !== 0
  }

  /** The bytes of a page of code. */
  code(page: CodePage): DataView {
    return new DataView(this.#arena.data.buffer, page.frame, PAGE_SIZE)
  }

  /** Lets the interpreter enter translated code, the function in `slot`, at `entries`, unless other code is entered there. */
  install(page: CodePage, slot: number, entries: readonly number[]): void {
    const { data } = this.#arena
    const enters: { record: number; op: number }[] = []
    const enter = handlerOf(Pseudo.enter, 4)
    entries.forEach((offset, number) => {
      const op = page.ops + (offset / 2) * OP_SIZE
      if (data.getUint16(op, true) === 0) this.decode?.(page.ops, op)
      if (data.getUint16(op, true) === enter) return
      const record = this.#freeRecords.pop() ?? (this.#usedRecords < MAX_ENTERS ? this.#usedRecords++ : -1)
      if (record < 0) return
      data.setBigUint64(this.enters + record * OP_SIZE, data.getBigUint64(op, true), true)
      data.setUint16(op, enter, true)
      data.setUint16(op + ENTER_FIELD.record, record, true)
      data.setUint32(op + ENTER_FIELD.target, slot * (1 << ENTRY_BITS) + number, true)
      enters.push({ record, op })
    })
    page.regions.push({ slot, enters })
  }

  /** Decodes in a page from an op on; see `HartExports`. */
  decode: ((ops: number, op: number) => void) | null = null
  /** Called with the slot of a function that nothing leads to any more. */
  onRelease: ((slot: number) => void) | null = null
  /** Address of the ops that `enter` ops have replaced. */
  readonly enters: number
  /** Address of the jumps from region to region that are remembered. */
  readonly jumps: number
  readonly #freeRecords: number[] = []
  #usedRecords = 0

  #dropRegions(page: CodePage): void {
    page.version++
    if (page.regions.length > 0) this.#forgetJumps()
    const { data } = this.#arena
    for (const { slot, enters } of page.regions.splice(0)) {
      for (const { record, op } of enters) {
        data.setBigUint64(op, data.getBigUint64(this.enters + record * OP_SIZE, true), true)
        this.#freeRecords.push(record)
      }
      this.dropped++
      this.onRelease?.(slot)
    }
  }

  /** Forgets a page that no fetch TLB leads to. */
  #remove(page: CodePage): void {
    this.#dropRegions(page)
    this.#pages.delete(page.frame)
    this.#byOps.delete(page.ops)
    this.#free.push(page.ops)
  }

  /** Forgets a page. Entries of page maps may go on saying that it has code, until somebody writes to it. */
  #drop(page: CodePage): void {
    this.#remove(page)
    for (const { banks } of this.#clusters) dropFetches(this.#arena, banks, page.ops)
  }

  /**
   * A page of a machine with these banks has got another frame: code of the old one is not its own any more.
   *
   * @param from - the old frame
   */
  moved(from: number, banks: readonly number[]): void {
    const page = this.#pages.get(from)
    if (!page) return
    dropFetches(this.#arena, banks, page.ops)
    this.#forgetJumps()
  }

  /** Drops all translated code, with the jumps from one to another. */
  dropTranslations(): void {
    for (const page of this.#pages.values()) this.#dropRegions(page)
    this.#forgetJumps()
  }

  /** Jumps lead past the fetch TLB. */
  #forgetJumps(): void {
    this.#arena.u8.fill(0, this.jumps, this.jumps + JUMPS * JUMP_SIZE)
  }

  /**
   * Forgets the pages that were made first, a quarter of all: what is still in use is soon there again. Those without translated
   * code go before those with, which cost more to make.
   */
  #evict(): void {
    const oldest = [...this.#pages.values()]
    const plain = oldest.filter(({ regions }) => regions.length === 0)
    const pages = [...plain, ...oldest.filter(({ regions }) => regions.length > 0)].slice(0, Math.ceil(this.#limit / 4))
    this.evicted += pages.length
    this.#forget(pages)
  }

  /** Gives its memory back. */
  dispose(): void {
    this.#deaf()
    this.#arena.u8.fill(0, this.#pool, this.#pool + this.#used * PAGE_OPS_BYTES)
    this.#arena.freeZeroed(this.#pool, this.#limit * PAGE_OPS_BYTES)
  }

  #forget(pages: readonly CodePage[]): void {
    for (const page of pages) this.#remove(page)
    for (const { banks } of this.#clusters) dropFetches(this.#arena, banks)
  }
}
