import { describe, expect, test } from 'vitest'
import { Interpreter } from '../../src/index.ts'
import { Random } from '../host/random.ts'
import { at, type Program, randomProgram } from './programs.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const runs = Number(process.env.MACHINIST_RUNS ?? 16)

function start(program: Program): Interpreter {
  const cpu = new Interpreter({ mode: 64, base: at.base, size: at.size })
  cpu.memory.set(program.code, at.code)
  cpu.memory.set(program.data, at.data)
  program.registers.forEach((value, i) => cpu.setRegister(i, value))
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
  const place = a.memory.findIndex((byte, i) => byte !== b.memory[i])
  if (place >= 0) out.push(`memory at ${place.toString(16)}`)
  return out
}

describe('run', () => {
  for (const changes of [false, true]) {
    test(`has the state of single steps after as many of them${changes ? ', of code that changes itself' : ''}`, () => {
      for (let i = 0; i < runs; i++) {
        const random = new Random(seed + 1000 * i + (changes ? 500 : 0))
        const program = randomProgram(random, { length: 5 + random.below(60), rounds: 400, changes })
        const [fast, slow] = [start(program), start(program)]
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
