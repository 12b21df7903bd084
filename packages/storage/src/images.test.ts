import { describe, it } from 'vitest'
import { turns } from '../test/against-qemu.ts'
import { noQemu } from '../test/images.ts'
import { variants } from '../test/variants.ts'
import { SEED } from '../test/seed.ts'

describe.skipIf(noQemu !== null)(`QEMU and we read and write alike${noQemu === null ? '' : `: ${noQemu}`}`, () => {
  for (const [name, variant] of Object.entries(variants)) {
    it(name, () => turns(variant, SEED, 2, 60))
  }
})
