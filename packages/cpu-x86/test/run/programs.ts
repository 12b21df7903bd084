import { encode, type Form, forms, operandSizes } from '../../src/isa/index.ts'
import type { Random } from '../host/random.ts'

/** Where programs and their data lie, with the stack behind. */
export const at = { base: 0x40_0000n, code: 0, data: 0x2000, stack: 0x1_8000, size: 0x2_0000 } as const

/** Registers that a program changes, and those that hold addresses of data, of code, and the number of rounds that are left. */
const FREE = [0, 1, 2, 8, 9, 10, 11, 12]
const [CODE, DATA, ROUNDS] = [3, 6, 15] as const

/** Groups of what programs are made of, and names that need more than a register, or leave the program. */
const groups: ReadonlySet<string> = new Set(['arithmetic', 'shifts', 'multiply', 'bits', 'moves', 'stack'])
const excluded: ReadonlySet<string> = new Set(['popf', 'leave', 'enter', 'ud2', 'xlat', 'div', 'idiv', 'cmpxchg8b', 'std', 'cld', 'rdrand', 'rdseed', 'rdpid', 'xchg', 'pushf'])

const usable = forms.filter((form) => {
  const { instruction: { group, name }, operands, modes } = form
  return modes.includes(64) && groups.has(group) && !excluded.has(name) && !operands.some(({ kind, size }) => kind === 'offset' || kind === 'rel' || size === 'n')
})
const named = (name: string, found: (form: Form) => boolean = () => true): Form => {
  const form = forms.find((candidate) => candidate.instruction.name === name && found(candidate))
  if (!form) throw new RangeError(`there is no ${name}`)
  return form
}
const jumps = forms.filter(({ instruction: { name, group }, operands }) => group === 'control' && operands[0]?.kind === 'rel' && /^j[^mr]/.test(name) && operands[0].size === 'b')
const call = named('call', ({ operands }) => operands[0]?.kind === 'rel')
const back = named('jne', ({ operands }) => operands[0]?.kind === 'rel' && operands[0].size === 'z')

function random64(random: Random): bigint {
  const edge = random.below(3)
  return edge === 0 ? BigInt(random.below(256)) : edge === 1 ? BigInt.asUintN(64, (1n << BigInt(random.below(64))) - BigInt(random.below(3))) : random.bits64()
}

/** One instruction on free registers and data. */
function plain(random: Random): Uint8Array {
  const form = random.of(usable)
  const memory = form.operands.some(({ kind }) => kind === 'mem') || form.operands.some(({ kind }) => kind === 'rm') && random.below(2) === 0
  const bits = /^bt/.test(form.instruction.name)
  const address = { base: DATA, displacement: random.below(4000), ...bits || random.below(4) !== 0 ? {} : { index: 13, scale: random.below(4) } }
  const immediates = form.operands.filter(({ kind }) => kind === 'imm').map(() => random64(random))
  // A bit string reaches as far as its number says.
  const register = memory && bits && form.operands[1]?.kind === 'reg' ? 13 : random.of(FREE)
  return encode(form, {
    mode: 64, operandSize: random.of(operandSizes(form, 64)), immediates, rm: memory ? address : random.of(FREE), ...form.digit === null ? { reg: register } : {},
    rex: random.below(4) === 0, lock: form.lock && memory && random.below(4) === 0,
  })
}

/** What a program is run with. */
export interface Program {
  readonly code: Uint8Array
  readonly data: Uint8Array
  readonly registers: readonly bigint[]
}

/**
 * A loop of random instructions, with branches within it, calls of a function behind it, REP, and, when it `changes` itself, stores into immediates of its own.
 */
export function randomProgram(random: Random, { length, rounds, changes }: { readonly length: number; readonly rounds: number; readonly changes: boolean }): Program {
  const parts: Uint8Array[] = []
  const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
  const calls: number[] = []
  const immediates: number[] = []
  const stores: number[] = []
  for (let i = 0; i < length; i++) {
    const choice = random.below(12)
    if (choice === 0) {
      // A branch over the next few.
      const inner = Array.from({ length: 1 + random.below(3) }, () => plain(random))
      const bytes = inner.reduce((sum, part) => sum + part.length, 0)
      parts.push(encode(random.of(jumps), { mode: 64, immediates: [BigInt(bytes)] }), ...inner)
    } else if (choice === 1) {
      calls.push(parts.length)
      parts.push(encode(call, { mode: 64, immediates: [0n] }))
    } else if (choice === 2 && changes) {
      // mov r10d, imm32
      immediates.push(parts.length)
      parts.push(hex('41ba01020304'))
    } else if (choice === 3 && changes) {
      // mov [rbx+disp32], al
      stores.push(parts.length)
      parts.push(hex('888300000000'))
    } else if (choice === 4) {
      // lea rdi, [rsi+d32]; mov ecx, n; rep stosb, stosq or movsb
      const from = random.below(3000)
      parts.push(hex('488dbe'), Uint8Array.of(from & 255, from >> 8, 0, 0, 0xb9, random.below(90), 0, 0, 0), hex(random.of(['f3aa', 'f348ab', 'f3a4', 'f348a5', 'f366ab'])), hex('488db500000000'))
    } else parts.push(plain(random))
  }
  // dec r15; jne
  parts.push(hex('49ffcf'))
  const starts = [0]
  for (const part of parts) starts.push((starts[starts.length - 1] ?? 0) + part.length)
  const start = (index: number): number => starts[index] ?? 0
  const loop = start(parts.length)
  parts.push(encode(back, { mode: 64, immediates: [BigInt(-(loop + 6))] }), hex('0f0b'))
  // inc r8; jc +2; neg r9d; ret
  const target = loop + 8
  parts.push(hex('49ffc0720341f7d9c3'))
  const code = new Uint8Array(target + 9)
  let place = 0
  for (const part of parts) {
    code.set(part, place)
    place += part.length
  }
  const view = new DataView(code.buffer)
  for (const index of calls) view.setInt32(start(index) + 1, target - (start(index) + 5), true)
  for (const index of stores) {
    const goal = immediates.length === 0 ? 0xf00 : start(random.of(immediates)) + 2 + random.below(4)
    view.setInt32(start(index) + 2, goal, true)
  }
  const data = new Uint8Array(0x3000)
  for (let i = 0; i < data.length; i++) data[i] = random.below(256)
  const registers = Array.from({ length: 16 }, () => random64(random))
  registers[4] = at.base + BigInt(at.stack)
  registers[CODE] = at.base
  // RBP is where RSI is put back to.
  registers[DATA] = registers[5] = at.base + BigInt(at.data)
  registers[13] = BigInt(random.below(64))
  registers[7] = at.base + BigInt(at.data)
  registers[ROUNDS] = BigInt(rounds)
  return { code, data, registers }
}
