import { decode, encode, type Form, type Mode, operandSizes, type Size } from '../../src/isa/index.ts'
import { CODE_SIZE, MEMORY_AT, MEMORY_SIZE, type Run } from './host.ts'
import { Interpreter } from '../../src/index.ts'
import { floats, randomExtended, takesExtended, takesVectors } from './extended.ts'
import type { Random } from './random.ts'

const RCX = 1
const RSP = 4
const RSI = 6
const RDI = 7
/** Where the stack is at first, with room on both sides. */
const STACK_AT = MEMORY_AT + BigInt(CODE_SIZE) + 0x800n
const INT3 = 0xcc
/** An address in the page of code, behind the code. As code it is an INT3, and sums of no consequence from its middle. */
const AN_INT3 = MEMORY_AT + 0x2ccn
const ALL_INT3 = 0xcccc_cccc_cccc_ccccn
/** Base registers of memory operands: they hold addresses in the data pages, until an instruction writes them. */
const POINTERS = [3, 5, RSI, RDI]

const initialExtended = new Interpreter({ mode: 64, base: 0n, size: 4096 }).extendedState

const doubleShifts: ReadonlySet<string> = new Set(['shld', 'shrd'])

/** Random values of which many are at the borders of sizes. */
function number(random: Random): bigint {
  switch (random.below(6)) {
    case 0: return BigInt(random.below(4))
    case 1: return BigInt.asUintN(64, -BigInt(random.below(4)))
    case 2: return BigInt.asUintN(64, (1n << BigInt(random.below(64))) - BigInt(random.below(3)))
    case 3: return BigInt(random.below(256))
    default: return random.bits64()
  }
}

/** Of vectors mostly a multiple of their size. */
function displacement(random: Random, form: Form): number {
  const near = random.below(3) === 0 ? random.below(2000) - 1000 : random.below(100) - 50
  return takesVectors(form) && random.below(8) !== 0 ? near & ~31 : near
}

/** One random encoding of a form, or null when the form is not to be run with these choices. */
function instruction(random: Random, form: Form, mode: Mode): Uint8Array | null {
  const last = mode === 64 ? 15 : 7
  const size = random.of(operandSizes(form, mode))
  const register = (): number => random.below(last + 1)
  const takesMemory = form.operands.some(({ kind }) => kind === 'rm' || kind === 'mem' || kind === 'vrm' || kind === 'mrm')
  const onlyMemory = form.operands.some(({ kind }) => kind === 'mem')
  const memory = takesMemory && (onlyMemory || random.below(2) === 0)
  const indexed = random.below(takesVectors(form) ? 16 : 4) === 0
  // The bit number of BT and its like moves the access itself, so its register is one that holds a small number.
  const rm = memory ? { base: random.of(POINTERS), ...form.vsib ? { index: register(), scale: random.below(4) } : indexed ? { index: RCX, scale: random.below(4) } : {}, displacement: displacement(random, form) } : register()
  const offset = form.operands.some(({ kind }) => kind === 'offset')
  const immediates = form.operands.filter(({ kind }) => kind === 'imm' || kind === 'rel' || kind === 'vimm').map(({ kind }) => kind === 'rel' ? 0n : number(random))
  if (size === 2 && doubleShifts.has(form.instruction.name)) {
    // Beyond 16 bits the result is undefined, and AMD's is not Intel's.
    if (form.operands[2]?.kind === 'fixed') return null
    immediates[0] = BigInt(random.below(17))
  }
  const repeat = form.repeat !== null && random.below(2) === 0 ? random.of([0xf2, 0xf3] as const) : undefined
  return encode(form, {
    mode, operandSize: size, immediates, rex: mode === 64 && form.vex === null && random.below(4) === 0,
    rm: offset ? { displacement: Number(MEMORY_AT) + CODE_SIZE + random.below(4000) } : rm,
    ...form.digit === null ? { reg: form.operands.some(({ kind }) => kind === 'sreg') ? random.below(6) : register() } : {},
    vvvv: form.operands.some(({ kind }) => kind === 'vvvv' || kind === 'vvvvreg') ? register() : 0, vector: random.of([16, 32] as const),
    ...repeat === undefined ? {} : { repeat }, lock: form.lock && memory && random.below(4) === 0,
  })
}

/** Contents for the data pages; for code that `jumps`, INT3 and addresses of INT3. */
export function randomData(random: Random, jumps: boolean): Uint8Array {
  const data = new Uint8Array(MEMORY_SIZE - CODE_SIZE)
  const view = new DataView(data.buffer)
  for (let i = 0; i < data.length; i += 8) view.setBigUint64(i, !jumps ? random.below(3) === 0 ? floats(random) : number(random) : random.below(2) === 0 ? ALL_INT3 : AN_INT3, true)
  return data
}

/** A run of a few random instructions of some forms, which ends in INT3. */
export function randomRun(random: Random, forms: readonly Form[], mode: 32 | 64, length: number, data: Uint8Array, jumps: boolean): Run {
  const usable = forms.filter((form) => form.modes.includes(mode))
  const code: number[] = []
  for (let i = 0; i < length; i++) {
    const bytes = instruction(random, random.of(usable), mode)
    if (bytes) code.push(...bytes)
  }
  code.push(INT3, INT3)
  const cut = (value: bigint): bigint => mode === 32 ? BigInt.asUintN(32, value) : value
  const registers = Array.from({ length: 16 }, (_, i) => mode === 32 && i >= 8 ? 0n : cut(number(random)))
  for (const pointer of POINTERS) registers[pointer] = MEMORY_AT + BigInt(CODE_SIZE + 1024 + random.below(MEMORY_SIZE - CODE_SIZE - 2048) & (jumps ? ~7 : usable.some(takesVectors) ? ~31 : ~0))
  registers[RSP] = STACK_AT + BigInt(random.below(16))
  const down = random.below(4) === 0
  // Downwards REP must not come to the code.
  if (down || random.below(4) !== 0) registers[RCX] = BigInt(random.below(70))
  return { mode, code: Uint8Array.from(code), registers, flags: random.below(0x1000) & 0x8d5 | (down ? 0x400 : 0), data, extended: usable.some(takesExtended) ? randomExtended(random, usable.some(({ vsib }) => vsib)) : initialExtended }
}

/** The form and size of the instruction at the start of code. */
export function formAt(code: Uint8Array, mode: Mode): { form: Form; size: Size; length: number } | null {
  const decoded = decode(code, mode)
  return typeof decoded === 'string' ? null : { form: decoded.form, size: decoded.operandSize, length: decoded.length }
}
