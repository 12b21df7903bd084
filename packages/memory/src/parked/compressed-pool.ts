import { PAGE_SIZE } from '../page-size.ts'
import type { FrameBudget } from '../frame-budget.ts'
import type { PageCodec } from './codec.ts'

/** Places are multiples of this many bytes. */
const GRAIN = 256
/** A page that needs more than this is not worth keeping compressed. */
const MOST: number = PAGE_SIZE - 4 * GRAIN
const SLAB = 65536
const SLAB_FRAMES: number = SLAB / PAGE_SIZE

interface Slab {
  readonly bytes: Uint8Array
  /** Bytes of each of its places, their number, and those in use. */
  readonly size: number
  used: number
  readonly free: number[]
}

/** Where a compressed page is. */
export interface Packed {
  readonly slab: Slab
  readonly offset: number
  readonly length: number
}

/**
 * Compressed pages in memory of the host, as much as it may be: slabs of 64 KiB with places of one size each, as zsmalloc of Linux has them. What it takes
 * counts in a budget of frames: a slab is 16.
 */
export class CompressedPool {
  readonly #codec: PageCodec
  readonly #budget: FrameBudget
  readonly #slabs = new Map<number, Set<Slab>>()
  readonly #packed = new Uint8Array(MOST)
  /** Most slabs, in bytes. */
  limit: number
  #bytes = 0

  /** @param limit - bytes for slabs */
  constructor(codec: PageCodec, budget: FrameBudget, limit: number) {
    this.#codec = codec
    this.#budget = budget
    this.limit = limit
  }

  /** Bytes of slabs. */
  get bytes(): number {
    return this.#bytes
  }

  /** Keeps a page; null when it cannot be compressed well. 0 when there is no place for it, and one must be freed first. */
  put(page: Uint8Array): Packed | null | 0 {
    const length = this.#codec.compress(page, this.#packed)
    if (length === 0) return null
    const size = Math.ceil(length / GRAIN) * GRAIN
    const slab = this.#slabFor(size)
    if (slab === null) return 0
    const offset = slab.free.pop() ?? 0
    slab.used++
    slab.bytes.set(this.#packed.subarray(0, length), offset)
    return { slab, offset, length }
  }

  load({ slab, offset, length }: Packed, into: Uint8Array): void {
    this.#codec.decompress(slab.bytes.subarray(offset, offset + length), into)
  }

  free({ slab, offset }: Packed): void {
    slab.free.push(offset)
    if (--slab.used > 0) return
    this.#slabs.get(slab.size)?.delete(slab)
    this.#bytes -= SLAB
    this.#budget.used -= SLAB_FRAMES
  }

  #slabFor(size: number): Slab | null {
    let slabs = this.#slabs.get(size)
    if (slabs === undefined) this.#slabs.set(size, slabs = new Set())
    for (const slab of slabs) if (slab.free.length > 0) return slab
    if (this.#bytes + SLAB > this.limit) return null
    const count = Math.floor(SLAB / size)
    const slab: Slab = { bytes: new Uint8Array(SLAB), size, used: 0, free: Array.from({ length: count }, (_, index) => index * size) }
    slabs.add(slab)
    this.#bytes += SLAB
    this.#budget.used += SLAB_FRAMES
    return slab
  }
}
