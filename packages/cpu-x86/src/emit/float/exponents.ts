import { call, type Expr, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { BIAS, C1, Class, type Extended, exponentAt, MAX_EXPONENT, raise, scratch, signAt, significandAt, TOP_BIT } from './extended.ts'
import { Exception } from './sse.ts'
import { BEFORE, Condition, STACK_FAULT, type X87Stack } from './x87-stack.ts'

export interface ExponentFunctions {
  /** FSCALE: ST(0) by two to the power of ST(1), truncated. */
  readonly scale: FuncRef<readonly [], 'void'>
  /** FXTRACT: the exponent in place of ST(0), and the significand above it. */
  readonly extract: FuncRef<readonly [], 'void'>
  /** FPREM, and FPREM1 when it is not 0: of the quotient that is truncated, or nearest. */
  readonly remainder: FuncRef<readonly ['i32'], 'void'>
}

/** What works on exponents. `fromInteger` writes a number into the second scratch number. */
export function emitExponents(m: ModuleBuilder, state: FloatState, x: Extended, stack: X87Stack, fromInteger: FuncRef<readonly ['i64'], 'void'>): ExponentFunctions {
  const { at, empty, raised, copyNumber, finish, conclude, concludeTwo, underflow } = stack
  const RESULT = scratch(state, 0)
  const SOURCE = scratch(state, 1)
  const missingTwo = (f: Func): void => f.if(i32.or(call(empty, 0), call(empty, 1)), () => {
    underflow(f)
    conclude(f, 0)
  })
  const scale = m.func('x87.scale', [], 'void', (f) => {
    missingTwo(f)
    const [a, b] = [f.let(at(0)), f.let(at(1))]
    const [ofA, ofB] = [f.let(call(x.classify, a)), f.let(call(x.classify, b))]
    const invalid = (): void => {
      f.do(call(x.invalid, RESULT))
      conclude(f, 0)
    }
    f.if(i32.or(i32.eq(ofA, Class.unsupported), i32.eq(ofB, Class.unsupported)), invalid)
    f.if(i32.or(i32.geU(ofA, Class.nan), i32.geU(ofB, Class.nan)), () => {
      f.do(call(x.propagate, RESULT, a, b))
      conclude(f, 0)
    })
    f.if(i32.eq(ofB, Class.infinity), () => {
      f.if(signAt(b), () => f.if(i32.eq(ofA, Class.infinity), invalid), () => f.if(i32.eqz(ofA), invalid))
      f.if(i32.eq(ofA, Class.denormal), () => raise(f, state, Exception.denormal))
      f.do(call(x.put, RESULT, signAt(a), select('i64', signAt(b), 0, i64.const(TOP_BIT)), select('i32', signAt(b), 0, MAX_EXPONENT)))
      conclude(f, 0)
    })
    f.if(i32.or(i32.eq(ofA, Class.denormal), i32.eq(ofB, Class.denormal)), () => raise(f, state, Exception.denormal))
    f.if(i32.or(i32.eqz(ofA), i32.eq(ofA, Class.infinity)), () => {
      copyNumber(f, RESULT, a)
      conclude(f, 0)
    })
    const power = f.let(exponentAt(b))
    // Beyond sixteen bits it makes no difference.
    const by = f.let(i32.const(0))
    f.if(i32.geU(power, BIAS), () => f.set(by, i32.wrap(i64.shrU(significandAt(b), i64.extendU(i32.sub(63, select('i32', i32.gtU(power, BIAS + 15), 15, i32.sub(power, BIAS))))))))
    f.if(i32.gtU(power, BIAS + 15), () => f.set(by, 0x10000))
    f.if(signAt(b), () => f.set(by, i32.sub(0, by)))
    f.do(call(x.normalize, a))
    // Precision control does not apply.
    f.do(call(x.round, signAt(a), i32.add(x.exponent, by), x.significand, i64.const(0), 64, 1, MAX_EXPONENT - 1))
    f.do(call(x.put, RESULT, signAt(a), x.significand, x.exponent))
    // What is beyond even a changed exponent is infinite or zero.
    f.if(i32.geS(x.exponent, MAX_EXPONENT), () => {
      raise(f, state, C1 | Exception.precision)
      f.do(call(x.put, RESULT, signAt(a), i64.const(TOP_BIT), MAX_EXPONENT))
    })
    f.if(i32.ltS(x.exponent, 0), () => {
      raise(f, state, Exception.precision)
      f.do(call(x.put, RESULT, signAt(a), i64.const(0), 0))
    })
    conclude(f, 0)
  })
  const extract = m.func('x87.extract', [], 'void', (f) => {
    const SECOND = scratch(state, 2)
    const both = (): void => concludeTwo(f, SECOND, RESULT)
    const alike = (): void => {
      copyNumber(f, SECOND, RESULT)
      both()
    }
    f.if(call(empty, 0), () => {
      underflow(f)
      alike()
    })
    f.if(i32.eqz(call(empty, 7)), () => {
      raise(f, state, STACK_FAULT | C1)
      f.do(call(x.invalid, RESULT))
      alike()
    })
    const from = f.let(at(0))
    const found = f.let(call(x.classify, from))
    f.if(i32.eq(found, Class.unsupported), () => {
      f.do(call(x.invalid, RESULT))
      alike()
    })
    f.if(i32.geU(found, Class.nan), () => {
      f.do(call(x.propagate, RESULT, from, from))
      alike()
    })
    copyNumber(f, RESULT, from)
    f.if(i32.eq(found, Class.infinity), () => {
      f.do(call(x.put, SECOND, 0, i64.const(TOP_BIT), MAX_EXPONENT))
      both()
    })
    f.if(i32.eqz(found), () => {
      raise(f, state, Exception.divide)
      f.do(call(x.put, SECOND, 1, i64.const(TOP_BIT), MAX_EXPONENT))
      both()
    })
    f.if(i32.eq(found, Class.denormal), () => raise(f, state, Exception.denormal))
    f.do(call(x.normalize, from))
    f.do(call(x.put, RESULT, signAt(from), x.significand, BIAS))
    f.do(call(fromInteger, i64.extendS(i32.sub(x.exponent, BIAS))))
    copyNumber(f, SECOND, SOURCE)
    both()
  })
  const remainder = m.func('x87.remainder', ['i32'], 'void', (f, nearest) => {
    f.do(state.set32('status', i32.and(state.get32('status'), ~Condition.c2)))
    missingTwo(f)
    const [a, b] = [f.let(at(0)), f.let(at(1))]
    const [ofA, ofB] = [f.let(call(x.classify, a)), f.let(call(x.classify, b))]
    const { c0, c1, c2, c3 } = Condition
    const codes = (value: Expr<'i32'> | number): void => f.do(state.set32('status', i32.or(i32.and(state.get32('status'), ~(c0 | c2 | c3)), value)))
    f.if(i32.or(i32.eq(ofA, Class.unsupported), i32.eq(ofB, Class.unsupported)), () => {
      f.do(call(x.invalid, RESULT))
      conclude(f, 0)
    })
    f.if(i32.or(i32.geU(ofA, Class.nan), i32.geU(ofB, Class.nan)), () => {
      f.do(call(x.propagate, RESULT, a, b))
      conclude(f, 0)
    })
    f.if(i32.or(i32.eq(ofA, Class.infinity), i32.eqz(ofB)), () => {
      f.do(call(x.invalid, RESULT))
      conclude(f, 0)
    })
    f.if(i32.or(i32.eq(ofA, Class.denormal), i32.eq(ofB, Class.denormal)), () => raise(f, state, Exception.denormal))
    f.if(i32.or(i32.eqz(ofA), i32.eq(ofB, Class.infinity)), () => {
      f.if(i32.eqz(raised(f, BEFORE)), () => codes(0))
      copyNumber(f, RESULT, a)
      // A denormal that stays one underflows, as any result does.
      f.if(i32.eq(ofA, Class.denormal), () => {
        f.do(call(x.normalize, a))
        f.do(call(x.round, signAt(a), x.exponent, x.significand, i64.const(0), 64, 1, MAX_EXPONENT - 1))
        f.do(call(x.put, RESULT, signAt(a), x.significand, x.exponent))
      })
      conclude(f, 0)
    })
    f.if(raised(f, BEFORE), () => {
      f.do(call(finish))
      f.return()
    })
    f.do(call(x.normalize, a))
    const [high, powerA] = [f.let(x.significand), f.let(x.exponent)]
    f.do(call(x.normalize, b))
    const [divisor, powerB] = [f.let(x.significand), f.let(x.exponent)]
    const distance = f.let(i32.sub(powerA, powerB))
    const quotient = f.let(i64.const(0))
    const sign = f.let(signAt(a))
    const deliver = (power: Local<'i32'>): void => {
      f.if(i64.eqz(high), () => f.do(call(x.put, RESULT, sign, i64.const(0), 0)), () => {
        const count = f.let(i64.clz(high))
        f.do(call(x.round, sign, i32.sub(power, i32.wrap(count)), i64.shl(high, count), i64.const(0), 64, 1, MAX_EXPONENT - 1))
        f.do(call(x.put, RESULT, sign, x.significand, x.exponent))
      })
    }
    /** So many bits of the quotient: high becomes the remainder, at the exponent of the divisor or above. */
    const steps = (count: Local<'i32'>): void => {
      const carry = f.let(i32.const(0))
      f.block((out) => f.loop((again) => {
        f.if(i32.or(carry, i64.geU(high, divisor)), () => {
          f.set(high, i64.sub(high, divisor))
          f.set(quotient, i64.or(quotient, 1))
        })
        f.brIf(out, i32.eqz(count))
        f.set(count, i32.sub(count, 1))
        f.set(carry, i32.wrap(i64.shrU(high, 63)))
        f.set(high, i64.shl(high, 1))
        f.set(quotient, i64.shl(quotient, 1))
        f.br(again)
      }))
    }
    f.if(i32.geS(distance, 64), () => {
      // Between 32 and 63 bits are taken away at once (SDM volume 2, FPREM).
      const taken = f.let(i32.or(i32.and(distance, 31), 32))
      const power = f.let(i32.sub(powerA, taken))
      steps(taken)
      codes(c2)
      deliver(power)
      conclude(f, 0)
    })
    const power = f.let(powerB)
    f.if(i32.geS(distance, 0), () => steps(f.let(distance)), () => f.set(power, powerA))
    f.if(nearest, () => {
      // Twice the remainder against the divisor, both at the exponent of the remainder's last place.
      const above = f.let(i32.const(0))
      const tie = f.let(i32.const(0))
      f.if(i32.geS(distance, 0), () => {
        const other = f.let(i64.sub(divisor, high))
        f.set(above, i64.gtU(high, other))
        f.set(tie, i64.eq(high, other))
      })
      f.if(i32.eq(distance, -1), () => {
        f.set(above, i64.gtU(high, divisor))
        f.set(tie, i64.eq(high, divisor))
      })
      f.if(i32.or(above, i32.and(tie, i32.wrap(i64.and(quotient, 1)))), () => {
        // At one exponent less the divisor is twice as much; the difference has no more bits than either.
        f.set(high, select('i64', i32.eq(distance, -1), i64.sub(i64.sub(divisor, high), i64.sub(0, divisor)), i64.sub(divisor, high)))
        f.set(sign, i32.xor(sign, 1))
        f.set(quotient, i64.add(quotient, 1))
      })
    })
    const low = f.let(i32.wrap(quotient))
    codes(i32.or(i32.mul(i32.and(i32.shrU(low, 2), 1), c0), i32.mul(i32.and(i32.shrU(low, 1), 1), c3)))
    deliver(power)
    raise(f, state, i32.mul(i32.and(low, 1), c1))
    conclude(f, 0)
  })
  return { scale, extract, remainder }
}
