import { PAGE_SIZE } from '@machinist/memory'
import type { SnapshotCodec, SnapshotCompression } from './codec.ts'
import type { SnapshotInput } from './file.ts'
import { CHUNK_PAGES, damaged, unpack } from './format.ts'

/** Chunks that are kept decompressed: pages that are touched together were often written together. */
const KEPT = 96

/** Reads pages out of chunks, when they are asked for. */
export class ChunkReader {
  readonly #input: SnapshotInput
  readonly #codec: SnapshotCodec
  readonly #compression: SnapshotCompression
  readonly #pages: number
  readonly #table: Uint32Array
  /** Where each chunk begins. */
  readonly #offsets: Float64Array
  /** In the order of their last use. */
  readonly #kept = new Map<number, Uint8Array>()

  /**
   * @param table - stored length and CRC-32 of each chunk
   * @throws a typed error `'snapshot-damaged'` for chunks that cannot be
   */
  constructor(input: SnapshotInput, codec: SnapshotCodec, compression: SnapshotCompression, pages: number, offset: number, table: Uint32Array) {
    this.#input = input
    this.#codec = codec
    this.#compression = compression
    this.#pages = pages
    this.#table = table
    this.#offsets = new Float64Array(table.length / 2)
    let at = offset
    for (let chunk = 0; chunk < this.#offsets.length; chunk++) {
      const stored = table[2 * chunk] ?? 0
      if (stored > this.#length(chunk)) throw damaged(input.name, `chunk ${chunk} is too long`, stored)
      this.#offsets[chunk] = at
      at += stored
    }
    if (at > input.size) throw damaged(input.name, 'its chunks lie outside', at)
  }

  #length(chunk: number): number {
    return Math.min(CHUNK_PAGES, this.#pages - chunk * CHUNK_PAGES) * PAGE_SIZE
  }

  /** Fills a page with content `number`, from 1. */
  load(number: number, into: Uint8Array): void {
    const chunk = Math.floor((number - 1) / CHUNK_PAGES)
    const bytes = this.#kept.get(chunk) ?? this.#read(chunk)
    this.#kept.delete(chunk)
    this.#kept.set(chunk, bytes)
    if (this.#kept.size > KEPT) for (const oldest of this.#kept.keys()) {
      this.#kept.delete(oldest)
      break
    }
    const at = ((number - 1) % CHUNK_PAGES) * PAGE_SIZE
    into.set(bytes.subarray(at, at + PAGE_SIZE))
  }

  #read(chunk: number): Uint8Array {
    const { name } = this.#input
    const stored = this.#table[2 * chunk] ?? 0
    const bytes = this.#input.read(this.#offsets[chunk] ?? 0, stored)
    if (bytes.length !== stored || this.#codec.crc32(bytes) !== this.#table[2 * chunk + 1]) throw damaged(name, `chunk ${chunk} of its memory is damaged`)
    return unpack(name, this.#codec, this.#compression, bytes, this.#length(chunk), `chunk ${chunk} of its memory`)
  }
}
