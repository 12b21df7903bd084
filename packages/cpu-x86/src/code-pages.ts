import { PAGE_CODE, PAGE_SHARED, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { densePage, LINE } from './emit/op-format.ts'

/** Linear memory, and what `CodePages` needs of whoever has it. */
export interface CodeMemory {
  readonly u8: Uint8Array
  readonly u32: Uint32Array
  readonly data: DataView
}

export interface CodePagesOptions {
  readonly memory: () => CodeMemory
  /** Where `limit` pages of `densePage.size` bytes lie, all zero. */
  readonly pool: number
  readonly limit: number
  /** The banks of every TLB that may lead to the memory. */
  readonly banks: () => Iterable<number>
  /** Told of a frame from which code was decoded. */
  readonly mark?: (frame: number) => void
}

/**
 * Pages of ops, by frame. Memory that code was decoded from is watched: its page-map entry says PAGE_CODE, no write TLB has it, and a store
 * into lines that were decoded empties the page's ops. A store into a page that has none any more ends that: it is data.
 */
export class CodePages {
  readonly #options: CodePagesOptions
  /** The address of ops, by frame. */
  readonly #pages = new Map<number, number>()
  readonly #free: number[] = []
  #used = 0

  constructor(options: CodePagesOptions) {
    this.#options = options
  }

  /** The ops of the page in `frame`, made if need be; `entry` is the address of the page-map entry by which somebody came to it. */
  page(frame: number, entry: number): number {
    const { memory, pool, limit, mark } = this.#options
    const { u32, data } = memory()
    const flags = u32[entry >>> 2] ?? 0
    if ((flags & (PAGE_CODE | PAGE_SHARED)) === 0) {
      this.#forgetWriters()
      u32[entry >>> 2] = flags | PAGE_CODE
    }
    const known = this.#pages.get(frame)
    if (known !== undefined) return known
    if (this.#pages.size >= limit) for (const oldest of this.#pages.keys()) {
      this.forget(oldest)
      break
    }
    const free = this.#free.pop()
    const ops = free ?? pool + this.#used++ * densePage.size
    data.setUint32(ops + densePage.frame, frame, true)
    this.#pages.set(frame, ops)
    mark?.(frame)
    return ops
  }

  /** Bytes of a code page are about to change: `length` of them from `offset` on, in the page whose map entry is at `entry`. */
  written(frame: number, offset: number, length: number, entry: number): void {
    const { u8, u32, data } = this.#options.memory()
    const ops = this.#pages.get(frame)
    if (ops === undefined || data.getBigUint64(ops + densePage.lines, true) === 0n) {
      this.forget(frame)
      u32[entry >>> 2] = (u32[entry >>> 2] ?? 0) & ~PAGE_CODE
      return
    }
    const holds = (line: number): boolean => (data.getUint8(ops + densePage.lines + (line >>> 3)) >> (line & 7) & 1) !== 0
    let touched = false
    for (let line = Math.floor(offset / LINE); line * LINE < Math.min(PAGE_SIZE, offset + length); line++) touched ||= holds(line)
    if (!touched) return
    u8.fill(0, ops + densePage.map, ops + densePage.frame)
    u8.fill(0, ops + densePage.lines, ops + densePage.size)
  }

  /** The frame has no code any more. */
  forget(frame: number): void {
    const ops = this.#pages.get(frame)
    if (ops === undefined) return
    this.#pages.delete(frame)
    this.#free.push(ops)
    const { u8 } = this.#options.memory()
    // Who executes in it finds nothing more.
    u8.fill(0, ops + densePage.map, ops + densePage.size)
    for (const bank of this.#options.banks()) if (u8[bank + tlbLayout.fetched] !== 0) u8.fill(0, bank + tlbLayout.fetch, bank + tlbLayout.fetch + 16 * tlbLayout.fetchEntries)
  }

  /** No frame has. */
  forgetAll(): void {
    for (const frame of [...this.#pages.keys()]) this.forget(frame)
  }

  /** Gives the pool back as it was. */
  dispose(): void {
    const { memory, pool } = this.#options
    memory().u8.fill(0, pool, pool + this.#used * densePage.size)
    this.#pages.clear()
  }

  /** Empties the write entries of every TLB: those that there are, group by group. */
  #forgetWriters(): void {
    const { u8, u32 } = this.#options.memory()
    for (const bank of this.#options.banks()) {
      for (let group = 0; group < 64; group++) {
        const mask = (bank + tlbLayout.writeGroups + 4 * (group >>> 5)) >>> 2
        if (((u32[mask] ?? 0) >>> (group & 31) & 1) === 0) continue
        const first = bank + tlbLayout.write + group * tlbLayout.groupBytes
        u8.fill(0, first, first + tlbLayout.groupBytes)
        u32[mask] = (u32[mask] ?? 0) & ~(1 << (group & 31))
      }
    }
  }
}
