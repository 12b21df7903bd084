import { type GuestMemory, PAGE_SIZE, pageSums, type RamRegion } from '@machinist/memory'
import { LogWriter } from './log-writer.ts'

const PRIMES = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d] as const
const WORDS = PAGE_SIZE / 4

/** A checksum of 64 bits for data that nobody forges: it tells whether two machines are the same. */
export class Checksum {
  #a = 0
  #b = 0

  word(word: number): void {
    this.#a = step(this.#a, word, PRIMES[0])
    this.#b = step(this.#b, word ^ this.#a, PRIMES[1])
  }

  /** At most `most` of them, and their number. */
  bytes(bytes: Uint8Array, most: number = Infinity): void {
    this.word(bytes.length)
    const length = Math.min(bytes.length, most)
    for (let i = 0; i < length; i += 4) this.word((bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24))
  }

  copy(): Checksum {
    const copy = new Checksum()
    copy.#a = this.#a
    copy.#b = this.#b
    return copy
  }

  get value(): Sum {
    return [finish(this.#a), finish(this.#b)]
  }
}

/** A checksum: two unsigned words. */
export type Sum = readonly [number, number]

function step(sum: number, word: number, prime: number): number {
  const product = Math.imul(sum ^ word, prime)
  return (product << 13) | (product >>> 19)
}

function finish(sum: number): number {
  const mixed = Math.imul(sum ^ (sum >>> 15), PRIMES[2])
  return (mixed ^ (mixed >>> 13)) >>> 0
}

/** The checksum of plain data. */
export function sumOfPlain(value: unknown): Sum {
  const writer = new LogWriter()
  writer.value(value)
  const sum = new Checksum()
  sum.bytes(writer.take())
  return sum.value
}

/**
 * The checksum of what regions contain. Pages of zeros are nothing, whether they were touched or not. Of memory that comes from a source, pages that were
 * never written are left out: they are what they were.
 */
export function sumOfMemory(memory: GuestMemory, regions: readonly RamRegion[]): Sum {
  const sum = new Checksum()
  const all = memory.source === null
  for (const region of regions) {
    for (let page = 0; page < region.size / PAGE_SIZE; page++) {
      if (!all && !memory.isDirty(region, page)) continue
      const frame = memory.frameAddress(region, page)
      if (frame !== 0) {
        addPage(sum, memory.arena.u32, frame >>> 2, page)
        continue
      }
      const content = memory.frame(region, page)
      if (content !== null) addPage(sum, new Uint32Array(content.buffer, content.byteOffset, WORDS), 0, page)
    }
    sum.word(region.size)
  }
  return sum.value
}

function addPage(sum: Checksum, u32: Uint32Array, first: number, page: number): void {
  const sums = pageSums(u32, first)
  if (sums === null) return
  sum.word(page)
  for (const word of sums) sum.word(word)
}
