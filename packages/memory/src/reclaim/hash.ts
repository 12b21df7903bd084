const PRIMES = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f] as const
/** Words of a page. */
const WORDS = 1024

/**
 * A hash of 32 bits of the 1024 words from `first` on: 0 for zeros, and for nothing else. Four sums run side by side, as in xxHash, for one multiplication waits for the one before. It tells what is likely the same;
 * whoever must know compares.
 */
export function hashPage(u32: Uint32Array, first: number): number {
  let [a, b, c, d, any] = [0, 0, 0, 0, 0]
  for (let at = first; at < first + WORDS; at += 4) {
    const [v, w, x, y] = [u32[at] ?? 0, u32[at + 1] ?? 0, u32[at + 2] ?? 0, u32[at + 3] ?? 0]
    any |= v | w | x | y
    a = step(a, v, PRIMES[0])
    b = step(b, w, PRIMES[1])
    c = step(c, x, PRIMES[2])
    d = step(d, y, PRIMES[3])
  }
  if (any === 0) return 0
  let sum = Math.imul(a ^ (b >>> 1), PRIMES[1]) ^ Math.imul(c ^ (d >>> 3), PRIMES[2])
  sum = Math.imul(sum ^ (b >>> 15) ^ d, PRIMES[0])
  return (sum ^ (sum >>> 15)) >>> 0 || 1
}

function step(sum: number, word: number, prime: number): number {
  const product = Math.imul(sum ^ word, prime)
  return (product << 13) | (product >>> 19)
}

/** Whether two pages are the same, word by word. */
export function samePage(u32: Uint32Array, first: number, other: number): boolean {
  for (let at = 0; at < WORDS; at++) if (u32[first + at] !== u32[other + at]) return false
  return true
}
