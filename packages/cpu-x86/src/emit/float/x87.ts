import { call, type Expr, type Func, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { emitHelpers } from '../helpers.ts'
import { BIAS, type Bounds, C1, Class, doubleBounds, emitExtended, exponentAt, MAX_EXPONENT, raise, scratch, signAt, significandAt, singleBounds, TOP_BIT } from './extended.ts'
import { emitExtendedArithmetic } from './extended-arithmetic.ts'
import { Exception, Relation } from './sse.ts'
import { emitExponents } from './exponents.ts'
import { emitTranscendental, type TranscendentalFunctions } from './transcendental.ts'
import { BEFORE, Condition, emitStack, STACK_FAULT } from './x87-stack.ts'

/**
 * The stack of the x87 FPU and what its instructions share (SDM volume 1, chapter 8). A result is computed into a scratch number, and what was raised
 * decides what becomes of it: with an exception that comes before the computation and is not masked, nothing.
 */

/** Of arithmetic, by the digit of its opcodes: add, multiply, compare, compare and pop, subtract, the same reversed, divide, the same reversed. */
export const Operation = { add: 0, mul: 1, sub: 4, subr: 5, div: 6, divr: 7 } as const

type Fn<Params extends readonly ('i32' | 'i64')[], Result extends 'i32' | 'i64' | 'void'> = FuncRef<Params, Result>

export interface X87Functions {
  /** `(number)`: whether ST(number) is empty. */
  readonly empty: Fn<readonly ['i32'], 'i32'>
  /** Puts what was raised into the status word. */
  readonly finish: Fn<readonly [], 'void'>
  /** `(operation, to, other or -1 for the source, whether that is denormal, pop)`. */
  readonly arithmetic: Fn<readonly ['i32', 'i32', 'i32', 'i32', 'i32'], 'void'>
  /** `(other or -1, denormal, quiet, pops, whether RFLAGS take it)` → a Relation. */
  readonly compare: Fn<readonly ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32'>
  /** Put a number into the source: of 32 or 64 bits, or an integer; whether it is denormal. */
  readonly widenSingle: Fn<readonly ['i64'], 'i32'>
  readonly widenDouble: Fn<readonly ['i64'], 'i32'>
  readonly fromInteger: Fn<readonly ['i64'], 'void'>
  /** `(denormal, checks)`: pushes the source; of FLD of 32 and 64 bits with its exceptions. */
  readonly load: Fn<readonly ['i32', 'i32'], 'void'>
  /** `(number)`: pushes ST(number). */
  readonly duplicate: Fn<readonly ['i32'], 'void'>
  /** ST(0) as bits, or as an integer of so many bits, truncated or not. What is in `abandoned` is not to be stored. */
  readonly toSingle: Fn<readonly [], 'i64'>
  readonly toDouble: Fn<readonly [], 'i64'>
  readonly toInteger: Fn<readonly ['i32', 'i32'], 'i64'>
  /** ST(0) as digits: the lower 64 bits; and then what is above, with the sign. */
  readonly toDecimal: Fn<readonly [], 'i64'>
  readonly upperDecimal: Fn<readonly [], 'i64'>
  /** 1 when an exception that is not masked keeps the store from happening. */
  readonly abandoned: Fn<readonly [], 'i32'>
  readonly pop: Fn<readonly [], 'void'>
  /** `(to, pops)`: ST(0) into ST(to). */
  readonly copy: Fn<readonly ['i32', 'i32'], 'void'>
  readonly exchange: Fn<readonly ['i32'], 'void'>
  readonly sqrt: Fn<readonly [], 'void'>
  readonly integral: Fn<readonly [], 'void'>
  /** `(sign to flip, sign to keep)`: FCHS and FABS. */
  readonly sign: Fn<readonly ['i32', 'i32'], 'void'>
  readonly examine: Fn<readonly [], 'void'>
  readonly scale: Fn<readonly [], 'void'>
  readonly extract: Fn<readonly [], 'void'>
  /** `(whether to the nearest)`: FPREM1 and FPREM. */
  readonly remainder: Fn<readonly ['i32'], 'void'>
  /** `(significand, exponent, the 64 bits below)`: pushes a constant, rounded as RC says. */
  readonly constant: Fn<readonly ['i64', 'i32', 'i64'], 'void'>
  /** `(condition, number)`: FCMOV. */
  readonly move: Fn<readonly ['i32', 'i32'], 'void'>
  readonly transcendental: TranscendentalFunctions
  /** The tag word: two bits for each register (SDM volume 1, 8.1.7). */
  readonly tagWord: Fn<readonly [], 'i32'>
  readonly setTagWord: Fn<readonly ['i32'], 'void'>
  /** Whether the status and control words have an exception that is not masked: makes ES and B so. */
  readonly summarize: Fn<readonly [], 'void'>
  /** `(number)`: the address of ST(number). */
  readonly register: Fn<readonly ['i32'], 'i32'>
}

export function emitX87(m: ModuleBuilder, state: FloatState): X87Functions {
  const x = emitExtended(m, state)
  const helpers = emitHelpers(m)
  const { add, sub, mul, div, sqrt, integral, relation } = emitExtendedArithmetic(x, helpers.divu, helpers.mulhu)
  const RESULT = scratch(state, 0)
  const SOURCE = scratch(state, 1)
  const stack = emitStack(m, state, x)
  const { register, at, empty, raised, copyNumber, setTag, pop, summarize, filter, settle, finish, conclude, underflow, pushResult } = stack

  const arithmetic = m.func('x87.arithmetic', ['i32', 'i32', 'i32', 'i32', 'i32'], 'void', (f, operation, to, other, denormal, pops) => {
    const second = f.let(i32.const(SOURCE))
    const missing = f.let(call(empty, to))
    f.if(i32.geS(other, 0), () => {
      f.set(second, at(other))
      f.set(missing, i32.or(missing, call(empty, other)))
    })
    f.if(missing, () => {
      underflow(f)
      conclude(f, to, pops)
    })
    const first = f.let(at(to))
    const is = (name: keyof typeof Operation): Expr<'i32'> => i32.eq(operation, Operation[name])
    f.if(is('add'), () => f.do(call(add, RESULT, first, second, denormal)))
    f.if(is('mul'), () => f.do(call(mul, RESULT, first, second, denormal)))
    f.if(is('sub'), () => f.do(call(sub, RESULT, first, second, denormal)))
    f.if(is('subr'), () => f.do(call(sub, RESULT, second, first, denormal)))
    f.if(is('div'), () => f.do(call(div, RESULT, first, second, denormal)))
    f.if(is('divr'), () => f.do(call(div, RESULT, second, first, denormal)))
    conclude(f, to, pops)
  })

  /** C1 stays but for a stack fault. */
  const keepC1 = (f: Func): void => f.if(i32.eqz(i32.and(state.get32('exceptions'), STACK_FAULT)), () => raise(f, state, i32.and(state.get32('status'), C1)))
  const compare = m.func('x87.compare', ['i32', 'i32', 'i32', 'i32', 'i32'], 'i32', (f, other, denormal, quiet, pops, toFlags) => {
    const second = f.let(i32.const(SOURCE))
    const missing = f.let(call(empty, 0))
    f.if(i32.geS(other, 0), () => {
      f.set(second, at(other))
      f.set(missing, i32.or(missing, call(empty, other)))
    })
    const found = f.let(i32.const(Relation.unordered))
    f.if(missing, () => raise(f, state, STACK_FAULT | Exception.invalid), () => f.set(found, call(relation, at(0), second, denormal, quiet)))
    f.if(i32.eqz(toFlags), () => {
      const { c0, c2, c3 } = Condition
      const codes = select('i32', i32.eq(found, Relation.unordered), c0 | c2 | c3, select('i32', i32.eq(found, Relation.less), c0, i32.mul(i32.eq(found, Relation.equal), c3)))
      f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~(c0 | c2 | c3)), codes)))
    })
    f.if(i32.eqz(raised(f, BEFORE)), () => {
      f.if(pops, () => f.do(call(pop)))
      f.if(i32.gtU(pops, 1), () => f.do(call(pop)))
    })
    f.do(call(filter))
    f.if(toFlags, () => keepC1(f))
    f.do(call(settle))
    f.return(found)
  })

  const widen = (name: string, bits: 32 | 64): X87Functions['widenSingle'] => m.func(`x87.widen${name}`, ['i64'], 'i32', (f, value) => {
    const [fractionBits, bias, most] = bits === 32 ? [23, 127, 255] : [52, 1023, 2047]
    const sign = f.let(i32.wrap(i64.shrU(value, bits - 1)))
    const power = f.let(i32.and(i32.wrap(i64.shrU(value, fractionBits)), most))
    const fraction = f.let(i64.and(i64.shl(value, 63 - fractionBits), i64.const(TOP_BIT - 1n)))
    f.if(i32.eqz(power), () => {
      f.if(i64.eqz(fraction), () => {
        f.do(call(x.put, SOURCE, sign, i64.const(0), 0))
        f.return(0)
      })
      f.do(call(x.put, SOURCE, sign, i64.shl(fraction, i64.clz(fraction)), i32.sub(BIAS - bias + 1, i32.wrap(i64.clz(fraction)))))
      f.return(1)
    })
    f.do(call(x.put, SOURCE, sign, i64.or(fraction, i64.const(TOP_BIT)), select('i32', i32.eq(power, most), MAX_EXPONENT, i32.add(power, BIAS - bias))))
    f.return(0)
  })
  const fromInteger = m.func('x87.fromInteger', ['i64'], 'void', (f, value) => {
    const sign = f.let(i32.wrap(i64.shrU(value, 63)))
    f.if(sign, () => f.set(value, i64.sub(0, value)))
    f.if(i64.eqz(value), () => f.do(call(x.put, SOURCE, 0, i64.const(0), 0)), () => {
      f.do(call(x.put, SOURCE, sign, i64.shl(value, i64.clz(value)), i32.sub(BIAS + 63, i32.wrap(i64.clz(value)))))
    })
  })
  const load = m.func('x87.load', ['i32', 'i32'], 'void', (f, denormal, checks) => {
    copyNumber(f, RESULT, SOURCE)
    f.if(checks, () => {
      f.if(denormal, () => raise(f, state, Exception.denormal))
      f.if(i32.eq(call(x.classify, SOURCE), Class.signalling), () => f.do(call(x.propagate, RESULT, SOURCE, SOURCE)))
    })
    pushResult(f)
  })
  const duplicate = m.func('x87.duplicate', ['i32'], 'void', (f, number) => {
    f.if(call(empty, number), () => underflow(f), () => copyNumber(f, RESULT, at(number)))
    pushResult(f)
  })

  const narrow = (name: string, bits: 32 | 64, bounds: Bounds): X87Functions['toSingle'] => m.func(`x87.to${name}`, [], 'i64', (f) => {
    const [fractionBits, bias, most] = bits === 32 ? [23, 127, 255] : [52, 1023, 2047]
    const pack = (sign: Expr<'i32'>, power: Expr<'i32'> | number, value: Expr<'i64'>): void => {
      const fraction = i64.shrU(i64.and(value, i64.const(TOP_BIT - 1n)), 63 - fractionBits)
      f.return(i64.or(i64.or(i64.shl(i64.extendU(sign), bits - 1), i64.shl(typeof power === 'number' ? i64.const(power) : i64.extendU(power), fractionBits)), fraction))
    }
    f.if(call(empty, 0), () => {
      raise(f, state, STACK_FAULT | Exception.invalid)
      pack(i32.const(1), most, i64.const(1n << 62n))
    })
    const from = f.let(at(0))
    const found = f.let(call(x.classify, from))
    const sign = f.let(signAt(from))
    f.if(i32.eqz(found), () => pack(sign, 0, i64.const(0)))
    f.if(i32.eq(found, Class.infinity), () => pack(sign, most, i64.const(0)))
    f.if(i32.geU(found, Class.nan), () => {
      f.if(i32.eq(found, Class.unsupported), () => f.do(call(x.invalid, RESULT)), () => f.do(call(x.propagate, RESULT, from, from)))
      pack(signAt(i32.const(RESULT)), most, significandAt(i32.const(RESULT)))
    })
    f.do(call(x.normalize, from))
    f.do(call(x.round, sign, x.exponent, x.significand, i64.const(0), bounds.precision, bounds.least, bounds.greatest))
    pack(sign, select('i32', i64.ltS(x.significand, 0), i32.sub(x.exponent, BIAS - bias), 0), x.significand)
  })
  const toInteger = m.func('x87.toInteger', ['i32', 'i32'], 'i64', (f, bits, truncates) => {
    const least = f.let(i64.shl(-1, i64.extendU(i32.sub(bits, 1))))
    const invalid = (): void => {
      raise(f, state, Exception.invalid)
      f.return(least)
    }
    f.if(call(empty, 0), () => {
      raise(f, state, STACK_FAULT)
      invalid()
    })
    const from = f.let(at(0))
    const found = f.let(call(x.classify, from))
    f.if(i32.eqz(found), () => f.return(0))
    f.if(i32.or(i32.geU(found, Class.infinity), i32.geU(exponentAt(from), BIAS + 64)), invalid)
    const control = f.let(state.get32('control'))
    f.if(truncates, () => f.do(state.set32('control', i32.or(control, 0xc00))))
    const before = f.let(state.get32('exceptions'))
    const sign = f.let(signAt(from))
    f.do(call(integral, RESULT, from))
    f.do(state.set32('control', control))
    // A denormal is not told of here.
    f.do(state.set32('exceptions', i32.and(state.get32('exceptions'), ~Exception.denormal)))
    const power = f.let(exponentAt(i32.const(RESULT)))
    const value = f.let(significandAt(i32.const(RESULT)))
    const unbound = f.let(i32.or(i32.gtU(power, BIAS + 63), 0))
    f.set(value, select('i64', i64.eqz(value), 0, i64.shrU(value, i64.extendU(i32.sub(BIAS + 63, power)))))
    f.if(i32.or(unbound, i64.gtU(value, i64.add(i64.sub(i64.sub(0, least), 1), i64.extendU(sign)))), () => {
      f.do(state.set32('exceptions', before))
      invalid()
    })
    f.return(select('i64', sign, i64.sub(0, value), value))
  })
  /** Digits of a number below 10¹⁸, two in each byte; what has none is the indefinite, whose lower part is returned. */
  const decimalHigh = m.global('i64', 0)
  const toDecimal = m.func('x87.toDecimal', [], 'i64', (f) => {
    const before = f.let(state.get32('exceptions'))
    const value = f.let(call(toInteger, 64, 0))
    const negative = f.let(signAt(at(0)))
    f.if(i64.ltS(value, 0), () => f.set(value, i64.sub(0, value)))
    f.if(i32.and(i64.geU(value, 10n ** 18n), i32.eqz(i32.and(state.get32('exceptions'), Exception.invalid))), () => f.do(state.set32('exceptions', i32.or(before, Exception.invalid))))
    f.if(i32.and(state.get32('exceptions'), Exception.invalid), () => {
      f.setGlobal(decimalHigh, 0xffff)
      f.return(i64.const(-(1n << 62n)))
    })
    const [low, place] = [f.let(i64.const(0)), f.let(i64.const(0))]
    f.setGlobal(decimalHigh, i64.shl(i64.extendU(negative), 15))
    f.loop((again) => {
      const digit = f.let(i64.remU(value, 10))
      f.set(value, i64.divU(value, 10))
      f.if(i64.ltU(place, 64), () => f.set(low, i64.or(low, i64.shl(digit, place))), () => f.setGlobal(decimalHigh, i64.or(decimalHigh, i64.shl(digit, i64.sub(place, 64)))))
      f.set(place, i64.add(place, 4))
      f.brIf(again, i64.ltU(place, 72))
    })
    f.return(low)
  })
  const upperDecimal = m.func('x87.upperDecimal', [], 'i64', (f) => f.return(decimalHigh))
  const abandoned = m.func('x87.abandoned', [], 'i32', (f) => {
    f.if(raised(f, Exception.invalid | Exception.overflow | Exception.underflow), () => {
      // What is not stored is not rounded.
      f.if(raised(f, Exception.overflow | Exception.underflow), () => f.do(state.set32('exceptions', i32.and(state.get32('exceptions'), ~(Exception.precision | C1)))))
      f.return(1)
    })
    f.return(0)
  })

  const one = (name: string, compute: (f: Func) => void): X87Functions['sqrt'] => m.func(`x87.${name}`, [], 'void', (f) => {
    f.if(call(empty, 0), () => underflow(f), () => compute(f))
    conclude(f, 0)
  })
  const copy = m.func('x87.copy', ['i32', 'i32'], 'void', (f, to, pops) => {
    f.if(call(empty, 0), () => underflow(f), () => copyNumber(f, RESULT, at(0)))
    conclude(f, to, pops)
  })
  const exchange = m.func('x87.exchange', ['i32'], 'void', (f, number) => {
    const indefinite = (place: Expr<'i32'> | number): void => {
      f.do(call(x.invalid, RESULT))
      copyNumber(f, at(place), RESULT)
      setTag(f, place, true)
    }
    f.if(i32.or(call(empty, 0), call(empty, number)), () => {
      raise(f, state, STACK_FAULT | Exception.invalid)
      f.if(raised(f, BEFORE), () => {
        f.do(call(finish))
        f.return()
      })
      f.if(call(empty, 0), () => indefinite(0))
      f.if(call(empty, number), () => indefinite(number))
    })
    copyNumber(f, RESULT, at(0))
    copyNumber(f, at(0), at(number))
    copyNumber(f, at(number), RESULT)
    f.do(call(finish))
  })
  const sign = m.func('x87.sign', ['i32', 'i32'], 'void', (f, flip, keep) => {
    f.if(call(empty, 0), () => underflow(f), () => {
      const from = f.let(at(0))
      f.do(call(x.put, RESULT, i32.xor(i32.and(signAt(from), keep), flip), significandAt(from), exponentAt(from)))
    })
    conclude(f, 0)
  })
  const examine = m.func('x87.examine', [], 'void', (f) => {
    const { c0, c2, c3 } = Condition
    const found = f.let(call(x.classify, at(0)))
    const codes = f.let(i32.const(0))
    const table: readonly (readonly [number, number])[] = [
      [Class.zero, c3], [Class.denormal, c2 | c3], [Class.normal, c2], [Class.infinity, c0 | c2], [Class.nan, c0], [Class.signalling, c0],
    ]
    for (const [kind, value] of table) f.if(i32.eq(found, kind), () => f.set(codes, value))
    f.if(call(empty, 0), () => f.set(codes, c0 | c3))
    f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~(c0 | c2 | c3 | C1)), i32.or(codes, i32.mul(signAt(at(0)), C1)))))
  })
  const constant = m.func('x87.constant', ['i64', 'i32', 'i64'], 'void', (f, value, power, below) => {
    const before = f.let(state.get32('control'))
    // All 64 bits, whatever PC says, and without exceptions.
    f.do(call(x.round, 0, power, value, below, 64, 1, MAX_EXPONENT - 1))
    f.do(state.set32('control', before))
    f.do(state.set32('exceptions', 0))
    f.do(call(x.put, RESULT, 0, x.significand, x.exponent))
    f.if(i64.eqz(value), () => f.do(call(x.put, RESULT, 0, i64.const(0), 0)))
    pushResult(f)
  })
  const move = m.func('x87.move', ['i32', 'i32'], 'void', (f, condition, number) => {
    f.if(i32.or(call(empty, 0), call(empty, number)), () => {
      underflow(f)
      // The indefinite comes whatever the condition.
      conclude(f, 0)
    })
    f.if(condition, () => copyNumber(f, at(0), at(number)))
    keepC1(f)
    f.do(call(settle))
  })

  const { scale, extract, remainder } = emitExponents(m, state, x, stack, fromInteger)
  const transcendental = emitTranscendental(m, state, x, helpers, stack)
  const tagWord = m.func('x87.tagWord', [], 'i32', (f) => {
    const word = f.let(i32.const(0))
    for (let number = 0; number < 8; number++) {
      const found = f.let(call(x.classify, state.register(number)))
      const tag = f.let(i32.const(2))
      f.if(i32.eqz(found), () => f.set(tag, 1))
      f.if(i32.eq(found, Class.normal), () => f.set(tag, 0))
      f.if(i32.eqz(i32.and(i32.shrU(state.get32('tags'), number), 1)), () => f.set(tag, 3))
      f.set(word, i32.or(word, i32.shl(tag, 2 * number)))
    }
    f.return(word)
  })
  const setTagWord = m.func('x87.setTagWord', ['i32'], 'void', (f, word) => {
    const tags = f.let(i32.const(0))
    for (let number = 0; number < 8; number++) f.set(tags, i32.or(tags, i32.shl(i32.ne(i32.and(i32.shrU(word, 2 * number), 3), 3), number)))
    f.do(state.set32('tags', tags))
  })
  return {
    empty, finish, arithmetic, compare, widenSingle: widen('Single', 32), widenDouble: widen('Double', 64), fromInteger, load, duplicate,
    toSingle: narrow('Single', 32, singleBounds), toDouble: narrow('Double', 64, doubleBounds), toInteger, toDecimal, upperDecimal, abandoned, pop, copy, exchange,
    sqrt: one('rootOfTop', (f) => f.do(call(sqrt, RESULT, at(0)))), integral: one('integralOfTop', (f) => f.do(call(integral, RESULT, at(0)))),
    transcendental, sign, examine, scale, extract, remainder, constant, move, tagWord, setTagWord, summarize, register,
  }
}
