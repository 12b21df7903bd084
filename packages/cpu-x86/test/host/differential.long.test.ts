import { describe, expect, test } from 'vitest'
import { compareGroup, groups, whyNotHere } from './differential.ts'
import { whyNoHost } from './host.ts'

const why = whyNoHost()
const seed = Number(process.env['MACHINIST_SEED'] ?? 2)
/** Runs of each group and mode; a million are a matter of minutes each. */
const runs = Number(process.env['MACHINIST_RUNS'] ?? 10_000)

describe.skipIf(why !== null)(`as the host's processor does it, at length${why === null ? '' : ` (skipped: ${why})`}`, () => {
  for (const { group, mode } of groups()) {
    const not = whyNotHere(group)
    test.skipIf(not !== null)(`${group}, ${mode}-bit${not === null ? '' : ` (skipped: ${not})`}`, () => expect(compareGroup(group, mode, runs, seed)).toEqual([]))
  }
})
