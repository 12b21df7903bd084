import type { SnapshotCodec } from './codec.ts'

/** Whether two byte strings are the same. A loop, not a call for each byte: kernels have tens of millions. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

/** Finds the long byte strings of a state that a parent has in its own, wherever: contents of disks, above all, of which little changes. */
export class ParentBytes {
  readonly #strings: ReadonlyMap<number, Uint8Array>
  readonly #codec: SnapshotCodec
  /** Numbers of strings by what is likely to be of no other. */
  readonly #numbers = new Map<string, number>()

  /** @param strings - those of the parent, by their numbers */
  constructor(strings: ReadonlyMap<number, Uint8Array>, codec: SnapshotCodec) {
    this.#strings = strings
    this.#codec = codec
    for (const [number, bytes] of strings) this.#numbers.set(this.#keyOf(bytes), number)
  }

  /** The number of one with the same bytes; null when there is none. */
  numberOf(bytes: Uint8Array): number | null {
    const number = this.#numbers.get(this.#keyOf(bytes))
    const there = number === undefined ? undefined : this.#strings.get(number)
    return number !== undefined && there !== undefined && sameBytes(bytes, there) ? number : null
  }

  #keyOf(bytes: Uint8Array): string {
    return `${bytes.length} ${this.#codec.crc32(bytes)}`
  }
}
