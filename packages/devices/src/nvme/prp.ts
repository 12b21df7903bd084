import type { DmaSpace } from '@machinist/api'
import { Result } from './registers.ts'

/** Bytes of an entry of a PRP list. */
const ENTRY = 8

/** Where data are in guest memory: addresses and bytes, in order. */
export class Places {
  readonly #dma: DmaSpace
  readonly #places: { readonly address: number; length: number }[] = []

  constructor(dma: DmaSpace) {
    this.#dma = dma
  }

  add(address: number, length: number): void {
    const last = this.#places.at(-1)
    if (last !== undefined && last.address + last.length === address) last.length += length
    else this.#places.push({ address, length })
  }

  /** Writes bytes there, from the first on; false when they are not all memory. */
  write(bytes: Uint8Array): boolean {
    let at = 0
    for (const { address, length } of this.#places) {
      if (at >= bytes.length) break
      if (!this.#dma.write(address, bytes.subarray(at, at + length))) return false
      at += length
    }
    return true
  }

  read(into: Uint8Array): boolean {
    let at = 0
    for (const { address, length } of this.#places) {
      if (!this.#dma.read(address, into.subarray(at, at + length))) return false
      at += length
    }
    return true
  }

  /** Views of all of it; null when it is not all memory. */
  views(): Uint8Array[] | null {
    const views: Uint8Array[] = []
    for (const { address, length } of this.#places) {
      const some = this.#dma.map(address, length, 'write')
      if (some === null) return null
      views.push(...some)
    }
    return views
  }
}

/**
 * Follows PRP entries and lists (NVMe 1.4, 4.3): the places of so many bytes, or a status. A list that another names begins at the first byte of a page, so
 * each has hundreds of entries, each of which is a page: the work is that of the bytes, whatever lists name each other.
 *
 * @param page - bytes of a page of memory, a power of two
 */
export function placesOf(dma: DmaSpace, page: number, prp1: number, prp2: number, length: number): Places | number {
  const places = new Places(dma)
  if (prp1 % 4 !== 0) return Result.prpOffset
  let left = length
  const add = (address: number, most: number): void => {
    const count = Math.min(left, most)
    places.add(address, count)
    left -= count
  }
  add(prp1, page - prp1 % page)
  if (left === 0) return places
  if (left <= page) {
    if (prp2 % page !== 0) return Result.prpOffset
    add(prp2, page)
    return places
  }
  if (prp2 % ENTRY !== 0) return Result.prpOffset
  for (let list = prp2; left > 0;) {
    const entries = Math.min((page - list % page) / ENTRY, Math.ceil(left / page))
    const words = new Uint32Array(2 * entries)
    if (!dma.readWords(list, words)) return Result.dataTransfer
    // The last entry of a page names the next list, where there is more to say.
    const full = (list + entries * ENTRY) % page === 0 && entries * page < left
    for (let at = 0; at < entries; at++) {
      const address = (words[2 * at] ?? 0) + (words[2 * at + 1] ?? 0) * 2 ** 32
      if (address % page !== 0) return Result.prpOffset
      if (full && at === entries - 1) list = address
      else add(address, page)
    }
  }
  return places
}
