import { describe, expect, it } from 'vitest'
import { losePower } from './power.ts'
import { powerSubjects } from './power-subjects.ts'
import { SEED } from './seed.ts'

describe('for long, a loss of power at any moment leaves what was flushed, and a sound image', () => {
  it.each(Object.entries(powerSubjects))(`%s, with SEED=${SEED}`, async (_name, subject) => {
    for (const seed of [SEED, SEED + 1, SEED + 2, SEED + 3]) await losePower(subject, seed, { losses: 20 })
    expect.hasAssertions()
  })
})

describe('a flush needs each of its syncs: without it, that is no longer so', () => {
  const cases = Object.entries(powerSubjects).flatMap(([name, subject]) => Object.keys(subject.syncs).map((sync) => [name, sync] as const))
  it.each(cases)('%s: %s', async (name, sync) => {
    const subject = powerSubjects[name]
    const omit = subject?.syncs[sync]
    if (subject === undefined || omit === undefined) throw new Error('no such case')
    const work = async (): Promise<void> => {
      for (let seed = 1; seed <= 12; seed++) await losePower(subject, seed, { losses: 60, omit })
    }
    await expect(work()).rejects.toThrow()
  })
})
