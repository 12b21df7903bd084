import { type EntropyPort, machinistError } from '@machinist/api'

/** A generator of random bytes whose place in its sequence can be kept. */
export interface SeededEntropy extends EntropyPort {
  /** Four words of 32 bits: the next bytes follow from them alone. */
  save(): readonly number[]
  /** Goes on from where another was saved. @throws a typed error `'state'` */
  restore(saved: unknown): void
}

/**
 * A generator that gives the same bytes for the same seed, on every host: xoshiro128** (Blackman and Vigna, 2018),
 * its state filled by a Weyl sequence through the MurmurHash3 finalizer. For repeatable runs; not for secrets.
 */
export function seededEntropy(seed: number): SeededEntropy {
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
    save: () => [a, b, c, d],
    restore(saved) {
      const words: readonly unknown[] = Array.isArray(saved) ? saved : []
      // Of zeros alone come zeros for ever.
      if (words.length !== 4 || !words.every((word): word is number => typeof word === 'number' && (word | 0) === word) || words.every((word) => word === 0)) {
        throw machinistError({ code: 'state', part: 'randomness', remedy: 'Restore what save() gave.' }, 'not the state of a generator')
      }
      ;[a = 0, b = 0, c = 0, d = 0] = words as readonly number[]
    },
  }
}

/**
 * Makes a generator that has the place of another go on in a way of its own: the same one for the same place and number, and others for others.
 *
 * @param number - from 1: which of those that part here it is
 */
export function diverge(generator: SeededEntropy, number: number): void {
  const word = new Uint8Array(4)
  generator.fill(word)
  generator.restore(seededEntropy(new DataView(word.buffer).getUint32(0) ^ number).save())
}
