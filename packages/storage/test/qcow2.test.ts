import { describe, expect, it } from 'vitest'
import { exchange } from './qcow2.ts'
import { noQemu } from './support.ts'

describe.skipIf(noQemu !== null)(`qcow2 and QEMU${noQemu === null ? '' : ` (skipped: ${noQemu})`}`, () => {
  for (let seed = 1; seed <= 6; seed++) {
    it(`write and read the same image, seed ${seed}`, async () => {
      await exchange(seed, 40)
      expect.hasAssertions()
    })
  }
})
