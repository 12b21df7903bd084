import { describe, expect, test } from 'vitest'
import { compareGroup, groups, whyNotHere } from './differential.ts'
import { whyNoHost } from './host.ts'

const why = whyNoHost()
const seed = Number(process.env['MACHINIST_SEED'] ?? 1)
const RUNS = 400

// Runs of one to five random instructions of a group, here and on the host's own processor.
describe.skipIf(why !== null)(`as the host's processor does it${why === null ? '' : ` (skipped: ${why})`}`, () => {
  for (const { group, mode } of groups()) {
    const not = whyNotHere(group)
    test.skipIf(not !== null)(`${group}, ${mode}-bit${not === null ? '' : ` (skipped: ${not})`}`, () => expect(compareGroup(group, mode, RUNS, seed)).toEqual([]))
  }
})
