import { PAGE_SIZE } from './page-size.ts'

export const PRIMES = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f] as const
/** Words of a page. */
export const WORDS: number = PAGE_SIZE / 4

/** Four sums, of 32 bits each, of the 1024 words from `first` on; null for zeros. They run side by side, as in xxHash, for one multiplication waits for the one before. */
export function pageSums(u32: Uint32Array, first: number): readonly [number, number, number, number] | null {
  let [a, b, c, d, any] = [0, 0, 0, 0, 0]
  for (let at = first; at < first + WORDS; at += 4) {
    const [v, w, x, y] = [u32[at] ?? 0, u32[at + 1] ?? 0, u32[at + 2] ?? 0, u32[at + 3] ?? 0]
    any |= v | w | x | y
    a = step(a, v, PRIMES[0])
    b = step(b, w, PRIMES[1])
    c = step(c, x, PRIMES[2])
    d = step(d, y, PRIMES[3])
  }
  return any === 0 ? null : [a, b, c, d]
}

function step(sum: number, word: number, prime: number): number {
  const product = Math.imul(sum ^ word, prime)
  return (product << 13) | (product >>> 19)
}
