import { i32, i64, type Expr, type Local } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { Flag } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Binary arithmetic and logic (SDM volume 1, 7.3.2 and 7.3.5; volume 2 for each). */
const { instructions, define } = group('arithmetic')
export const arithmetic: readonly Instruction[] = instructions

type Meaning = (s: Stage) => void

/** A sum or difference of the size of the destination; of 32 bits it is one as such. */
const sized = (s: Stage, kind: 'add' | 'sub', a: Expr<'i64'>, b: Expr<'i64'>): Expr<'i64'> =>
  s.size(0) === 4 ? i64.extendU(i32[kind](i32.wrap(a), i32.wrap(b))) : s.truncate(i64[kind](a, b), s.size(0))

/** dest = dest op source, whose flags are those of an addition or subtraction. */
const combine = (kind: 'add' | 'sub', { store, carry }: { store: boolean; carry: boolean }): Meaning => (s) => {
  const a = s.let(s.read(0))
  const b = s.let(s.read(1, s.size(0)))
  const cf = carry ? s.let(i64.extendU(s.carry())) : null
  const result = s.let(sized(s, kind, cf ? i64[kind](a, b) : a, cf ?? b))
  if (store) s.write(0, result)
  s.setArithmetic(kind, [a, b], result, s.size(0), cf)
}

const logic = (operation: (a: Local<'i64'>, b: Local<'i64'>) => Expr<'i64'>, store: boolean): Meaning => (s) => {
  const a = s.let(s.read(0))
  const b = s.let(s.read(1, s.size(0)))
  const result = s.let(operation(a, b))
  if (store) s.write(0, result)
  s.setLogic(result, s.size(0))
}

const eight: readonly (readonly [string, Meaning])[] = [
  ['add', combine('add', { store: true, carry: false })],
  ['or', logic((a, b) => i64.or(a, b), true)],
  ['adc', combine('add', { store: true, carry: true })],
  ['sbb', combine('sub', { store: true, carry: true })],
  ['and', logic((a, b) => i64.and(a, b), true)],
  ['sub', combine('sub', { store: true, carry: false })],
  ['xor', logic((a, b) => i64.xor(a, b), true)],
  ['cmp', combine('sub', { store: false, carry: false })],
]
eight.forEach(([name, meaning], i) => {
  const row = (column: number): string => (i * 8 + column).toString(16).toUpperCase().padStart(2, '0')
  define(name, [
    `${row(0)} Eb Gb`, `${row(1)} Ev Gv`, `${row(2)} Gb Eb`, `${row(3)} Gv Ev`, `${row(4)} AL Ib`, `${row(5)} rAX Iz`,
    `80/${i} Eb Ib`, `81/${i} Ev Iz`, `82/${i} Eb Ib; not64`, `83/${i} Ev Ib`,
  ], meaning, { lock: name !== 'cmp' })
})
define('test', ['84 Eb Gb', '85 Ev Gv', 'A8 AL Ib', 'A9 rAX Iz', 'F6/0 Eb Ib', 'F7/0 Ev Iz', 'F6/1 Eb Ib', 'F7/1 Ev Iz'], logic((a, b) => i64.and(a, b), false))

const step = (kind: 'inc' | 'dec'): Meaning => (s) => {
  const cf = s.let(i64.extendU(s.keptCarry()))
  const result = s.let(sized(s, 'add', s.read(0), i64.const(kind === 'inc' ? 1 : -1)))
  s.write(0, result)
  s.setStep(kind, cf, result, s.size(0))
}
define('inc', ['40+r Zv; not64', 'FE/0 Eb', 'FF/0 Ev'], step('inc'), { lock: true })
define('dec', ['48+r Zv; not64', 'FE/1 Eb', 'FF/1 Ev'], step('dec'), { lock: true })

define('not', ['F6/2 Eb', 'F7/2 Ev'], (s) => s.write(0, s.truncate(i64.xor(s.read(0), -1), s.size(0))), { lock: true })
define('neg', ['F6/3 Eb', 'F7/3 Ev'], (s) => {
  const a = s.let(s.read(0))
  const result = s.let(sized(s, 'sub', i64.const(0), a))
  s.write(0, result)
  s.setArithmetic('sub', [i64.const(0), a], result, s.size(0), null)
}, { lock: true })

define('xadd', ['0F.C0 Eb Gb', '0F.C1 Ev Gv'], (s) => {
  const a = s.let(s.read(0))
  const b = s.let(s.read(1))
  const result = s.let(sized(s, 'add', a, b))
  // The destination last among registers: with one register for both, the sum stays.
  if (s.isMemory(0)) s.write(0, result)
  s.write(1, a)
  if (!s.isMemory(0)) s.write(0, result)
  s.setArithmetic('add', [a, b], result, s.size(0), null)
}, { lock: true })

define('cmpxchg', ['0F.B0 Eb Gb', '0F.B1 Ev Gv'], (s) => {
  const size = s.size(0)
  const old = s.let(s.read(0))
  const accumulator = s.let(s.register(0, size))
  const equal = s.let(i64.eq(old, accumulator))
  // Memory is always written, if only with what it held.
  if (s.isMemory(0)) s.write(0, s.select(equal, s.read(1), old))
  else s.when(equal, () => s.write(0, s.read(1)))
  s.when(i32.eqz(equal), () => s.setRegister(0, old, size))
  s.setArithmetic('sub', [accumulator, old], s.truncate(i64.sub(accumulator, old), size), size, null)
}, { lock: true })

/** CMPXCHG8B and 16B: rDX:rAX against memory, rCX:rBX into it. */
define('cmpxchg8b', ['0F.C7/1 Mv'], (s) => {
  const size = s.operandSize === 8 ? 8 : 4
  const bytes = size === 8 ? 8 : 4
  const address = s.let(s.offset())
  if (size === 8) s.aligned(address, 16)
  s.writable(address, bytes * 2)
  const low = s.let(s.load(address, size))
  const high = s.let(s.load(i64.add(address, bytes), size))
  const equal = s.let(i32.and(i64.eq(low, s.register(0, size)), i64.eq(high, s.register(2, size))))
  s.store(address, s.select(equal, s.register(3, size), low), size)
  s.store(i64.add(address, bytes), s.select(equal, s.register(1, size), high), size)
  s.when(i32.eqz(equal), () => {
    s.setRegister(0, low, size)
    s.setRegister(2, high, size)
  })
  s.setFlags(Flag.zero, i32.shl(equal, 6))
}, { lock: true })

/** ADCX and ADOX: an addition that reads and writes one flag alone. */
const chain = (flag: number, shift: number): Meaning => (s) => {
  const size = s.size(0)
  const a = s.let(s.read(0))
  const b = s.let(s.read(1))
  const carry = s.let(i64.extendU(i32.and(i32.shrU(s.flags(), shift), 1)))
  const partial = s.let(s.truncate(i64.add(a, b), size))
  const result = s.let(s.truncate(i64.add(partial, carry), size))
  s.write(0, result)
  s.setFlags(flag, i32.shl(i32.or(i64.ltU(partial, a), i64.ltU(result, partial)), shift))
}
define('adcx', ['66.0F38.F6 Gy Ey'], chain(Flag.carry, 0))
define('adox', ['F3.0F38.F6 Gy Ey'], chain(Flag.overflow, 11))
