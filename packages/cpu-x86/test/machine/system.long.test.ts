import { describe, expect, test } from 'vitest'
import { familyNames } from './cases.ts'
import { compareLongWithQemu, compareWithQemu } from './compare.ts'
import { longFamilyNames } from './long-cases.ts'
import { whyNoQemu } from './qemu.ts'

const why = whyNoQemu()
const seed = Number(process.env['MACHINIST_SEED'] ?? 100)
/** Images of each family, of a thousand cases each. */
const images = Math.ceil(Number(process.env['MACHINIST_RUNS'] ?? 2000) / 1000)

describe.skipIf(why !== null)(`as QEMU does it, at length${why === null ? '' : ` (skipped: ${why})`}`, () => {
  for (const family of familyNames) {
    test(family, () => {
      for (let i = 0; i < images; i++) expect(compareWithQemu(family, 1000, seed + i), `seed ${seed + i}`).toEqual([])
    })
  }
  for (const family of longFamilyNames) {
    test(`64-bit mode: ${family}`, () => {
      for (let i = 0; i < images; i++) expect(compareLongWithQemu(family, 1000, seed + i), `seed ${seed + i}`).toEqual([])
    })
  }
})
