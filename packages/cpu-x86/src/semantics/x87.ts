import { call, type Expr, i32, i64, select } from '@machinist/wasm'
import { Relation } from '../emit/float/sse.ts'
import { Operation } from '../emit/float/x87.ts'
import type { Stage } from '../emit/stage.ts'
import { STATUS } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'

/** The x87 FPU (SDM volume 1, chapter 8; volume 2 for each). */
const { instructions, define } = group('x87')
export const x87: readonly Instruction[] = instructions

type Meaning = (s: Stage) => void
/** What waits for an exception that is pending, first. */
const waiting = (body: Meaning): Meaning => (s) => {
  s.beginX87()
  body(s)
}
const number = (s: Stage, operand: number): Expr<'i32'> => s.stackNumber(operand)
const MEMORY = -1

// Arithmetic and comparisons

/** Sources in memory: the letters of their opcodes, and how they become a number. */
const sources: readonly (readonly [string, 'd' | 'q' | 'w', (s: Stage) => Expr<'i32'>])[] = [
  ['D8', 'd', (s) => call(s.float.x87.widenSingle, s.read(0, 4))], ['DC', 'q', (s) => call(s.float.x87.widenDouble, s.read(0, 8))],
  ['DA', 'd', (s) => fromInteger(s, i64.extend32S(s.read(0, 4)))], ['DE', 'w', (s) => fromInteger(s, i64.extend16S(s.read(0, 2)))],
]
function fromInteger(s: Stage, value: Expr<'i64'>): Expr<'i32'> {
  s.f.do(call(s.float.x87.fromInteger, value))
  return i32.const(0)
}
const operations = [['add', Operation.add, 0], ['mul', Operation.mul, 1], ['sub', Operation.sub, 4], ['subr', Operation.subr, 5], ['div', Operation.div, 6], ['divr', Operation.divr, 7]] as const
for (const [name, operation, digit] of operations) {
  for (const [opcode, size, read] of sources) {
    const integer = opcode === 'DA' || opcode === 'DE'
    define(`f${integer ? 'i' : ''}${name}`, [`${opcode}/${digit} M${size}`], waiting((s) => {
      const denormal = s.let(read(s))
      s.f.do(call(s.float.x87.arithmetic, operation, 0, MEMORY, denormal, 0))
    }))
  }
  define(`f${name}`, [`D8/${digit} Tn`], waiting((s) => s.f.do(call(s.float.x87.arithmetic, operation, 0, number(s, 0), 0, 0))))
  // With another destination the names of subtraction and of its reverse stand for the other digit.
  const other = digit < 4 ? digit : digit ^ 1
  define(`f${name}`, [`DC/${other} Tn`], waiting((s) => s.f.do(call(s.float.x87.arithmetic, operation, number(s, 0), 0, 0, 0))))
  define(`f${name}p`, [`DE/${other} Tn`], waiting((s) => s.f.do(call(s.float.x87.arithmetic, operation, number(s, 0), 0, 0, 1))))
}
for (const [name, digit, pops] of [['com', 2, 0], ['comp', 3, 1]] as const) {
  for (const [opcode, size, read] of sources) {
    const integer = opcode === 'DA' || opcode === 'DE'
    define(`f${integer ? 'i' : ''}${name}`, [`${opcode}/${digit} M${size}`], waiting((s) => {
      const denormal = s.let(read(s))
      s.f.drop(call(s.float.x87.compare, MEMORY, denormal, 0, pops, 0))
    }))
  }
  define(`f${name}`, [`D8/${digit} Tn`], waiting((s) => s.f.drop(call(s.float.x87.compare, number(s, 0), 0, 0, pops, 0))))
}
define('fucom', ['DD/4 Tn'], waiting((s) => s.f.drop(call(s.float.x87.compare, number(s, 0), 0, 1, 0, 0))))
define('fucomp', ['DD/5 Tn'], waiting((s) => s.f.drop(call(s.float.x87.compare, number(s, 0), 0, 1, 1, 0))))
define('fcompp', ['DE:D9'], waiting((s) => s.f.drop(call(s.float.x87.compare, 1, 0, 0, 2, 0))))
define('fucompp', ['DA:E9'], waiting((s) => s.f.drop(call(s.float.x87.compare, 1, 0, 1, 2, 0))))
define('ftst', ['D9:E4'], waiting((s) => {
  s.f.do(call(s.float.x87.fromInteger, i64.const(0)))
  s.f.drop(call(s.float.x87.compare, MEMORY, 0, 0, 0, 0))
}))
for (const [name, opcode, digit, quiet, pops] of [['fcomi', 'DB', 6, 0, 0], ['fucomi', 'DB', 5, 1, 0], ['fcomip', 'DF', 6, 0, 1], ['fucomip', 'DF', 5, 1, 1]] as const) {
  define(name, [`${opcode}/${digit} Tn`], waiting((s) => {
    const found = s.let(call(s.float.x87.compare, number(s, 0), 0, quiet, pops, 1))
    const flags = select('i32', i32.eq(found, Relation.unordered), 0x45, select('i32', i32.eq(found, Relation.less), 1, i32.shl(i32.eq(found, Relation.equal), 6)))
    s.setFlags(STATUS, flags)
  }))
}
/** CF, ZF, either, PF. */
const conditions = [['b', 'DA', 0, 2], ['e', 'DA', 1, 4], ['be', 'DA', 2, 6], ['u', 'DA', 3, 10], ['nb', 'DB', 0, 3], ['ne', 'DB', 1, 5], ['nbe', 'DB', 2, 7], ['nu', 'DB', 3, 11]] as const
for (const [name, opcode, digit, condition] of conditions) {
  define(`fcmov${name}`, [`${opcode}/${digit} Tn`], waiting((s) => s.f.do(call(s.float.x87.move, s.condition(condition), number(s, 0)))))
}

// Loads and stores

for (const [opcode, size, widen] of [['D9', 'd', 'widenSingle'], ['DD', 'q', 'widenDouble']] as const) define('fld', [`${opcode}/0 M${size}`], waiting((s) => {
  const denormal = s.let(call(s.float.x87[widen], s.read(0)))
  s.f.do(call(s.float.x87.load, denormal, 1))
}))
define('fld', ['D9/0 Tn'], waiting((s) => s.f.do(call(s.float.x87.duplicate, number(s, 0)))))
define('fld', ['DB/5 Mt'], waiting((s) => {
  const low = s.load(s.offset(), 8)
  const high = s.load(s.truncate(i64.add(s.offset(), 8), s.addressSize), 2)
  s.setSource(low, high)
  s.f.do(call(s.float.x87.load, 0, 0))
}))
for (const [opcode, digit, size, bytes] of [['DF', 0, 'w', 2], ['DB', 0, 'd', 4], ['DF', 5, 'q', 8]] as const) define('fild', [`${opcode}/${digit} M${size}`], waiting((s) => {
  s.f.do(call(s.float.x87.fromInteger, s.signed(s.read(0), bytes)))
  s.f.do(call(s.float.x87.load, 0, 0))
}))
/** Stores a number that was computed, unless an exception keeps it; then it may be popped. */
const store = (s: Stage, value: Expr<'i64'>, bytes: 2 | 4 | 8, pops: boolean): void => {
  const { abandoned, pop, finish } = s.float.x87
  const result = s.let(value)
  s.writable(s.offset(), bytes)
  s.when(i32.eqz(call(abandoned)), () => {
    s.store(s.offset(), s.truncate(result, bytes), bytes)
    if (pops) s.f.do(call(pop))
  })
  s.f.do(call(finish))
}
for (const [name, digit, pops] of [['fst', 2, false], ['fstp', 3, true]] as const) {
  define(name, [`D9/${digit} Md`], waiting((s) => store(s, call(s.float.x87.toSingle), 4, pops)))
  define(name, [`DD/${digit} Mq`], waiting((s) => store(s, call(s.float.x87.toDouble), 8, pops)))
  define(name, [`DD/${digit} Tn`], waiting((s) => s.f.do(call(s.float.x87.copy, number(s, 0), pops ? 1 : 0))))
}
define('fstp', ['DB/7 Mt'], waiting((s) => {
  const { register, empty, pop, finish } = s.float.x87
  s.writable(s.offset(), 10)
  const at = s.let(call(register, 0))
  const [low, high] = [s.let(i64.load(at)), s.let(i64.load16U(at, 8))]
  s.when(call(empty, 0), () => {
    s.missing()
    s.f.set(low, i64.const(3n << 62n))
    s.f.set(high, 0xffff)
  })
  s.when(i32.eqz(call(s.float.x87.abandoned)), () => {
    s.store(s.offset(), low, 8)
    s.store(s.truncate(i64.add(s.offset(), 8), s.addressSize), high, 2)
    s.f.do(call(pop))
  })
  s.f.do(call(finish))
}))
const integers = [['fist', 'DF', 2, 'w', 2, 0, false], ['fist', 'DB', 2, 'd', 4, 0, false], ['fistp', 'DF', 3, 'w', 2, 0, true], ['fistp', 'DB', 3, 'd', 4, 0, true], ['fistp', 'DF', 7, 'q', 8, 0, true],
  ['fisttp', 'DF', 1, 'w', 2, 1, true], ['fisttp', 'DB', 1, 'd', 4, 1, true], ['fisttp', 'DD', 1, 'q', 8, 1, true]] as const
for (const [name, opcode, digit, size, bytes, truncates, pops] of integers) {
  define(name, [`${opcode}/${digit} M${size}`], waiting((s) => store(s, call(s.float.x87.toInteger, bytes * 8, truncates), bytes, pops)))
}
/** Eighteen digits, two in each byte, and a sign (SDM volume 1, 4.7). */
define('fbld', ['DF/4 Mt'], waiting((s) => {
  const low = s.load(s.offset(), 8)
  const high = s.load(s.truncate(i64.add(s.offset(), 8), s.addressSize), 2)
  const [value, place] = [s.let(i64.const(0)), s.let(i64.const(72))]
  s.f.loop((again) => {
    s.f.set(place, i64.sub(place, 4))
    const digit = i64.and(select('i64', i64.ltU(place, 64), i64.shrU(low, place), i64.shrU(high, i64.sub(place, 64))), 15)
    s.f.set(value, i64.add(i64.mul(value, 10), digit))
    s.f.brIf(again, i64.ne(place, 0))
  })
  const count = s.let(i64.clz(value))
  const exponent = s.select(i64.eqz(value), i64.const(0), i64.sub(16383 + 63, count))
  s.setSource(i64.shl(value, count), i64.or(exponent, i64.and(high, 0x8000)))
  s.f.do(call(s.float.x87.load, 0, 0))
}))
define('fbstp', ['DF/6 Mt'], waiting((s) => {
  const { toDecimal, upperDecimal, abandoned, pop, finish } = s.float.x87
  const low = s.let(call(toDecimal))
  s.writable(s.offset(), 10)
  s.when(i32.eqz(call(abandoned)), () => {
    s.store(s.offset(), low, 8)
    s.store(s.truncate(i64.add(s.offset(), 8), s.addressSize), call(upperDecimal), 2)
    s.f.do(call(pop))
  })
  s.f.do(call(finish))
}))
define('fxch', ['D9/1 Tn'], waiting((s) => s.f.do(call(s.float.x87.exchange, number(s, 0)))))

// One number, and constants

define('fchs', ['D9:E0'], waiting((s) => s.f.do(call(s.float.x87.sign, 1, 1))))
define('fabs', ['D9:E1'], waiting((s) => s.f.do(call(s.float.x87.sign, 0, 0))))
define('fxam', ['D9:E5'], waiting((s) => s.f.do(call(s.float.x87.examine))))
define('fsqrt', ['D9:FA'], waiting((s) => s.f.do(call(s.float.x87.sqrt))))
define('frndint', ['D9:FC'], waiting((s) => s.f.do(call(s.float.x87.integral))))
define('fscale', ['D9:FD'], waiting((s) => s.f.do(call(s.float.x87.scale))))
define('fxtract', ['D9:F4'], waiting((s) => s.f.do(call(s.float.x87.extract))))
define('fprem', ['D9:F8'], waiting((s) => s.f.do(call(s.float.x87.remainder, 0))))
define('fprem1', ['D9:F5'], waiting((s) => s.f.do(call(s.float.x87.remainder, 1))))
for (const [name, modrm, operation] of [
  ['f2xm1', 'F0', 'exp'], ['fyl2x', 'F1', 'log'], ['fptan', 'F2', 'tan'], ['fpatan', 'F3', 'atan'], ['fyl2xp1', 'F9', 'logOnePlus'], ['fsincos', 'FB', 'sincos'], ['fsin', 'FE', 'sin'], ['fcos', 'FF', 'cos'],
] as const) define(name, [`D9:${modrm}`], waiting((s) => s.f.do(call(s.float.x87.transcendental[operation]))))
/** Significand, exponent, and the bits below (SDM volume 2, FLD1). */
const constants = [
  ['fld1', 'E8', 1n << 63n, 0, 0n], ['fldl2t', 'E9', 0xd49a_784b_cd1b_8afen, 1, 0x492bn << 48n], ['fldl2e', 'EA', 0xb8aa_3b29_5c17_f0bbn, 0, 0xbe87n << 48n],
  ['fldpi', 'EB', 0xc90f_daa2_2168_c234n, 1, 0xc4c6n << 48n], ['fldlg2', 'EC', 0x9a20_9a84_fbcf_f798n, -2, 0x8f89n << 48n], ['fldln2', 'ED', 0xb172_17f7_d1cf_79abn, -1, 0xc9e3n << 48n], ['fldz', 'EE', 0n, 0, 0n],
] as const
for (const [name, modrm, significand, exponent, below] of constants) {
  define(name, [`D9:${modrm}`], waiting((s) => s.f.do(call(s.float.x87.constant, i64.const(BigInt.asIntN(64, significand)), 16383 + exponent, i64.const(BigInt.asIntN(64, below))))))
}

// Control

define('fdecstp', ['D9:F6'], waiting((s) => s.moveTop(-1)))
define('fincstp', ['D9:F7'], waiting((s) => s.moveTop(1)))
define('ffree', ['DD/0 Tn'], waiting((s) => s.free(number(s, 0))))
define('fnop', ['D9:D0'], waiting(() => {}))
define('fwait', ['9B'], (s) => s.beginX87())
define('fnclex', ['DB:E2'], (s) => s.setX87({ status: i32.and(s.getX87('status'), 0x7f00) }))
define('fninit', ['DB:E3'], (s) => s.setX87({ control: i32.const(0x37f), status: i32.const(0), tags: i32.const(0) }))
define('fldcw', ['D9/5 Mw'], waiting((s) => {
  s.setX87({ control: i32.or(i32.and(i32.wrap(s.read(0)), 0x1f3f), 0x40) })
  s.f.do(call(s.float.x87.summarize))
}))
define('fnstcw', ['D9/7 Mw'], (s) => s.write(0, i64.extendU(s.getX87('control'))))
define('fnstsw', ['DD/7 Mw'], (s) => s.write(0, i64.extendU(s.getX87('status'))))
define('fnstsw', ['DF:E0'], (s) => s.setRegister(0, i64.extendU(s.getX87('status')), 2))
define('emms', ['NP.0F.77'], (s) => {
  s.beginX87()
  s.setX87({ status: i32.and(s.getX87('status'), ~0x3800), tags: i32.const(0) })
})
