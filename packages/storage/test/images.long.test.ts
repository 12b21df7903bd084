import { describe, it } from 'vitest'
import { turns } from './against-qemu.ts'
import { noQemu } from './images.ts'
import { mutations, subjects } from './robust.ts'
import { variants } from './variants.ts'
import { SEED } from './seed.ts'

const minutes = 60_000

describe.skipIf(noQemu !== null)(`QEMU and we read and write alike, for long${noQemu === null ? '' : `: ${noQemu}`}`, () => {
  for (const [name, variant] of Object.entries(variants)) {
    it(name, async () => {
      for (let run = 0; run < 4; run++) await turns(variant, SEED + run, 4, 200)
    })
  }
})

describe('for long, an image that somebody spoilt gives typed errors or errors of input and output, within bounds', () => {
  for (const [name, subject] of Object.entries(subjects)) it(name, () => mutations(subject, 1200), 10 * minutes)
})
