import { describe, it } from 'vitest'
import { mutations, subjects } from '../test/robust.ts'

describe('an image that somebody spoilt gives typed errors or errors of input and output, within bounds', () => {
  for (const [name, subject] of Object.entries(subjects)) it(name, () => mutations(subject, 60))
})
