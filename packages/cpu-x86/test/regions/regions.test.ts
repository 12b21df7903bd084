import { describe, expect, test } from 'vitest'
import { readExtendedState } from '../../src/extended-state.ts'
import type { TestMachine } from '../../src/test-machine.ts'
import { Random } from '../host/random.ts'
import { at, type Program, randomProgram, ROUNDS_AT } from '../run/programs.ts'
import { flatMachine, RegionMachine } from './machine.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const ROUNDS = 800
const runs = Number(process.env.MACHINIST_RUNS ?? 12)
const BASE = Number(at.base)

function start(program: Program, mode: 32 | 64): TestMachine {
  const machine = flatMachine(mode, BASE)
  const { memory, hart: { record } } = machine
  memory.write(BASE + at.code, program.code)
  memory.write(BASE + at.data, program.data)
  memory.write(BASE + ROUNDS_AT, Uint8Array.of(ROUNDS, ROUNDS >> 8, 0, 0))
  program.registers.forEach((value, number) => { record.set64('registers', value, number) })
  return machine
}

function differences(a: TestMachine, b: TestMachine): string[] {
  const out: string[] = []
  const hex = (value: bigint): string => BigInt.asUintN(64, value).toString(16)
  const [x, y] = [a.hart.record, b.hart.record]
  for (let i = 0; i < 16; i++) if (x.get64('registers', i) !== y.get64('registers', i)) out.push(`register ${i}: ${hex(x.get64('registers', i))} ${hex(y.get64('registers', i))}`)
  if (x.get64('pc') !== y.get64('pc')) out.push(`rip: ${hex(x.get64('pc'))} ${hex(y.get64('pc'))}`)
  if (a.hart.steps !== b.hart.steps) out.push(`steps: ${a.hart.steps} ${b.hart.steps}`)
  const [flags, others] = [a, b].map(({ hart }) => JSON.stringify((hart.save() as { readonly flags?: unknown }).flags, (_, value: unknown) => typeof value === 'bigint' ? String(value) : value))
  if (flags !== others) out.push(`flags: ${String(flags)} ${String(others)}`)
  if (Buffer.compare(readExtendedState(x.data, x.state.float), readExtendedState(y.data, y.state.float)) !== 0) out.push('vectors')
  const [m, n] = [a, b].map(({ memory }) => {
    const bytes = new Uint8Array(at.size)
    memory.read(BASE, bytes)
    return bytes
  }) as [Uint8Array, Uint8Array]
  const place = m.findIndex((byte, i) => byte !== n[i])
  if (place >= 0) out.push(`memory at ${place.toString(16)}`)
  return out
}

describe('regions', () => {
  for (const mode of [64, 32] as const) {
    test(`have the state of single steps after as many of them, in ${mode}-bit code`, () => {
      let [all, inRegions] = [0, 0]
      for (let i = 0; i < runs; i++) {
        const random = new Random(seed + 1000 * i)
        const program = randomProgram(random, { mode, length: 5 + random.below(60), rounds: ROUNDS, changes: false, general: i % 2 === 0 })
        const [fast, slow] = [start(program, mode), start(program, mode)]
        const regions = new RegionMachine(fast, mode)
        const cold = i % 3 === 2 ? random.below(program.code.length) : -1
        regions.translate(BASE, [0, random.below(program.code.length)], (offset) => offset !== cold)
        for (let slice = 0; slice < 4; slice++) {
          const steps = 1 + random.below(12_000)
          regions.run(steps)
          slow.hart.run(Math.min(steps, 4096), true)
          for (let left = steps - 4096; left > 0; left -= 4096) slow.hart.run(Math.min(left, 4096), true)
          expect([i, slice, ...differences(fast, slow)]).toEqual([i, slice])
        }
        inRegions += regions.steps
        all += slow.hart.steps
      }
      expect(inRegions / all).toBeGreaterThan(0.2)
    })
  }
})
