import fc from 'fast-check'
import { expect, test } from 'vitest'
import { at, boot, type How } from '../test/memory/boot.ts'
import type { Interpreter } from './interpreter.ts'

const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7]
const NOP = 0x90
/** Where no code is. */
const SOURCE = 0x5000
const STEPS = 0x60
/** REP MOVS and REP STOS of bytes, and of words or doublewords. */
const kinds = { movsb: [0xf3, 0xa4], movs: [0xf3, 0xa5], stosb: [0xf3, 0xaa], stos: [0xf3, 0xab] } as const

interface Case {
  readonly how: How
  readonly kind: keyof typeof kinds
  readonly down: boolean
  /** Bytes from where a page ends to the instruction. */
  readonly offset: number
  /** Bytes from the instruction to the first that is written. */
  readonly ahead: number
  readonly count: number
}

/** At an instruction that comes to write NOPs over itself. */
function prepared({ how, kind, down, offset, ahead, count }: Case): Interpreter {
  const cpu = boot(how, Uint8Array.of())
  const instruction = at.code + 0x1000 + offset
  cpu.memory.fill(NOP, SOURCE, SOURCE + 0x1000)
  cpu.memory.fill(NOP, at.code, at.code + 0x2000)
  cpu.memory.set(kinds[kind], instruction)
  cpu.rip = BigInt(how === 'real' ? instruction - at.code : instruction)
  cpu.flags = down ? cpu.flags | 0x400 : cpu.flags & ~0x400
  for (const [number, value] of [[RAX, 0x9090_9090], [RCX, count], [RSI, SOURCE + 0x800], [RDI, instruction + (down ? ahead : -ahead)]] as const) cpu.setRegister(number, BigInt(value))
  return cpu
}

/** What a machine is after so many steps, in runs of these budgets again and again. */
function after(one: Case, budgets: readonly number[]): unknown {
  const cpu = prepared(one)
  for (let done = 0, n = 0; done < STEPS; n++) {
    const budget = Math.min(budgets[n % budgets.length] ?? 1, STEPS - done)
    expect(cpu.run(budget)).toEqual({ kind: 'done' })
    done += budget
  }
  return { rip: cpu.rip, registers: [RCX, RSI, RDI].map((number) => cpu.register(number)), code: Buffer.from(cpu.memory.subarray(at.code, at.code + 0x2000)).toString('hex') }
}

test('a REP that writes over itself is as its bytes are at each iteration, wherever runs end', () => {
  const known: Case = { how: 'real', kind: 'movsb', down: true, offset: 0x10, ahead: 0x10, count: 0x30 }
  // 16 iterations: the last of them has written over its second byte.
  expect(after(known, [STEPS])).toMatchObject({ registers: [0x20n, expect.anything(), expect.anything()] })
  const cases = fc.record({
    how: fc.constantFrom<How>('real', '16', '32', '64'), kind: fc.constantFrom(...Object.keys(kinds) as (keyof typeof kinds)[]), down: fc.boolean(),
    offset: fc.constantFrom(-0x80, -1, -1, 0, 0x80), ahead: fc.integer({ min: 0, max: 0x40 }), count: fc.integer({ min: 0x20, max: 0x50 }),
  })
  fc.assert(fc.property(cases, fc.array(fc.integer({ min: 1, max: STEPS }), { minLength: 1, maxLength: 6 }), (one, budgets) => {
    const single = after(one, [1])
    expect(after(one, budgets)).toEqual(single)
    expect(after(one, [STEPS])).toEqual(single)
  }), { numRuns: 40 })
})
