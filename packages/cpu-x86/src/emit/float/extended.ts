import { call, type Expr, type Func, type FuncRef, type Global, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import { type FloatState, floatLayout } from '../float-state.ts'
import { Exception } from './sse.ts'

/**
 * Numbers of 80 bits (SDM volume 1, 4.2.2): a significand with its integer bit, and 16 bits of sign and exponent behind it, at an address. What an operation
 * raises is added to `exceptions` of the state, in the places of the status word, C1 (rounded up) with it.
 */

export const BIAS: number = 16383
export const TOP_BIT: bigint = 1n << 63n
export const MAX_EXPONENT = 0x7fff
/** What an unmasked overflow or underflow changes the exponent by (SDM volume 1, 8.5.4 and 8.5.5). */
const WRAP = 24576
export const C1: number = 1 << 9
export const Class = { zero: 0, denormal: 1, normal: 2, infinity: 3, nan: 4, signalling: 5, unsupported: 6 } as const

/** The bounds of a format, as exponents of this one. */
export interface Bounds {
  readonly precision: number
  readonly least: number
  readonly greatest: number
}
export const extendedBounds: Bounds = { precision: 64, least: 1, greatest: MAX_EXPONENT - 1 }
export const singleBounds: Bounds = { precision: 24, least: BIAS - 126, greatest: BIAS + 127 }
export const doubleBounds: Bounds = { precision: 53, least: BIAS - 1022, greatest: BIAS + 1023 }

export interface Extended {
  readonly state: FloatState
  readonly m: ModuleBuilder
  /** What `round` and `normalize` leave: a significand and an exponent. */
  readonly significand: Global<'i64'>
  readonly exponent: Global<'i32'>
  /** `(address)` → a {@link Class}. */
  readonly classify: FuncRef<readonly ['i32'], 'i32'>
  /** `(address)`: leaves a finite number's significand with the top bit set, and its exponent. */
  readonly normalize: FuncRef<readonly ['i32'], 'void'>
  /** `(sign, exponent, significand, the 64 bits below it, precision, least exponent, greatest)`: rounds, and raises what that raises. */
  readonly round: FuncRef<readonly ['i32', 'i32', 'i64', 'i64', 'i32', 'i32', 'i32'], 'void'>
  /** `(sign, significand, below, precision)` → what is left of it, rounded; zero when it carried out. What was cut off and whether that rounded up are left. */
  readonly cut: FuncRef<readonly ['i32', 'i64', 'i64', 'i32'], 'i64'>
  readonly tail: Global<'i64'>
  readonly up: Global<'i32'>
  /** `(to, sign, exponent, significand, below)`: as the control word says. */
  readonly pack: FuncRef<readonly ['i32', 'i32', 'i32', 'i64', 'i64'], 'void'>
  /** `(to, sign, significand, exponent)`. */
  readonly put: FuncRef<readonly ['i32', 'i32', 'i64', 'i32'], 'void'>
  /** `(to, a, b)`: the NaN of two operands of which one is a NaN, with its exception; for one operand both are the same. */
  readonly propagate: FuncRef<readonly ['i32', 'i32', 'i32'], 'void'>
  /** `(to)`: the indefinite, and IE. */
  readonly invalid: FuncRef<readonly ['i32'], 'void'>
}

export const significandAt = (address: Expr<'i32'>): Expr<'i64'> => i64.load(address)
export const signAt = (address: Expr<'i32'>): Expr<'i32'> => i32.shrU(i32.load16U(address, 8), 15)
export const exponentAt = (address: Expr<'i32'>): Expr<'i32'> => i32.and(i32.load16U(address, 8), MAX_EXPONENT)
export const raise = (f: Func, state: FloatState, bits: Expr<'i32'> | number): void => f.do(state.set32('exceptions', i32.or(state.get32('exceptions'), bits)))
export const masked = (state: FloatState, exception: number): Expr<'i32'> => i32.and(state.get32('control'), exception)
/** The address of a scratch number. */
export const scratch = (state: FloatState, number: number): number => state.at + floatLayout.offset.scratch + 16 * number
/** RC: to nearest, down, up, to zero. */
export const roundingControl = (state: FloatState): Expr<'i32'> => i32.and(i32.shrU(state.get32('control'), 10), 3)

export function emitExtended(m: ModuleBuilder, state: FloatState): Extended {
  const significand = m.global('i64', 0)
  const exponent = m.global('i32', 0)
  const put = m.func('x87.put', ['i32', 'i32', 'i64', 'i32'], 'void', (f, to, sign, value, power) => {
    f.do(i64.store(to, value))
    f.do(i32.store16(to, i32.or(power, i32.shl(sign, 15)), 8))
  })
  const classify = m.func('x87.classify', ['i32'], 'i32', (f, at) => {
    const value = f.let(significandAt(at))
    const power = f.let(exponentAt(at))
    f.if(i32.eqz(power), () => f.return(select('i32', i64.eqz(value), Class.zero, Class.denormal)))
    f.if(i64.geS(value, 0), () => f.return(Class.unsupported))
    f.if(i32.ne(power, MAX_EXPONENT), () => f.return(Class.normal))
    f.if(i64.eqz(i64.shl(value, 1)), () => f.return(Class.infinity))
    f.return(select('i32', i64.geS(i64.shl(value, 1), 0), Class.signalling, Class.nan))
  })
  const normalize = m.func('x87.normalize', ['i32'], 'void', (f, at) => {
    const value = f.let(significandAt(at))
    const power = f.let(exponentAt(at))
    f.if(i32.eqz(power), () => {
      f.set(power, i32.sub(1, i32.wrap(i64.clz(value))))
      f.set(value, i64.shl(value, i64.clz(value)))
    })
    f.setGlobal(significand, value)
    f.setGlobal(exponent, power)
  })
  const { round, cut, tail, up } = emitRound(m, state, significand, exponent)
  const pack = m.func('x87.pack', ['i32', 'i32', 'i32', 'i64', 'i64'], 'void', (f, to, sign, power, high, low) => {
    // PC: 24, reserved, 53, 64 bits (SDM volume 1, table 8-2).
    const control = f.let(i32.and(i32.shrU(state.get32('control'), 8), 3))
    const precision = select('i32', i32.eqz(control), 24, select('i32', i32.eq(control, 2), 53, 64))
    f.do(call(round, sign, power, high, low, precision, extendedBounds.least, extendedBounds.greatest))
    f.do(call(put, to, sign, significand, exponent))
  })
  const invalid = m.func('x87.invalid', ['i32'], 'void', (f, to) => {
    raise(f, state, Exception.invalid)
    f.do(call(put, to, 1, i64.const(3n << 62n), MAX_EXPONENT))
  })
  const propagate = m.func('x87.propagate', ['i32', 'i32', 'i32'], 'void', (f, to, a, b) => {
    const [ofA, ofB] = [f.let(call(classify, a)), f.let(call(classify, b))]
    const signalling = f.let(i32.or(i32.eq(ofA, Class.signalling), i32.eq(ofB, Class.signalling)))
    f.if(signalling, () => raise(f, state, Exception.invalid))
    const chosen = f.let(a)
    // A quiet NaN before a signalling one; of two of a kind the larger significand; of those that are equal the positive one (SDM volume 1, table 4-7).
    f.if(i32.ltU(ofA, Class.nan), () => f.set(chosen, b))
    f.if(i32.and(i32.geU(ofA, Class.nan), i32.geU(ofB, Class.nan)), () => {
      f.if(i32.ne(ofA, ofB), () => f.set(chosen, select('i32', i32.eq(ofA, Class.nan), a, b)), () => {
        const [x, y] = [f.let(significandAt(a)), f.let(significandAt(b))]
        f.if(i64.eq(x, y), () => f.set(chosen, select('i32', signAt(a), b, a)), () => f.set(chosen, select('i32', i64.gtU(x, y), a, b)))
      })
    })
    f.do(call(put, to, signAt(chosen), i64.or(significandAt(chosen), i64.const(1n << 62n)), MAX_EXPONENT))
  })
  return { state, m, significand, exponent, classify, normalize, round, cut, tail, up, pack, put, propagate, invalid }
}

/** Shifts 128 bits right by any number, with a one in the last place when a one was lost. */
export function shiftRight(f: Func, high: Local<'i64'>, low: Local<'i64'>, by: Local<'i32'>): void {
  f.if(i32.geU(by, 128), () => {
    f.set(low, i64.extendU(i64.ne(i64.or(high, low), 0)))
    f.set(high, 0)
  }, () => f.if(i32.geU(by, 64), () => {
    const count = f.let(i64.extendU(i32.and(by, 63)))
    const lost = f.let(i64.or(low, select('i64', i64.eqz(count), 0, i64.shl(high, i64.sub(64, count)))))
    f.set(low, i64.or(i64.shrU(high, count), i64.extendU(i64.ne(lost, 0))))
    f.set(high, 0)
  }, () => f.if(by, () => {
    const count = f.let(i64.extendU(by))
    const lost = f.let(i64.ne(i64.shl(low, i64.sub(64, count)), 0))
    f.set(low, i64.or(i64.or(i64.shrU(low, count), i64.shl(high, i64.sub(64, count))), i64.extendU(lost)))
    f.set(high, i64.shrU(high, count))
  })))
}

function emitRound(m: ModuleBuilder, state: FloatState, significand: Global<'i64'>, exponent: Global<'i32'>): Pick<Extended, 'round' | 'cut' | 'tail' | 'up'> {
  const tail = m.global('i64', 0)
  const up = m.global('i32', 0)
  const cut = m.func('x87.cut', ['i32', 'i64', 'i64', 'i32'], 'i64', (f, sign, high, low, precision) => {
    const below = f.let(i64.extendU(i32.sub(64, precision)))
    const unit = f.let(i64.shl(1, below))
    f.setGlobal(tail, low)
    f.if(i64.ne(below, 0), () => f.setGlobal(tail, i64.or(i64.shl(high, i64.sub(64, below)), i64.extendU(i64.ne(low, 0)))))
    const kept = f.let(i64.and(high, i64.sub(0, unit)))
    const control = f.let(roundingControl(state))
    const half = i64.const(TOP_BIT)
    const nearest = i32.or(i64.gtU(tail, half), i32.and(i64.eq(tail, half), i64.ne(i64.and(kept, unit), 0)))
    const directed = i32.and(i64.ne(tail, 0), i32.eq(control, i32.add(2, i32.sub(0, sign))))
    f.setGlobal(up, select('i32', i32.eqz(control), nearest, directed))
    f.return(select('i64', up, i64.add(kept, unit), kept))
  })
  const round = m.func('x87.round', ['i32', 'i32', 'i64', 'i64', 'i32', 'i32', 'i32'], 'void', (f, sign, power, high, low, precision, least, greatest) => {
    const kept = f.let(call(cut, sign, high, low, precision))
    const rounded = f.let(power)
    f.if(i64.eqz(kept), () => {
      f.set(kept, i64.const(TOP_BIT))
      f.set(rounded, i32.add(rounded, 1))
    })
    const conclude = (inexact: number): void => {
      f.if(i64.ne(tail, 0), () => raise(f, state, i32.or(inexact, i32.mul(up, C1))))
      f.setGlobal(significand, kept)
      f.setGlobal(exponent, rounded)
      f.return()
    }
    f.if(i32.ltS(rounded, least), () => {
      f.if(i32.eqz(masked(state, Exception.underflow)), () => {
        raise(f, state, Exception.underflow)
        f.set(rounded, i32.add(rounded, WRAP))
        conclude(Exception.precision)
      })
      const by = f.let(i32.sub(least, power))
      shiftRight(f, high, low, by)
      f.set(kept, call(cut, sign, high, low, precision))
      // An integer bit makes it a normal number again.
      f.set(rounded, select('i32', i64.ltS(kept, 0), least, i32.sub(least, 1)))
      conclude(Exception.precision | Exception.underflow)
    })
    f.if(i32.gtS(rounded, greatest), () => {
      raise(f, state, Exception.overflow)
      f.if(i32.eqz(masked(state, Exception.overflow)), () => {
        f.set(rounded, i32.sub(rounded, WRAP))
        conclude(Exception.precision)
      })
      // Infinity, or the greatest number, by the direction (SDM volume 1, table 4-11).
      const control = f.let(roundingControl(state))
      const infinite = f.let(i32.or(i32.eqz(control), i32.eq(control, i32.sub(2, sign))))
      raise(f, state, i32.or(Exception.precision, i32.mul(infinite, C1)))
      f.setGlobal(exponent, select('i32', infinite, i32.add(greatest, 1), greatest))
      f.setGlobal(significand, select('i64', infinite, i64.const(TOP_BIT), i64.shl(-1, i64.extendU(i32.sub(64, precision)))))
      f.return()
    })
    conclude(Exception.precision)
  })
  return { round, cut, tail, up }
}
