import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { Helpers } from '../helpers.ts'
import type { FloatState } from '../float-state.ts'
import { BIAS, C1, Class, type Extended, MAX_EXPONENT, raise, scratch, signAt, TOP_BIT } from './extended.ts'
import { Exception } from './sse.ts'
import { arcTangents, emitWide, LN2, LOG2E, PI_QUARTERS, ratio, type Wide, WideCode } from './wide.ts'
import { Condition, STACK_FAULT, type X87Stack } from './x87-stack.ts'

/**
 * Transcendental functions of the x87 FPU (SDM volume 1, 8.3.7 to 8.3.10). Their results are rounded once from 128 bits, so they are within the manual's bound of one unit in the last place, and
 * nearly always the nearest number; processors of different makers differ there. Arguments of trigonometric functions are reduced by the π of 66 bits that processors have (8.3.8).
 */
export interface TranscendentalFunctions {
  readonly sin: FuncRef<readonly [], 'void'>
  readonly cos: FuncRef<readonly [], 'void'>
  readonly sincos: FuncRef<readonly [], 'void'>
  readonly tan: FuncRef<readonly [], 'void'>
  readonly atan: FuncRef<readonly [], 'void'>
  readonly exp: FuncRef<readonly [], 'void'>
  readonly log: FuncRef<readonly [], 'void'>
  readonly logOnePlus: FuncRef<readonly [], 'void'>
}

/** π is this by 2⁻⁶⁶. */
const PI_66 = 0xc_90fd_aa22_168c_234cn
const PI_BITS = 67
const factorials = (count: number, first: number): bigint[] => {
  const terms: bigint[] = []
  let product = 1n
  for (let n = 1, k = 0; k < count; n++) {
    product *= BigInt(n)
    if (n >= first && (n - first) % 2 === 0) {
      terms.push(ratio(1n, product))
      k++
    }
  }
  return terms
}
const odd = (count: number): bigint[] => Array.from({ length: count }, (_, k) => ratio(1n, BigInt(2 * k + 1)))
const SIN_TERMS = factorials(15, 1)
const COS_TERMS = [ratio(1n, 1n), ...factorials(15, 2)]
const EXP_TERMS = Array.from({ length: 32 }, (_, k) => ratio(1n, Array.from({ length: k + 1 }, (__, i) => BigInt(i + 1)).reduce((a, b) => a * b, 1n)))
const ATAN_TERMS = odd(13)
const ATANH_TERMS = odd(26)
/** Below this exponent an angle and its sine and tangent differ by less than their last places. */
const SMALL = -40
/** √2 as a significand. */
const ROOT_2 = 0xb504_f333_f9de_6484n

export function emitTranscendental(m: ModuleBuilder, state: FloatState, x: Extended, helpers: Helpers, stack: X87Stack): TranscendentalFunctions {
  const wide = emitWide(m, helpers)
  const RESULT = scratch(state, 0)
  const SECOND = scratch(state, 2)
  const { at, conclude } = stack
  /** Rounds a normalized number to all 64 bits, whatever PC says. */
  const put = (f: Func, to: number, sign: Expr<'i32'> | number, exponent: Expr<'i32'>, [high, low]: Wide): void => {
    f.do(call(x.round, sign, i32.add(exponent, BIAS), high, low, 64, 1, MAX_EXPONENT - 1))
    f.do(call(x.put, to, sign, x.significand, x.exponent))
  }
  const code = (f: Func): WideCode => new WideCode(f, wide)
  /** NaNs and unsupported numbers, and a denormal: of one operand, or of two. */
  const operands = (f: Func, count: 1 | 2, denormal = true): { readonly of: readonly Local<'i32'>[] } => {
    const all = [at(0), at(1)].slice(0, count).map((address) => f.let(address))
    f.if(all.map((_, i) => call(stack.empty, i)).reduce((a, b) => i32.or(a, b)), () => {
      stack.underflow(f)
      conclude(f, count - 1, count - 1)
    })
    const of = all.map((address) => f.let(call(x.classify, address)))
    const any = (test: (one: Local<'i32'>) => Expr<'i32'>): Expr<'i32'> => of.map(test).reduce((a, b) => i32.or(a, b))
    f.if(any((one) => i32.eq(one, Class.unsupported)), () => {
      f.do(call(x.invalid, RESULT))
      conclude(f, count - 1, count - 1)
    })
    f.if(any((one) => i32.geU(one, Class.nan)), () => {
      const [a, b] = [all[0], all[count - 1]] as [Local<'i32'>, Local<'i32'>]
      f.do(call(x.propagate, RESULT, a, b))
      conclude(f, count - 1, count - 1)
    })
    if (denormal) f.if(any((one) => i32.eq(one, Class.denormal)), () => raise(f, state, Exception.denormal))
    return { of }
  }
  /** A finite number that is not zero: its significand, and its exponent without the bias. */
  const parts = (f: Func, address: Expr<'i32'>): readonly [Local<'i64'>, Local<'i32'>] => {
    f.do(call(x.normalize, address))
    return [f.let(x.significand), f.let(i32.sub(x.exponent, BIAS))]
  }
  const trigonometry = emitTrigonometry({ m, state, x, stack, code, put, operands, parts, RESULT, SECOND })
  const atan = emitArcTangent({ m, state, x, stack, code, put, operands, parts, RESULT, SECOND })
  const logarithms = emitLogarithms({ m, state, x, stack, code, put, operands, parts, RESULT, SECOND })

  /** 2^x − 1. */
  const exp = m.func('x87.exp', [], 'void', (f) => {
    const { of: [found] } = operands(f, 1) as { readonly of: readonly [Local<'i32'>] }
    const a = f.let(at(0))
    const sign = f.let(signAt(a))
    f.if(i32.eqz(found), () => {
      stack.copyNumber(f, RESULT, a)
      conclude(f, 0)
    })
    f.if(i32.eq(found, Class.infinity), () => {
      f.if(sign, () => f.do(call(x.put, RESULT, 1, i64.const(TOP_BIT), BIAS)), () => stack.copyNumber(f, RESULT, a))
      conclude(f, 0)
    })
    const [value, power] = parts(f, a)
    f.if(i32.geS(power, 0), () => {
      // What is beyond ±1 is not defined, and stays, as AMD's processors have it; that of one is computed as a little less, that of minus one exactly, and neither is said to be.
      raise(f, state, Exception.precision)
      const unit = i32.and(i32.eqz(power), i64.eq(value, i64.const(TOP_BIT)))
      f.if(i32.and(unit, i32.eqz(sign)), () => put(f, RESULT, 0, i32.const(-1), code(f).constant((1n << 128n) - 1n)), () => {
        f.do(call(x.put, RESULT, sign, value, i32.sub(i32.add(power, BIAS), unit)))
      })
      conclude(f, 0)
    })
    const w = code(f)
    const exponent = w.by(w.significand(value), LN2)
    const z = w.right(exponent, i32.sub(0, power))
    const result = w.multiply(exponent, w.right(w.series(z, EXP_TERMS, sign), 1))
    const moved = w.normalize(result)
    put(f, RESULT, sign, i32.sub(i32.add(power, 1), moved), result)
    conclude(f, 0)
  })
  return { ...trigonometry, atan, exp, ...logarithms }
}

interface Parts {
  readonly m: ModuleBuilder
  readonly state: FloatState
  readonly x: Extended
  readonly stack: X87Stack
  readonly code: (f: Func) => WideCode
  readonly put: (f: Func, to: number, sign: Expr<'i32'> | number, exponent: Expr<'i32'>, value: Wide) => void
  readonly operands: (f: Func, count: 1 | 2, denormal?: boolean) => { readonly of: readonly Local<'i32'>[] }
  readonly parts: (f: Func, address: Expr<'i32'>) => readonly [Local<'i64'>, Local<'i32'>]
  readonly RESULT: number
  readonly SECOND: number
}

function emitTrigonometry({ m, state, x, stack, code, put, parts, RESULT, SECOND }: Parts): Pick<TranscendentalFunctions, 'sin' | 'cos' | 'sincos' | 'tan'> {
  const { at, conclude } = stack
  type Kind = 'sin' | 'cos' | 'sincos' | 'tan'
  const emit = (kind: Kind): FuncRef<readonly [], 'void'> => m.func(`x87.${kind}`, [], 'void', (f) => {
    const two = kind === 'sincos' || kind === 'tan'
    f.do(state.set32('status', i32.and(state.get32('status'), ~Condition.c2)))
    const finish = (): void => two ? stack.concludeTwo(f, RESULT, SECOND) : conclude(f, 0)
    const alike = (): void => {
      if (two) stack.copyNumber(f, SECOND, RESULT)
      finish()
    }
    f.if(call(stack.empty, 0), () => {
      stack.underflow(f)
      alike()
    })
    if (two) f.if(i32.eqz(call(stack.empty, 7)), () => {
      raise(f, x.state, STACK_FAULT | C1)
      f.do(call(x.invalid, RESULT))
      alike()
    })
    const a = f.let(at(0))
    const found = f.let(call(x.classify, a))
    f.if(i32.eq(found, Class.unsupported), () => {
      f.do(call(x.invalid, RESULT))
      alike()
    })
    f.if(i32.geU(found, Class.nan), () => {
      f.do(call(x.propagate, RESULT, a, a))
      alike()
    })
    f.if(i32.eq(found, Class.infinity), () => {
      f.do(call(x.invalid, RESULT))
      alike()
    })
    const sign = f.let(signAt(a))
    const one = (to: number): void => f.do(call(x.put, to, 0, i64.const(TOP_BIT), BIAS))
    f.if(i32.eqz(found), () => {
      if (kind === 'cos') one(RESULT)
      else stack.copyNumber(f, RESULT, a)
      if (two) one(SECOND)
      finish()
    })
    f.if(i32.eq(found, Class.denormal), () => raise(f, x.state, Exception.denormal))
    const [value, power] = parts(f, a)
    f.if(i32.geS(power, 63), () => {
      f.do(state.set32('status', i32.or(state.get32('status'), Condition.c2)))
      f.do(call(stack.finish))
      f.return()
    })
    const w = code(f)
    // The rest by π/2, normalized, with its exponent; its sign against the argument's; and the quadrant.
    const rest = w.variable(w.significand(value))
    const restPower = f.let(power)
    const negative = f.let(i32.const(0))
    const quadrant = f.let(i32.const(0))
    f.if(i32.geS(power, -1), () => {
      const period = w.constant(PI_66)
      const r: Wide = [f.let(i64.const(0)), f.let(value)]
      const left = f.let(i32.add(power, PI_BITS - 63))
      f.block((out) => f.loop((again) => {
        f.brIf(out, i32.eqz(left))
        w.set(r, w.add(r, r))
        f.set(quadrant, i32.shl(quadrant, 1))
        f.if(i32.eqz(w.less(r, period)), () => {
          w.set(r, w.subtract(r, period))
          f.set(quadrant, i32.add(quadrant, 1))
        })
        f.set(left, i32.sub(left, 1))
        f.br(again)
      }))
      f.if(w.less(period, w.add(r, r)), () => {
        w.set(r, w.subtract(period, r))
        f.set(quadrant, i32.add(quadrant, 1))
        f.set(negative, 1)
      })
      w.set(rest, r)
      f.if(i32.eqz(w.isZero(rest)), () => f.set(restPower, i32.sub(127 - PI_BITS, w.normalize(rest))))
    })
    const fixed = w.right(rest, i32.sub(0, restPower))
    const z = w.multiply(fixed, fixed)
    const sine = w.multiply(rest, w.series(z, SIN_TERMS, 1))
    const cosine = w.series(z, COS_TERMS, 1)
    // No result is exact: those of small angles are less than the angle, and than one; its tangent is more.
    const small = f.let(i32.ltS(restPower, SMALL))
    f.if(small, () => {
      const least = w.constant(1n)
      w.set(sine, w.subtract(rest, least))
      w.set(cosine, w.subtract(w.constant(1n << 127n), least))
    })
    const sinePower = f.let(restPower)
    f.if(i32.eqz(w.isZero(sine)), () => f.set(sinePower, i32.sub(restPower, w.normalize(sine))))
    const cosinePower = f.let(i32.sub(0, w.normalize(cosine)))
    const swapped = f.let(i32.and(quadrant, 1))
    const upper = f.let(i32.and(i32.shrU(quadrant, 1), 1))
    const pick = (usesSine: Expr<'i32'>): readonly [Wide, Local<'i32'>] => {
      const [chosen, exponent] = [w.variable(cosine), f.let(cosinePower)]
      f.if(usesSine, () => {
        w.set(chosen, sine)
        f.set(exponent, sinePower)
      })
      return [chosen, exponent]
    }
    const putPicked = (to: number, [chosen, exponent]: readonly [Wide, Local<'i32'>], ofSign: Expr<'i32'>): void => {
      f.if(w.isZero(chosen), () => f.do(call(x.put, to, ofSign, i64.const(0), 0)), () => put(f, to, ofSign, exponent, chosen))
    }
    const signOfSine = f.let(i32.xor(i32.xor(sign, upper), i32.and(negative, i32.eqz(swapped))))
    const signOfCosine = f.let(i32.xor(upper, i32.and(swapped, i32.xor(negative, 1))))
    if (kind === 'sincos') {
      putPicked(SECOND, pick(swapped), signOfCosine)
      // C1 is the sine's.
      f.do(x.state.set32('exceptions', i32.and(x.state.get32('exceptions'), ~C1)))
    }
    if (kind === 'sin' || kind === 'sincos') putPicked(RESULT, pick(i32.eqz(swapped)), signOfSine)
    if (kind === 'cos') putPicked(RESULT, pick(swapped), signOfCosine)
    if (kind === 'tan') {
      const [top, topPower] = pick(i32.eqz(swapped))
      const [bottom, bottomPower] = pick(swapped)
      const quotient = w.multiply(top, w.reciprocal(bottom))
      const exponent = f.let(i32.sub(topPower, bottomPower))
      f.if(i32.and(small, i32.eqz(swapped)), () => {
        w.set(quotient, w.add(rest, w.constant(1n)))
        f.set(exponent, restPower)
      })
      f.if(i32.eqz(w.isZero(quotient)), () => f.set(exponent, i32.sub(exponent, w.normalize(quotient))))
      putPicked(RESULT, [quotient, exponent], i32.xor(signOfSine, signOfCosine))
      one(SECOND)
    }
    finish()
  })
  return { sin: emit('sin'), cos: emit('cos'), sincos: emit('sincos'), tan: emit('tan') }
}

/** The angle of the point whose coordinates are ST(0) and ST(1). */
function emitArcTangent({ m, x, stack, code, put, operands, parts, RESULT }: Parts): FuncRef<readonly [], 'void'> {
  const { at, conclude } = stack
  return m.func('x87.atan', [], 'void', (f) => {
    const { of: [ofX, ofY] } = operands(f, 2) as { readonly of: readonly [Local<'i32'>, Local<'i32'>] }
    const [signX, signY] = [f.let(signAt(at(0))), f.let(signAt(at(1)))]
    const w = code(f)
    /** So many quarters of π, which have two bits before the point and one above. */
    const angle = (quarters: bigint): void => {
      const value = w.constant(PI_QUARTERS(quarters))
      put(f, RESULT, signY, i32.sub(2, w.normalize(value)), value)
      conclude(f, 1, 1)
    }
    const nothing = (): void => {
      f.do(call(x.put, RESULT, signY, i64.const(0), 0))
      conclude(f, 1, 1)
    }
    const infinite = (of: Local<'i32'>): Expr<'i32'> => i32.eq(of, Class.infinity)
    f.if(infinite(ofY), () => {
      f.if(infinite(ofX), () => f.if(signX, () => angle(3n), () => angle(1n)))
      angle(2n)
    })
    f.if(i32.or(infinite(ofX), i32.eqz(ofY)), () => f.if(signX, () => angle(4n), nothing))
    f.if(i32.eqz(ofX), () => angle(2n))
    const [sideX, powerX] = parts(f, at(0))
    const [sideY, powerY] = parts(f, at(1))
    const steep = f.let(i32.or(i32.gtS(powerY, powerX), i32.and(i32.eq(powerY, powerX), i64.gtU(sideY, sideX))))
    const [less, more] = [select('i64', steep, sideX, sideY), select('i64', steep, sideY, sideX)]
    const distance = f.let(select('i32', steep, i32.sub(powerY, powerX), i32.sub(powerX, powerY)))
    const quotient = w.multiply(w.significand(less), w.reciprocal(w.significand(more)))
    const tangent = w.right(quotient, distance)
    // The angle is between 0 and π/4; with its exponent.
    const found = w.variable(quotient)
    const exponent = f.let(i32.sub(0, distance))
    const sixteenths = f.let(i32.wrap(i64.shrU(i64.add(tangent[0], i64.const(1n << 58n)), 59)))
    f.if(i32.eqz(sixteenths), () => {
      w.set(found, w.multiply(quotient, w.series(w.multiply(tangent, tangent), ATAN_TERMS, 1)))
      // A small angle is less than its tangent, by less than its last place.
      f.if(i32.ltS(exponent, SMALL), () => {
        w.set(found, w.subtract(quotient, w.constant(1n << 8n)))
      })
    }, () => {
      f.set(exponent, 0)
      const known = w.constant(0n)
      arcTangents.forEach((value, k) => f.if(i32.eq(sixteenths, k), () => w.set(known, w.constant(value))))
      w.set(found, known)
      const near: Wide = [f.let(i64.shl(i64.extendU(sixteenths), 59)), f.let(i64.const(0))]
      f.if(i32.eqz(i32.and(i64.eq(tangent[0], near[0]), i64.eqz(tangent[1]))), () => {
        const below = f.let(w.less(tangent, near))
        const gap = w.variable(w.subtract(tangent, near))
        f.if(below, () => w.set(gap, w.subtract(near, tangent)))
        const u = w.multiply(gap, w.reciprocal(w.add(w.multiply(tangent, near), w.constant(1n << 127n))))
        const rest = w.multiply(u, w.series(w.multiply(u, u), ATAN_TERMS, 1))
        f.if(below, () => w.set(found, w.subtract(known, rest)), () => w.set(found, w.add(known, rest)))
      })
    })
    f.if(i32.or(steep, signX), () => {
      const fixed = w.right(found, i32.sub(2, exponent))
      const half = w.constant(PI_QUARTERS(2n))
      f.if(steep, () => f.if(signX, () => w.set(found, w.add(half, fixed)), () => w.set(found, w.subtract(half, fixed))), () => w.set(found, w.subtract(w.constant(PI_QUARTERS(4n)), fixed)))
      f.set(exponent, 2)
    })
    put(f, RESULT, signY, f.let(i32.sub(exponent, w.normalize(found))), found)
    conclude(f, 1, 1)
  })
}

/** ST(1) by the logarithm of ST(0), or of one more, to the base of two. */
function emitLogarithms({ m, state, x, stack, code, put, operands, parts, RESULT }: Parts): Pick<TranscendentalFunctions, 'log' | 'logOnePlus'> {
  const { at, conclude } = stack
  const [high, lower, exponent, sign] = [m.global('i64', 0), m.global('i64', 0), m.global('i32', 0), m.global('i32', 0)]
  const give = (f: Func, value: Wide, power: Expr<'i32'>, negative: Expr<'i32'>): void => {
    f.setGlobal(high, value[0])
    f.setGlobal(lower, value[1])
    f.setGlobal(exponent, power)
    f.setGlobal(sign, negative)
  }
  /** 2·atanh(fraction · 2^power) / ln 2, normalized; its exponent is returned. `fraction` is below two. */
  const doubledArea = (f: Func, w: WideCode, fraction: Wide, power: Expr<'i32'>): readonly [Wide, Local<'i32'>] => {
    const fixed = w.right(fraction, i32.sub(0, power))
    const sum = w.series(w.multiply(fixed, fixed), ATANH_TERMS, 0)
    const value = w.by(w.multiply(fraction, w.right(sum, 1)), LOG2E)
    const moved = w.normalize(value)
    return [value, f.let(i32.sub(i32.add(power, 2), moved))]
  }
  /** `(significand, exponent)`: the logarithm of a positive number; zero where `high` is. */
  const logOf = m.func('x87.logOf', ['i64', 'i32'], 'void', (f, value, power) => {
    const w = code(f)
    const upper = f.let(i64.gtU(value, i64.const(BigInt.asIntN(64, ROOT_2))))
    const whole = f.let(i32.add(power, upper))
    const difference = f.let(select('i64', upper, i64.sub(0, value), i64.sub(value, i64.const(TOP_BIT))))
    const magnitude = f.let(select('i32', i32.shrU(whole, 31), i32.sub(0, whole), whole))
    /** The whole part, with sixteen bits before the point. */
    const base = (): Wide => [f.let(i64.shl(i64.extendU(magnitude), 47)), f.let(i64.const(0))]
    f.if(i64.eqz(difference), () => {
      const result = base()
      const moved = f.let(i32.const(0))
      f.if(magnitude, () => f.set(moved, w.normalize(result)))
      give(f, result, i32.sub(16, moved), i32.shrU(whole, 31))
      f.return()
    })
    const count = f.let(i32.wrap(i64.clz(difference)))
    const numerator = w.significand(i64.shl(difference, i64.extendU(count)))
    const denominator: Wide = [f.let(i64.add(i64.shrU(value, 1), select('i64', upper, i64.const(TOP_BIT), i64.const(1n << 62n)))), f.let(i64.shl(value, 63))]
    const [fraction, ofFraction] = doubledArea(f, w, w.multiply(numerator, w.reciprocal(denominator)), f.let(i32.sub(-1, count)))
    f.if(i32.eqz(magnitude), () => {
      give(f, fraction, ofFraction, upper)
      f.return()
    })
    const fixed = w.right(fraction, i32.sub(16, ofFraction))
    const result = base()
    f.if(i32.eq(i32.shrU(whole, 31), upper), () => w.set(result, w.add(result, fixed)), () => w.set(result, w.subtract(result, fixed)))
    const moved = w.normalize(result)
    give(f, result, i32.sub(16, moved), i32.shrU(whole, 31))
  })
  /** `(sign, significand, exponent)`: of one and a number that is less than one. */
  const logOnePlusOf = m.func('x87.logOnePlusOf', ['i32', 'i64', 'i32'], 'void', (f, negative, value, power) => {
    const w = code(f)
    const half = w.right(w.significand(value), i32.sub(1, power))
    const one = w.constant(1n << 127n)
    const denominator = w.variable(w.add(one, half))
    f.if(negative, () => w.set(denominator, w.subtract(one, half)))
    const moved = f.let(w.normalize(denominator))
    const [result, ofResult] = doubledArea(f, w, w.multiply(w.significand(value), w.reciprocal(denominator)), f.let(i32.add(i32.sub(power, 1), moved)))
    give(f, result, ofResult, negative)
  })
  /** Ends an instruction with ST(1) times the logarithm that is there. */
  const product = (f: Func): void => {
    const signY = f.let(signAt(at(1)))
    const negative = f.let(i32.xor(signY, sign))
    f.if(i64.eqz(high), () => {
      f.do(call(x.put, RESULT, signY, i64.const(0), 0))
      conclude(f, 1, 1)
    })
    const w = code(f)
    const power = f.let(exponent)
    const factor = w.right([f.let(high), f.let(lower)], 1)
    const [value, powerY] = parts(f, at(1))
    const result = w.multiply(factor, w.significand(value))
    const moved = w.normalize(result)
    // AMD's processors say so of products that are exact as well.
    const ofResult = f.let(i32.sub(i32.add(i32.add(power, powerY), 1), moved))
    raise(f, state, Exception.precision)
    f.if(i32.ltS(ofResult, 1 - BIAS), () => raise(f, state, Exception.underflow))
    put(f, RESULT, negative, ofResult, result)
    conclude(f, 1, 1)
  }
  const answers = (f: Func): { readonly signY: Local<'i32'>; readonly invalid: () => void; readonly infinity: (of: Expr<'i32'>) => void; readonly zero: (of: Expr<'i32'>) => void } => {
    const signY = f.let(signAt(at(1)))
    return {
      signY,
      invalid: (): void => {
        f.do(call(x.invalid, RESULT))
        conclude(f, 1, 1)
      },
      infinity: (of: Expr<'i32'>): void => {
        f.do(call(x.put, RESULT, of, i64.const(TOP_BIT), MAX_EXPONENT))
        conclude(f, 1, 1)
      },
      zero: (of: Expr<'i32'>): void => {
        f.do(call(x.put, RESULT, of, i64.const(0), 0))
        conclude(f, 1, 1)
      },
    }
  }
  const log = m.func('x87.log', [], 'void', (f) => {
    const { of: [ofX, ofY] } = operands(f, 2, false) as { readonly of: readonly [Local<'i32'>, Local<'i32'>] }
    const { signY, invalid, infinity, zero } = answers(f)
    const negative = f.let(signAt(at(0)))
    f.if(i32.and(negative, i32.ne(ofX, Class.zero)), invalid)
    f.if(i32.eqz(ofX), () => {
      f.if(i32.eqz(ofY), invalid)
      f.if(i32.ne(ofY, Class.infinity), () => raise(f, state, Exception.divide))
      infinity(i32.xor(signY, 1))
    })
    f.if(i32.or(i32.eq(ofX, Class.denormal), i32.eq(ofY, Class.denormal)), () => raise(f, state, Exception.denormal))
    f.if(i32.eq(ofX, Class.infinity), () => {
      f.if(i32.eqz(ofY), invalid)
      infinity(signY)
    })
    const [value, power] = parts(f, at(0))
    const below = f.let(i32.ltS(power, 0))
    f.if(i32.eq(ofY, Class.infinity), () => {
      f.if(i32.and(i32.eqz(power), i64.eq(value, i64.const(TOP_BIT))), invalid)
      infinity(i32.xor(signY, below))
    })
    f.if(i32.eqz(ofY), () => zero(i32.xor(signY, below)))
    f.do(call(logOf, value, power))
    product(f)
  })
  const logOnePlus = m.func('x87.logOnePlus', [], 'void', (f) => {
    const { of: [ofX, ofY] } = operands(f, 2, false) as { readonly of: readonly [Local<'i32'>, Local<'i32'>] }
    const { signY, invalid, infinity, zero } = answers(f)
    const negative = f.let(signAt(at(0)))
    f.if(i32.and(negative, i32.eq(ofX, Class.infinity)), invalid)
    f.if(i32.or(i32.eq(ofX, Class.denormal), i32.eq(ofY, Class.denormal)), () => raise(f, state, Exception.denormal))
    f.if(i32.eqz(ofX), () => {
      f.if(i32.eq(ofY, Class.infinity), invalid)
      zero(i32.xor(signY, negative))
    })
    f.if(i32.eq(ofX, Class.infinity), () => {
      f.if(i32.eqz(ofY), invalid)
      infinity(signY)
    })
    const [value, power] = parts(f, at(0))
    f.if(i32.eq(ofY, Class.infinity), () => infinity(i32.xor(signY, negative)))
    f.if(i32.eqz(ofY), () => zero(i32.xor(signY, negative)))
    f.if(i32.ltS(power, 0), () => {
      // Where the series would be long, what is left of one is exact.
      f.if(i32.and(negative, i32.eq(power, -1)), () => {
        const left = f.let(i64.sub(0, value))
        const count = f.let(i64.clz(left))
        f.do(call(logOf, i64.shl(left, count), i32.sub(-1, i32.wrap(count))))
      }, () => f.do(call(logOnePlusOf, negative, value, power)))
    }, () => {
      // It is defined up to 1 − √2/2 only. What would be of a negative number stays, as AMD's processors have it.
      f.if(negative, () => {
        raise(f, state, Exception.precision)
        stack.copyNumber(f, RESULT, at(0))
        conclude(f, 1, 1)
      })
      const sum = f.let(i64.add(i64.shrU(value, 1), i64.shrU(i64.const(1n << 62n), i64.extendU(power))))
      f.if(i32.geU(power, 63), () => f.set(sum, i64.shrU(value, 1)))
      f.do(call(logOf, i64.shl(sum, i64.clz(sum)), i32.sub(i32.add(power, 1), i32.wrap(i64.clz(sum)))))
    })
    product(f)
  })
  return { log, logOnePlus }
}
