import { describe, expect, test } from 'vitest'
import type { TestMachine } from '../../src/test-machine.ts'
import { Random } from '../host/random.ts'
import { at, type Program, randomProgram } from '../run/programs.ts'
import { differences, loadProgram } from './compare.ts'
import { flatMachine } from './machine.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const runs = Number(process.env.MACHINIST_RUNS ?? 8)
const ROUNDS = 3000
/** Little makes code hot, and samples come at all kinds of distances. */
const HOT = 400

function start(program: Program, mode: 32 | 64, translate: 'now' | 'off'): TestMachine {
  const machine = flatMachine(mode, Number(at.base), { translate, hot: HOT })
  loadProgram(machine, program, ROUNDS)
  return machine
}

describe('an engine that translates', () => {
  for (const mode of [64, 32] as const) {
    for (const changes of [false, true]) {
      test(`has the state of one that does not, in ${mode}-bit code${changes ? ' that changes itself' : ''}`, () => {
        let [translated, steps, dropped] = [0, 0, 0]
        for (let i = 0; i < runs; i++) {
          const random = new Random(seed + 1000 * i)
          const program = randomProgram(random, { mode, length: 5 + random.below(60), rounds: ROUNDS, changes, general: i % 3 !== 0 })
          const [fast, slow] = [start(program, mode, 'now'), start(program, mode, 'off')]
          for (let slice = 0; slice < 5; slice++) {
            const budget = 1 + random.below(random.of([100, 3000, 30_000]))
            // Any budget is kept to, and one that need not be is overrun by little.
            const exits = [fast, slow].map(({ hart }) => hart.run(budget, true))
            expect([i, slice, exits[0], ...differences(fast, slow)]).toEqual([i, slice, exits[1]])
          }
          translated += fast.cpu.stats.translated ?? 0
          dropped += fast.cpu.stats.dropped ?? 0
          steps += fast.hart.steps
          expect([slow.cpu.stats.translated, fast.cpu.stats.refused]).toEqual([0, 0])
          fast.cpu.dispose()
          slow.cpu.dispose()
        }
        expect(translated / steps).toBeGreaterThan(changes ? 0.01 : 0.2)
        // Programs that do not mean to change may go astray.
        if (changes) expect(dropped).toBeGreaterThan(0)
      })
    }
  }
})
