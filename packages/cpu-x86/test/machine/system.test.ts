import { describe, expect, test } from 'vitest'
import { familyNames } from './cases.ts'
import { compareLongWithQemu, compareWithQemu } from './compare.ts'
import { longFamilyNames } from './long-cases.ts'
import { whyNoQemu } from './qemu.ts'

const why = whyNoQemu()
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)

describe.skipIf(why !== null)(`as QEMU does it${why === null ? '' : ` (skipped: ${why})`}`, () => {
  for (const family of familyNames) test(family, () => expect(compareWithQemu(family, 100, seed)).toEqual([]))
  for (const family of longFamilyNames) test(`64-bit mode: ${family}`, () => expect(compareLongWithQemu(family, 100, seed)).toEqual([]))
})
