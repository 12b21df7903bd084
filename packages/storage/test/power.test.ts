import { describe, expect, it } from 'vitest'
import { losePower } from './power.ts'
import { powerSubjects } from './power-subjects.ts'

describe('a loss of power at any moment leaves what was flushed, and a sound image', () => {
  it.each(Object.entries(powerSubjects))('%s', async (_name, subject) => {
    for (let seed = 1; seed <= 2; seed++) await losePower(subject, seed, { losses: 12 })
    expect.hasAssertions()
  })
})
