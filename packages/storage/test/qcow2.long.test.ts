import { describe, expect, it } from 'vitest'
import { exchange } from './qcow2.ts'
import { noQemu } from './support.ts'

describe.skipIf(noQemu !== null)(`qcow2 and QEMU, at length${noQemu === null ? '' : ` (skipped: ${noQemu})`}`, () => {
  for (let seed = 100; seed < 220; seed++) {
    it(`write and read the same image, seed ${seed}`, async () => {
      await exchange(seed, 60)
      expect.hasAssertions()
    })
  }
})
