import { pageSums, PRIMES, WORDS } from './page-sums.ts'

/** A hash of 32 bits of the 1024 words from `first` on: 0 for zeros, and for nothing else. It tells what is likely the same; whoever must know compares. */
export function pageHash(u32: Uint32Array, first: number): number {
  const sums = pageSums(u32, first)
  if (sums === null) return 0
  const [a, b, c, d] = sums
  let sum = Math.imul(a ^ (b >>> 1), PRIMES[1]) ^ Math.imul(c ^ (d >>> 3), PRIMES[2])
  sum = Math.imul(sum ^ (b >>> 15) ^ d, PRIMES[0])
  return (sum ^ (sum >>> 15)) >>> 0 || 1
}

/** Whether two pages are the same, word by word. */
export function samePage(u32: Uint32Array, first: number, other: number): boolean {
  for (let at = 0; at < WORDS; at++) if (u32[first + at] !== u32[other + at]) return false
  return true
}
