import { machinistError, type Width } from '@machinist/api'
import type { BarTarget } from './bars.ts'
import { CONFIG_SIZE, HEADER_SIZE } from './header.ts'

interface Entry {
  readonly start: number
  /** Without padding. */
  readonly end: number
  readonly target: BarTarget
}

/** The capabilities list of a function (PCI 3.0, 6.7), in the configuration space behind the header. */
export class Capabilities {
  readonly #part: string
  /** Identifiers and next pointers, and what does not change. */
  readonly #bytes = new Uint8Array(CONFIG_SIZE)
  /** Those that somebody else answers for. */
  readonly #entries: Entry[] = []
  #last = 0
  #end = HEADER_SIZE
  /** Offset of the first, 0 for none. */
  first = 0

  constructor(part: string) {
    this.#part = part
  }

  /** Adds one that only tells something. */
  addFixed(id: number, body: readonly number[]): void {
    const start = this.#place(id, body.length + 2)
    this.#bytes.set(body, start + 2)
  }

  /** Adds one of `size` bytes whose content beyond identifier and next pointer is the target's. */
  add(id: number, size: number, target: BarTarget): void {
    const start = this.#place(id, size)
    this.#entries.push({ start, end: start + size, target })
  }

  /** Offset behind the last. */
  get end(): number {
    return this.#end
  }

  /** An aligned read. */
  read(offset: number, width: Width): number {
    let value = 0
    for (let byte = width - 1; byte >= 0; byte--) value = (value << 8) | (this.#bytes[offset + byte] ?? 0)
    const entry = this.#entries.find(({ start, end }) => offset >= start && offset + width <= end)
    if (entry === undefined) return value >>> 0
    const at = offset - entry.start
    const mine = at >= 2 ? 0 : 0xffff >>> (8 * at)
    return ((entry.target.read(at, width) & ~mine) | (value & mine)) >>> 0
  }

  /** An aligned write. */
  write(offset: number, width: Width, value: number): void {
    const entry = this.#entries.find(({ start, end }) => offset >= start && offset + width <= end)
    entry?.target.write(offset - entry.start, width, value)
  }

  #place(id: number, size: number): number {
    const start = this.#end
    if (!Number.isInteger(size) || size < 2 || start + size > CONFIG_SIZE) {
      throw machinistError({ code: 'pci-function', part: this.#part, value: size, remedy: 'Use fewer or smaller ones.' }, 'no room for a capability')
    }
    this.#bytes[start] = id
    if (this.#last === 0) this.first = start
    else this.#bytes[this.#last + 1] = start
    this.#last = start
    // Every one begins at a multiple of four (6.7).
    this.#end = Math.ceil((start + size) / 4) * 4
    return start
  }
}
