import { describe, expect, test } from 'vitest'
import { Interpreter } from '../../src/index.ts'
import { Random } from '../host/random.ts'
import { at, type Program, randomProgram, ROUNDS_AT } from './programs.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const ROUNDS = 400
const runs = Number(process.env.MACHINIST_RUNS ?? 16)

function start(program: Program, mode: 32 | 64): Interpreter {
  const cpu = new Interpreter({ mode, base: at.base, size: at.size })
  cpu.memory.set(program.code, at.code)
  cpu.memory.set(program.data, at.data)
  program.registers.forEach((value, i) => cpu.setRegister(i, value))
  new DataView(cpu.memory.buffer, cpu.memory.byteOffset).setUint32(ROUNDS_AT, ROUNDS, true)
  cpu.rip = at.base
  return cpu
}

/** One step, as `run` counts them. */
function crawl(cpu: Interpreter): boolean {
  const step = cpu.step()
  return step.kind === 'done' || step.kind === 'exception' && cpu.deliver(step).kind === 'done'
}

function differences(a: Interpreter, b: Interpreter): string[] {
  const out: string[] = []
  for (let i = 0; i < 16; i++) if (a.register(i) !== b.register(i)) out.push(`register ${i}: ${a.register(i).toString(16)} ${b.register(i).toString(16)}`)
  if (a.rip !== b.rip) out.push(`rip: ${a.rip.toString(16)} ${b.rip.toString(16)}`)
  if (a.flags !== b.flags) out.push(`flags: ${a.flags.toString(16)} ${b.flags.toString(16)}`)
  if (Buffer.compare(a.extendedState, b.extendedState) !== 0) out.push('vectors')
  const place = a.memory.findIndex((byte, i) => byte !== b.memory[i])
  if (place >= 0) out.push(`memory at ${place.toString(16)}`)
  return out
}

describe('run', () => {
  for (const [mode, changes] of [[64, false], [64, true], [32, false], [32, true]] as const) {
    test(`has the state of single steps after as many of them, in ${mode}-bit code${changes ? ' that changes itself' : ''}`, () => {
      for (let i = 0; i < runs; i++) {
        const random = new Random(seed + 1000 * i + (changes ? 500 : 0))
        const program = randomProgram(random, { mode, length: 5 + random.below(60), rounds: ROUNDS, changes })
        const [fast, slow] = [start(program, mode), start(program, mode)]
        for (let slice = 0; slice < 4; slice++) {
          const steps = 1 + random.below(9000)
          fast.run(steps)
          for (let n = 0; n < steps && crawl(slow); n++);
          expect([i, slice, ...differences(fast, slow)]).toEqual([i, slice])
        }
      }
    })
  }
})
