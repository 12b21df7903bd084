import { describe, expect, test } from 'vitest'
import { legacyRegion } from '../../src/extended-state.ts'
import { forms } from '../../src/isa/index.ts'
import { newInterpreter, runHere, transcendental, whyNotHere } from './differential.ts'
import { randomExtended } from './extended.ts'
import { buildHost, CODE_SIZE, MEMORY_AT, MEMORY_SIZE, type Outcome, type Run, whyNoHost } from './host.ts'
import { Random } from './random.ts'

const why = whyNoHost() ?? whyNotHere('x87')
const RUNS = 300
const BIAS = 16383
const C1 = 0x200
const data = new Uint8Array(MEMORY_SIZE - CODE_SIZE)

/** What an instruction is defined for, or anything; two numbers on the stack. */
function state(random: Random, name: string, kind: 'usual' | 'large' | 'any'): Uint8Array {
  const extended = randomExtended(random, false)
  if (kind === 'any') return extended
  const view = new DataView(extended.buffer)
  view.setUint16(legacyRegion.control, 0x37f, true)
  view.setUint16(legacyRegion.status, 3 << 11, true)
  view.setUint8(legacyRegion.tags, 3 << 3)
  for (let i = 0; i < 2; i++) {
    const below = name === 'f2xm1' || name === 'fyl2xp1' && i === 0
    const exponent = BIAS + (kind === 'large' ? random.below(60) : below ? -3 - random.below(10) : random.below(8) - 6)
    view.setBigUint64(legacyRegion.stack + 16 * i, 1n << 63n | random.bits64(), true)
    view.setUint16(legacyRegion.stack + 16 * i + 8, exponent | (name === 'fyl2x' && i === 0 ? 0 : random.below(2) << 15), true)
  }
  return extended
}

/** What differs by more than a unit in the last place, in words; and whether nothing does at all. */
function difference(here: Outcome, host: Outcome): { readonly wrong: string; readonly same: boolean } {
  const [a, b] = [here, host].map(({ extended }) => new DataView(extended.buffer, extended.byteOffset)) as [DataView, DataView]
  const wrong: string[] = []
  let same = true
  for (let i = 0; i < 8; i++) {
    // Exponent and fraction, so that numbers next to each other are one apart.
    const [x, y] = [a, b].map((view) => BigInt.asUintN(63, view.getBigUint64(legacyRegion.stack + 16 * i, true)) | BigInt(view.getUint16(legacyRegion.stack + 16 * i + 8, true)) << 63n) as [bigint, bigint]
    const apart = x > y ? x - y : y - x
    if (apart !== 0n) same = false
    if (apart > 1n) wrong.push(`st${i} ${x.toString(16)}, host ${y.toString(16)}`)
  }
  const [s, t] = [a, b].map((view) => view.getUint16(legacyRegion.status, true)) as [number, number]
  if ((s ^ t) & ~C1) wrong.push(`status ${s.toString(16)}, host ${t.toString(16)}`)
  if (a.getUint8(legacyRegion.tags) !== b.getUint8(legacyRegion.tags)) wrong.push('tags')
  if (here.vector !== host.vector) wrong.push(`vector ${here.vector}, host ${host.vector}`)
  return { wrong: wrong.join('; '), same }
}

describe.skipIf(why !== null)(`transcendental functions are those of the host's processor but for the last place${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test.each([...transcendental])('%s', (name) => {
    const form = forms.find(({ instruction }) => instruction.name === name)
    if (!form) throw new Error(`there is no ${name}`)
    const random = new Random(Number(process.env['MACHINIST_SEED'] ?? 1))
    const cpu = newInterpreter(64)
    const host = buildHost()
    try {
      // Of numbers beyond one FYL2XP1 is not defined.
      for (const kind of name === 'fyl2xp1' ? ['usual'] as const : ['usual', 'large', 'any'] as const) {
        const runs: Run[] = Array.from({ length: RUNS }, () => ({
          mode: 64, code: Uint8Array.of(0xd9, form.fixedModrm ?? 0, 0xcc, 0xcc), registers: Array.from({ length: 16 }, () => MEMORY_AT + 0x2000n), flags: 0, data, extended: state(random, name, kind),
        }))
        const outcomes = host.run(runs)
        const found = runs.map((run, i) => {
          const [here, outcome] = [runHere(cpu, run), outcomes[i]]
          if (!here || !outcome) throw new Error('an answer is missing')
          return difference(here, outcome)
        })
        expect(found.map(({ wrong }) => wrong).filter((wrong) => wrong !== ''), kind).toEqual([])
        expect(found.filter(({ same }) => same).length, kind).toBeGreaterThan(RUNS * 0.9)
      }
    } finally {
      host.dispose()
    }
  })
})
