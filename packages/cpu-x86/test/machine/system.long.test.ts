import { describe, expect, test } from 'vitest'
import { familyNames } from './cases.ts'
import { compareLongWithQemu, compareWithQemu } from './compare.ts'
import { longFamilyNames } from './long-cases.ts'
import { whyNoQemu } from './qemu.ts'

const why = whyNoQemu()
const seed = Number(process.env['MACHINIST_SEED'] ?? 100)
/** Images of each family, of a thousand cases each. */
const images = Math.ceil(Number(process.env['MACHINIST_RUNS'] ?? 2000) / 1000)

/** Compares images of a family. */
function compare(found: (seed: number) => readonly string[]): void {
  for (let i = 0; i < images; i++) expect(found(seed + i), `seed ${seed + i}`).toEqual([])
}

describe.skipIf(why !== null)(`as QEMU does it, at length${why === null ? '' : ` (skipped: ${why})`}`, () => {
  for (const family of familyNames) {
    test(family, () => {
      compare((at) => compareWithQemu(family, 1000, at))
    })
  }
  for (const family of longFamilyNames) {
    test(`64-bit mode: ${family}`, () => {
      compare((at) => compareLongWithQemu(family, 1000, at))
    })
  }
})
