import { type Banks, CodeCache, type CodeMemory, type CodePage } from '@machinist/cpu-core'
import { PAGE_SIZE } from '@machinist/memory'
import { denseLayout, densePage, ENTER_FIELD, LINE, MOST_OPS, Pseudo } from './emit/op-format.ts'

/** An op that enters translated code in the place of another, at an offset. */
export interface Enter {
  readonly offset: number
  readonly op: number
  readonly original: number
}

/** Most places at which translated code can be entered at a time. */
const MAX_ENTERS = 65536

export interface CodePagesOptions {
  readonly memory: CodeMemory
  /** Where `limit` pages of `densePage.size` bytes lie, all zero. */
  readonly pool: number
  readonly limit: number
  readonly clusters: Banks
  /** Address of the remembered jumps. */
  readonly jumps: number
}

/**
 * Pages of ops. A store into lines that were decoded empties the page's ops; one into a page that has none any more makes it data. Translated code is entered by the page's map:
 * it leads to an op of its own, and the op that it led to is executed when translated code gives its instruction back.
 */
export class CodePages extends CodeCache<Enter> {
  /** `(ops, offset)`: decodes from there on, as code of the kind that the page has; see `decodeRun`. */
  decode: ((ops: number, offset: number) => void) | null = null
  #enters = 0

  constructor({ memory, pool, limit, clusters, jumps }: CodePagesOptions) {
    super({ memory, pool, pageBytes: densePage.size, limit, clusters, jumps })
  }

  override get freeEnters(): number {
    return MAX_ENTERS - this.#enters
  }

  protected override begin(ops: number, frame: number): void {
    this.memory.data.setUint32(ops + densePage.frame, frame, true)
  }

  /** Bytes of a code page are about to change: `length` of them from `offset` on, in the page whose map entry is at `entry`. */
  written(frame: number, offset: number, length: number, entry: number): void {
    const { data } = this.memory
    const page = this.inFrame(frame)
    if (page === undefined || data.getBigUint64(page.ops + densePage.lines, true) === 0n) {
      if (page) this.drop(page)
      this.isData(entry)
      return
    }
    const lines = page.ops + densePage.lines
    const holds = (line: number): boolean => (data.getUint8(lines + (line >>> 3)) >> (line & 7) & 1) !== 0
    let touched = false
    for (let line = Math.floor(offset / LINE); line * LINE < Math.min(PAGE_SIZE, offset + length); line++) touched ||= holds(line)
    if (touched) this.#empty(page)
  }

  /** The page with these ops begins anew, as other code say. */
  renew(ops: number): void {
    const page = this.byOps(ops)
    if (page) this.#empty(page)
  }

  #empty(page: CodePage<Enter>): void {
    this.dropRegions(page)
    // Other code has a claim of its own to be translated.
    page.requests = 0
    this.startOver(page)
  }

  override startOver({ ops }: CodePage<Enter>): void {
    const { u8 } = this.memory
    u8.fill(0, ops + densePage.map, ops + densePage.frame)
    u8.fill(0, ops + densePage.lines, ops + densePage.size)
  }

  #opAt(ops: number, offset: number): number {
    return this.memory.data.getUint16(ops + densePage.map + 2 * offset, true)
  }

  #isEnter(ops: number, op: number): boolean {
    return this.memory.data.getUint16(ops + op * denseLayout.size + denseLayout.handler, true) === Pseudo.enter
  }

  /** As what code the page was decoded: a DenseKey. */
  key({ ops }: CodePage<Enter>): number {
    return this.memory.data.getUint32(ops + densePage.key, true)
  }

  override reached({ ops }: CodePage<Enter>, offset: number): boolean {
    return this.#opAt(ops, offset) !== 0
  }

  override arrivals({ ops }: CodePage<Enter>): number[] {
    const marks = this.memory.u8.subarray(ops + densePage.marks, ops + densePage.marks + PAGE_SIZE)
    const offsets: number[] = []
    marks.forEach((mark, offset) => { if (mark !== 0) offsets.push(offset) })
    return offsets
  }

  protected override isEntered(ops: number, offset: number): boolean {
    return this.#isEnter(ops, this.#opAt(ops, offset))
  }

  protected override enter({ ops }: CodePage<Enter>, offset: number, target: number): Enter | null {
    const { data } = this.memory
    // A page has few ops more than a decoder needs: it begins anew then, and this code with it.
    const used = (): number => data.getUint32(ops + densePage.used, true)
    if (this.#enters >= MAX_ENTERS) return null
    if (this.#opAt(ops, offset) === 0 && used() + ROOM_TO_DECODE <= MOST_OPS) this.decode?.(ops, offset)
    const original = this.#opAt(ops, offset)
    if (original === 0 || this.#isEnter(ops, original)) return null
    const free = data.getUint32(ops + densePage.free, true)
    const op = free === 0 ? used() : free
    if (op >= MOST_OPS) return null
    const at = ops + op * denseLayout.size
    if (free === 0) data.setUint32(ops + densePage.used, op + 1, true)
    else data.setUint32(ops + densePage.free, data.getUint32(at + ENTER_FIELD.target, true), true)
    data.setUint16(at + denseLayout.handler, Pseudo.enter, true)
    data.setUint16(at + denseLayout.place, offset, true)
    data.setUint32(at + ENTER_FIELD.target, target, true)
    data.setUint32(at + ENTER_FIELD.original, original, true)
    data.setUint16(ops + densePage.map + 2 * offset, op, true)
    this.#enters++
    return { offset, op, original }
  }

  protected override undo({ ops }: CodePage<Enter>, { offset, op, original }: Enter): void {
    const { data } = this.memory
    this.#enters--
    // Of a page that has begun anew all ops are free.
    if (this.#opAt(ops, offset) !== op) return
    data.setUint16(ops + densePage.map + 2 * offset, original, true)
    data.setUint32(ops + op * denseLayout.size + ENTER_FIELD.target, data.getUint32(ops + densePage.free, true), true)
    data.setUint32(ops + densePage.free, op, true)
  }
}

/** More ops than are decoded at once. */
const ROOM_TO_DECODE = 64
