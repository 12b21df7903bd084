import { conditionNames } from '../isa/names.ts'
import type { Form, Size } from '../isa/form.ts'
import { bytesOf, type OperandKind } from '../isa/operand.ts'
import { once } from '../once.ts'
import { Pseudo } from './op-format.ts'
import { type Variant, variants } from './variant.ts'

const names: ReadonlySet<string> = new Set([
  'mov', 'movzx', 'movsx', 'movsxd', 'lea', 'nop', 'xchg', 'cbw', 'cwd', 'bswap',
  'add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test', 'inc', 'dec', 'not', 'neg', 'xadd', 'cmpxchg',
  'shl', 'shr', 'sar', 'rol', 'ror', 'shld', 'shrd', 'mul', 'imul', 'bt', 'bsf', 'bsr', 'tzcnt', 'lzcnt', 'popcnt',
  'push', 'pop', 'pushf', 'cli', 'leave', 'call', 'ret', 'jmp', 'jrcxz',
  ...conditionNames.flatMap((name) => [`j${name}`, `set${name}`, `cmov${name}`]),
])
/** Of vectors what copies and compares strings, and what compilers make of loops over numbers. */
const vectorNames: ReadonlySet<string> = new Set([
  'movaps', 'movups', 'movapd', 'movupd', 'movdqa', 'movdqu', 'movd', 'movq', 'movlps', 'movhps', 'movlpd', 'movhpd', 'movhlps', 'movlhps', 'movss', 'movsd', 'movntps', 'movntpd', 'movntdq',
  'pmovmskb', 'movmskps', 'movmskpd', 'pshufd', 'pshufhw', 'pshuflw', 'shufps', 'shufpd', 'unpcklps', 'unpcklpd', 'unpckhps', 'unpckhpd',
  'andps', 'andpd', 'andnps', 'andnpd', 'orps', 'orpd', 'xorps', 'xorpd', 'pand', 'pandn', 'por', 'pxor', 'pslldq', 'psrldq', 'pmuludq', 'packuswb', 'packsswb', 'packssdw',
  ...['b', 'w', 'd', 'q'].flatMap((size) => [`padd${size}`, `psub${size}`, `psll${size}`, `psrl${size}`, `psra${size}`]),
  ...['b', 'w', 'd'].flatMap((size) => [`pcmpeq${size}`, `pcmpgt${size}`]), 'pminub', 'pmaxub', 'pminsw', 'pmaxsw', 'pmullw', 'pmulhw', 'pmaddwd',
  ...['bw', 'wd', 'dq', 'qdq'].flatMap((sizes) => [`punpckl${sizes}`, `punpckh${sizes}`]),
])
const kinds: ReadonlySet<OperandKind> = new Set(['rm', 'mem', 'offset', 'reg', 'sreg', 'opreg', 'fixed', 'imm', 'one', 'rel', 'vreg', 'vrm', 'vrmreg'])
/** Bit strings are longer than an operand. */
const inRegister: ReadonlySet<string> = new Set(['bt'])
/** Operands of 16 bits are rare, but for these. */
const words: ReadonlySet<string> = new Set(['nop', 'mov', 'cmp', 'test', 'and', 'or', 'add', 'sub', 'xor', 'cmove', 'cmovne'])
const firsts: ReadonlySet<string> = new Set(['cmp', 'test'])

/** Whether `run` has code for a variant: of general registers, as it comes up all the time. */
function isHot({ form, operandSize, memory, repeat }: Variant): boolean {
  const { instruction: { name, group }, operands, size64 } = form
  const general = names.has(name) && (group !== 'segments' || name === 'mov') && group !== 'far' && group !== 'sse2'
  const ofVectors = vectorNames.has(name) && (group === 'sse' || group === 'sse2')
  if (!general && !ofVectors || !form.modes.includes(64) && !form.modes.includes(32) || repeat !== 'none') return false
  if (operands.some(({ kind }) => !kinds.has(kind)) || operands.filter(({ kind }) => kind === 'imm').length > 1) return false
  if (memory && (inRegister.has(name) && operands[1]?.kind !== 'imm' || name === 'pop')) return false
  if (size64 !== null) return operandSize >= 4
  return ofVectors || operandSize !== 2 || words.has(name)
}

/** Whether an instruction has an immediate of 64 bits. Its op has it where others have a displacement, and on from there. */
export function hasWideImmediate({ operands }: Form, operandSize: Size): boolean {
  return operands.some(({ kind, size }) => kind === 'imm' && bytesOf(size, operandSize) === 8)
}

/** What code depends on: immediates and displacements of all sizes are the same field, and addresses are cut by a mask. */
function keyOf({ form, operandSize, memory }: Variant): string {
  const operands = form.operands.map(({ kind, size, register }) => kind === 'imm' || kind === 'rel' ? kind : `${kind}${size}${register}`)
  const size = form.operands[0]?.kind === 'rel' && form.instruction.name !== 'call' ? 0 : operandSize
  return [form.instruction.name, size, memory, ...operands].join()
}

/** A handler of `run`: a variant, and maybe a conditional jump right behind it, done at once. */
export interface HotHandler {
  readonly variant: Variant
  readonly second: Variant | null
}

/** Handlers, and the numbers of those of a variant, and of two of them at once. */
const hot = once(() => {
  const numbers = new Map<string, number>()
  const byVariant = new Map<number, number>()
  const fused = new Map<number, number>()
  const handlers: HotHandler[] = []
  variants().forEach((variant, number) => {
    if (!isHot(variant)) return
    const key = keyOf(variant)
    let handler = numbers.get(key)
    if (handler === undefined) {
      handler = Pseudo.count + handlers.push({ variant, second: null }) - 1
      numbers.set(key, handler)
    }
    byVariant.set(number, handler)
  })
  const jumps = handlers.map((handler, i) => ({ ...handler, number: Pseudo.count + i })).filter(({ variant: { form } }) => isConditional(form.instruction.name))
  handlers.map((handler, i) => ({ ...handler, number: Pseudo.count + i })).filter(({ variant }) => firsts.has(variant.form.instruction.name) && !variant.memory && variant.operandSize !== 2).forEach((first) => {
    for (const jump of jumps) fused.set(first.number << 16 | jump.number, Pseudo.count + handlers.push({ variant: first.variant, second: jump.variant }) - 1)
  })
  return { handlers, byVariant, fused }
})

/** Every handler, by its number less `Pseudo.count`. */
export const hotHandlers = (): readonly HotHandler[] => hot().handlers

function isConditional(name: string): boolean {
  return name.startsWith('j') && name !== 'jmp' && name !== 'jrcxz'
}

/** The handler of a variant, and of two of them at once; 0 when there is none. */
export const hotHandler = (variant: number): number => hot().byVariant.get(variant) ?? 0
export const fusedHandler = (first: number, second: number): number => hot().fused.get(first << 16 | second) ?? 0
