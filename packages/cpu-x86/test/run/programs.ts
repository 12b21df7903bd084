import { encode, type Form, forms, operandSizes } from '../../src/isa/index.ts'
import type { Random } from '../host/random.ts'

/** Where programs and their data lie, with the stack behind. */
export const at = { base: 0x40_0000n, code: 0, data: 0x2000, stack: 0x1_8000, size: 0x2_0000 } as const

/** Registers that hold addresses of code and data, a small number, and the number of rounds that are left. */
const [CODE, DATA, SMALL, ROUNDS] = [3, 6, 13, 15] as const

/** What of a program depends on its mode: registers that it changes, and code. */
const modes = {
  64: {
    free: [0, 1, 2, 8, 9, 10, 11, 12],
    // mov r10d, imm32; lea rdi, [rsi+d32]; lea rsi, [rbp+0]; dec r15; inc r8; jc +3; neg r9d; ret
    immediate: '41ba01020304', destination: '488dbe', source: '488db500000000', repeats: ['f3aa', 'f348ab', 'f3a4', 'f348a5', 'f366ab'], round: '49ffcf', called: '49ffc0720341f7d9c3',
  },
  32: {
    free: [0, 1, 2],
    // The same with EDX, and with the rounds in memory: dec dword [ebx+0x1f00]; nop; inc eax; jc +3; neg edx; nop; ret
    immediate: '90ba01020304', destination: '908dbe', source: '908db500000000', repeats: ['f3aa', 'f3ab', 'f3a4', 'f3a5', 'f366ab'], round: 'ff8b001f0000', called: 'ffc09072039ff7dac3',
  },
} as const
type Mode = keyof typeof modes
/** Where the rounds of 32-bit programs are. */
export const ROUNDS_AT = 0x1f00

/** CLI; STI; PUSHF and POP of rAX; MOV from segment registers, to EAX, AX and memory. */
const system = ['fa', 'fb', '9c58', '8cd8', '8cc8', '668ce0', '8c9e10010000'] as const

/** Groups of what programs are made of, and names that need more than a register, or leave the program. */
const groups: ReadonlySet<string> = new Set(['arithmetic', 'shifts', 'multiply', 'bits', 'moves', 'stack', 'sse', 'sse2', 'sse3', 'ssse3', 'sse4_1', 'sse4_2'])
const excluded: ReadonlySet<string> = new Set(['popf', 'leave', 'enter', 'ud2', 'xlat', 'div', 'idiv', 'cmpxchg8b', 'std', 'cld', 'rdrand', 'rdseed', 'rdpid', 'xchg', 'pushf', 'maskmovq', 'maskmovdqu', 'ldmxcsr', 'stmxcsr'])

const usable = (mode: Mode): Form[] => forms.filter((form) => {
  const { instruction: { group, name }, operands } = form
  return form.modes.includes(mode) && groups.has(group) && !excluded.has(name) && !operands.some(({ kind, size }) => kind === 'offset' || kind === 'rel' || size === 'n')
})
const usableIn = { 64: usable(64), 32: usable(32) } as const
const vectors: ReadonlySet<string> = new Set(['sse', 'sse2', 'sse3', 'ssse3', 'sse4_1', 'sse4_2'])
const generalIn = { 64: usableIn[64].filter(({ instruction: { group } }) => !vectors.has(group)), 32: usableIn[32].filter(({ instruction: { group } }) => !vectors.has(group)) } as const
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
function plain(random: Random, mode: Mode, general: boolean): Uint8Array {
  const form = random.of((general ? generalIn : usableIn)[mode])
  const { free } = modes[mode]
  const bits = /^bt/.test(form.instruction.name)
  // A bit string reaches as far as its number says.
  const far = bits && form.operands[1]?.kind === 'reg'
  const memory = form.operands.some(({ kind }) => kind === 'mem') || form.operands.some(({ kind }) => kind === 'rm') && random.below(2) === 0 && !(far && mode === 32)
  const address = { base: DATA, displacement: form.aligned ? random.below(250) * 16 : random.below(4000), ...bits || form.aligned || mode === 32 || random.below(4) !== 0 ? {} : { index: SMALL, scale: random.below(4) } }
  const immediates = form.operands.filter(({ kind }) => kind === 'imm').map(() => random64(random))
  const register = memory && far ? SMALL : random.of(free)
  return encode(form, {
    mode, operandSize: random.of(operandSizes(form, mode)), immediates, rm: memory ? address : random.of(free), ...form.digit === null ? { reg: register } : {},
    rex: mode === 64 && random.below(4) === 0, lock: form.lock && memory && random.below(4) === 0,
  })
}

/** What a program is run with. */
export interface Program {
  readonly code: Uint8Array
  readonly data: Uint8Array
  readonly registers: readonly bigint[]
}

/**
 * A loop of random instructions, with branches within it, calls of a function behind it, REP, flags and segment registers as a whole, and, when it `changes` itself, stores into immediates of its own. A `general` one has no vectors.
 */
export function randomProgram(random: Random, { mode, length, rounds, changes, general = false }: { readonly mode: Mode; readonly length: number; readonly rounds: number; readonly changes: boolean; readonly general?: boolean }): Program {
  const { immediate, destination, source, repeats, round, called } = modes[mode]
  const parts: Uint8Array[] = []
  const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
  const calls: number[] = []
  const immediates: number[] = []
  const stores: number[] = []
  for (let i = 0; i < length; i++) {
    const choice = random.below(12)
    if (choice === 0) {
      // A branch over the next few.
      const inner = Array.from({ length: 1 + random.below(3) }, () => plain(random, mode, general))
      const bytes = inner.reduce((sum, part) => sum + part.length, 0)
      parts.push(encode(random.of(jumps), { mode, immediates: [BigInt(bytes)] }), ...inner)
    } else if (choice === 1) {
      calls.push(parts.length)
      parts.push(encode(call, { mode, immediates: [0n] }))
    } else if (choice === 2 && changes) {
      immediates.push(parts.length)
      parts.push(hex(immediate))
    } else if (choice === 3 && changes) {
      // mov [rbx+disp32], al
      stores.push(parts.length)
      parts.push(hex('888300000000'))
    } else if (choice === 4) {
      // A place for rDI; mov ecx, n; REP; and rSI as before.
      const from = random.below(3000)
      parts.push(hex(destination), Uint8Array.of(from & 255, from >> 8, 0, 0, 0xb9, random.below(90), 0, 0, 0), hex(random.of(repeats)), hex(source))
    } else if (choice === 5) parts.push(hex(random.of(system)))
    else parts.push(plain(random, mode, general))
  }
  parts.push(hex(round))
  const starts = [0]
  for (const part of parts) starts.push((starts[starts.length - 1] ?? 0) + part.length)
  const start = (index: number): number => starts[index] ?? 0
  const loop = start(parts.length)
  parts.push(encode(back, { mode, immediates: [BigInt(-(loop + 6))] }), hex('0f0b'))
  const target = loop + 8
  parts.push(hex(called))
  const code = new Uint8Array(target + called.length / 2)
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
  const registers = Array.from({ length: 16 }, () => mode === 64 ? random64(random) : random64(random) & 0xffff_ffffn)
  registers[4] = at.base + BigInt(at.stack)
  registers[CODE] = at.base
  // RBP is where RSI is put back to.
  registers[DATA] = registers[5] = at.base + BigInt(at.data)
  registers[13] = BigInt(random.below(64))
  registers[7] = at.base + BigInt(at.data)
  registers[ROUNDS] = BigInt(rounds)
  return { code, data, registers }
}
