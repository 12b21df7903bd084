import { type Banks, CodeCache, type CodePage } from '@machinist/cpu-core'
import { type Arena, PAGE_SIZE } from '@machinist/memory'
import { ENTER_FIELD, handlerOf, MAX_ENTERS, OP_SIZE, OPS_BYTES, PAGE_TAIL, Pseudo } from './handlers.ts'

/** One op for each halfword, and the one behind the last, which leads to the next page. */
const PAGE_OPS_BYTES: number = OPS_BYTES + PAGE_TAIL.marks + PAGE_SIZE / 2

/** The number of an `enter` record, and the address of the op that it is at. */
export interface Enter {
  readonly record: number
  readonly op: number
}

/** After so many stores a page is taken for data that was once code. */
const WRITES_UNTIL_DATA = 64

/**
 * Pre-decoded pages of RISC-V code. A store empties the ops of the bytes it changes. Translated code is entered at `enter` ops, which stand
 * in for those that they have replaced.
 */
export class RiscvCode extends CodeCache<Enter> {
  readonly #arena: Arena
  readonly #pool: number
  readonly #poolBytes: number
  readonly #deaf: () => void
  /** Decodes in a page from an op on; see `HartExports`. */
  decode: ((ops: number, op: number) => void) | null = null
  /** Address of the ops that `enter` ops have replaced. */
  readonly enters: number
  readonly #freeRecords: number[] = []
  #usedRecords = 0

  /**
   * @param places - of what generated code names
   * @param limit - most pages to keep
   */
  constructor(arena: Arena, places: { readonly enters: number; readonly jumps: number }, clusters: Banks, limit: number) {
    const poolBytes = limit * PAGE_OPS_BYTES
    const pool = arena.allocate(poolBytes)
    super({ memory: arena, pool, pageBytes: PAGE_OPS_BYTES, limit, clusters, jumps: places.jumps })
    this.#arena = arena
    this.#pool = pool
    this.#poolBytes = poolBytes
    this.enters = places.enters
    this.#deaf = arena.onCodeFreed((frame) => { this.freed(frame) })
  }

  override get freeEnters(): number {
    return MAX_ENTERS - this.#usedRecords + this.#freeRecords.length
  }

  protected override begin(ops: number, frame: number): void {
    const { data } = this.memory
    data.setUint16(ops + OPS_BYTES, handlerOf(Pseudo.pageEnd, 4), true)
    data.setUint32(ops + OPS_BYTES + PAGE_TAIL.frame, frame, true)
  }

  /**
   * Bytes of a code page are about to change: `length` of them at arena address `host`, in the page whose map entry
   * is at `entry`.
   */
  written(host: number, entry: number, length: number): void {
    const frame = (host & -PAGE_SIZE) >>> 0
    const page = this.inFrame(frame)
    if (!page) {
      this.isData(entry)
      return
    }
    if (++page.writes > WRITES_UNTIL_DATA) {
      this.drop(page)
      this.isData(entry)
      return
    }
    this.dropRegions(page)
    // Other code has a claim of its own to be translated.
    page.requests = 0
    const { data } = this.memory
    const offset = host - frame
    // An instruction may begin two bytes before the first byte written.
    const first = Math.max(0, (offset - 2) & ~1)
    for (let at = first; at < Math.min(PAGE_SIZE, offset + length); at += 2) {
      data.setBigUint64(page.ops + (at / 2) * OP_SIZE, 0n, true)
    }
  }

  override arrivals(page: CodePage<Enter>): number[] {
    const { u8 } = this.memory
    const marks = page.ops + OPS_BYTES + PAGE_TAIL.marks
    const offsets: number[] = []
    for (let i = 0; i < PAGE_SIZE / 2; i++) if (u8[marks + i] !== 0) offsets.push(2 * i)
    return offsets
  }

  protected override isEntered(ops: number, offset: number): boolean {
    return this.memory.data.getUint16(ops + ((offset & 0xffe) / 2) * OP_SIZE, true) === handlerOf(Pseudo.enter, 4)
  }

  override startOver(page: CodePage<Enter>): void {
    const { u8 } = this.memory
    u8.fill(0, page.ops, page.ops + OPS_BYTES)
    const marks = page.ops + OPS_BYTES + PAGE_TAIL.marks
    u8.fill(0, marks, marks + PAGE_SIZE / 2)
  }

  override reached(page: CodePage<Enter>, offset: number): boolean {
    return this.memory.data.getUint16(page.ops + (offset / 2) * OP_SIZE, true) !== 0
  }

  protected override enter(page: CodePage<Enter>, offset: number, target: number): Enter | null {
    const { data } = this.memory
    const enter = handlerOf(Pseudo.enter, 4)
    const op = page.ops + (offset / 2) * OP_SIZE
    if (data.getUint16(op, true) === 0) this.decode?.(page.ops, op)
    if (data.getUint16(op, true) === enter) return null
    const record = this.#freeRecords.pop() ?? (this.#usedRecords < MAX_ENTERS ? this.#usedRecords++ : -1)
    if (record < 0) return null
    data.setBigUint64(this.enters + record * OP_SIZE, data.getBigUint64(op, true), true)
    data.setUint16(op, enter, true)
    data.setUint16(op + ENTER_FIELD.record, record, true)
    data.setUint32(op + ENTER_FIELD.target, target, true)
    return { record, op }
  }

  protected override undo(_page: CodePage<Enter>, { record, op }: Enter): void {
    const { data } = this.memory
    data.setBigUint64(op, data.getBigUint64(this.enters + record * OP_SIZE, true), true)
    this.#freeRecords.push(record)
  }

  /** Gives its memory back. */
  dispose(): void {
    this.#deaf()
    this.forgetAll()
    this.clear()
    this.#arena.freeZeroed(this.#pool, this.#poolBytes)
  }
}
