import type { EntropyPort } from '@machinist/api'

/**
 * A generator that gives the same bytes for the same seed, on every host: xoshiro128** (Blackman and Vigna, 2018),
 * its state filled by a Weyl sequence through the MurmurHash3 finalizer. For repeatable runs; not for secrets.
 */
export function seededEntropy(seed: number): EntropyPort {
  let weyl = seed | 0
  const next32 = (): number => {
    weyl = (weyl + 0x9e37_79b9) | 0
    let z = weyl
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35)
    return (z ^ (z >>> 16)) | 0
  }
  let a = next32()
  let b = next32()
  let c = next32()
  let d = next32() | 1
  const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))
  const draw = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9)
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result >>> 0
  }
  return {
    fill(into) {
      for (let i = 0, word = 0; i < into.length; i++, word >>>= 8) {
        if (i % 4 === 0) word = draw()
        into[i] = word & 0xff
      }
    },
  }
}
