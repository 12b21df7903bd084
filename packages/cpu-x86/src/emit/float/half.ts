import { flag, roundingMode } from '@machinist/softfloat'
import { type Expr, f32, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { isNan, isSignalling, single } from './format.ts'
import { addFlags, bit, modeOf, Mxcsr, prepare, rounding } from './sse.ts'

/** Numbers of 16 bits, to and from those of 32 (SDM volume 1, 14.4). Denormals of 16 bits are neither noted nor zeros, and nothing is flushed to zero. */
export interface HalfFunctions {
  readonly widen: FuncRef<readonly ['i64'], 'i64'>
  /** `(number, the immediate of VCVTPS2PH)`. */
  readonly narrow: FuncRef<readonly ['i64', 'i32'], 'i64'>
}

const INFINITY = 0x7c00
const QUIET = 0x200
/** The exponent of 32 bits from which on 16 have a normal one, and bits that are lost then. */
const LEAST_NORMAL = 113
const LOST = 13

export function emitHalf(m: ModuleBuilder, state: FloatState): HalfFunctions {
  const widen = m.func('half.widen', ['i64'], 'i64', (f, a) => {
    const value = f.let(i32.wrap(a))
    const sign = f.let(i32.shl(i32.and(value, 0x8000), 16))
    const magnitude = f.let(i32.and(value, 0x7fff))
    const answer = (bits: Expr<'i32'>): void => f.return(i64.extendU(i32.or(sign, bits)))
    f.if(i32.gtU(magnitude, INFINITY), () => {
      f.if(i32.eqz(i32.and(magnitude, QUIET)), () => addFlags(f, state, flag.NV))
      answer(i32.or(i32.shl(magnitude, LOST), 0x7fc0_0000))
    })
    f.if(i32.eq(magnitude, INFINITY), () => answer(i32.const(0x7f80_0000)))
    f.if(i32.ltU(magnitude, 0x400), () => answer(i32.reinterpret(f32.mul(f32.convertI32S(magnitude), 2 ** -24))))
    answer(i32.add(i32.shl(magnitude, LOST), (LEAST_NORMAL - 1) << 23))
  })
  const narrow = m.func('half.narrow', ['i64', 'i32'], 'i64', (f, a, control) => {
    prepare(f, state, single, [a])
    const value = f.let(i32.wrap(a))
    const sign = f.let(i32.shrU(value, 31))
    const answer = (magnitude: Expr<'i32'>): void => f.return(i64.extendU(i32.or(i32.shl(sign, 15), magnitude)))
    f.if(isNan(single, a), () => {
      f.if(isSignalling(single, a), () => addFlags(f, state, flag.NV))
      answer(i32.or(i32.and(i32.shrU(value, LOST), 0x3ff), INFINITY | QUIET))
    })
    const power = f.let(i32.and(i32.shrU(value, 23), 255))
    const significand = f.let(i32.and(value, 0x7f_ffff))
    f.if(i32.eqz(i32.or(power, significand)), () => answer(i32.const(0)))
    f.if(i32.eq(power, 255), () => answer(i32.const(INFINITY)))
    f.if(power, () => f.set(significand, i32.or(significand, 1 << 23)), () => f.set(power, 1))
    const mode = f.let(select('i32', i32.and(control, 4), rounding(state), modeOf(i32.shl(i32.and(control, 3), 1))))
    /** Without so many bits, rounded. */
    const rounded = (from: Expr<'i32'>, lost: Expr<'i32'>): Expr<'i32'> => {
      const [whole, rest, tie] = [f.let(i32.shrU(from, lost)), f.let(i32.and(from, i32.sub(i32.shl(1, lost), 1))), f.let(i32.shl(1, i32.sub(lost, 1)))]
      const nearest = i32.or(i32.gtU(rest, tie), i32.and(i32.eq(rest, tie), whole))
      const outward = i32.and(i32.ne(rest, 0), i32.eq(mode, select('i32', sign, roundingMode.RDN, roundingMode.RUP)))
      return f.let(i32.add(whole, i32.and(select('i32', i32.eq(mode, roundingMode.RNE), nearest, outward), 1)))
    }
    const isTiny = f.let(i32.ltU(power, LEAST_NORMAL))
    // A denormal has no bit above all others, so it is moved there to be looked at as if exponents had no bounds.
    const normal = f.let(i32.shl(significand, i32.sub(i32.clz(significand), 8)))
    f.if(i32.and(i32.eq(power, LEAST_NORMAL - 1), i32.eq(rounded(normal, i32.const(LOST)), 0x800)), () => f.set(isTiny, 0))
    const below = f.let(i32.ltU(power, LEAST_NORMAL))
    const distance = f.let(i32.sub(LEAST_NORMAL + LOST, power))
    const lost = f.let(select('i32', below, select('i32', i32.gtU(distance, 30), 30, distance), LOST))
    const found = f.let(rounded(significand, lost))
    const inexact = f.let(i32.ne(i32.and(significand, i32.sub(i32.shl(1, lost), 1)), 0))
    const unbounded = f.let(i32.ne(i32.and(normal, (1 << LOST) - 1), 0))
    const result = f.let(i32.add(found, select('i32', below, 0, i32.shl(i32.sub(power, LEAST_NORMAL), 10))))
    f.if(i32.geU(result, INFINITY), () => {
      f.if(i32.or(unbounded, bit(state, Mxcsr.masks + 3)), () => addFlags(f, state, flag.NX))
      addFlags(f, state, flag.OF)
      const toInfinity = i32.or(i32.eq(mode, roundingMode.RNE), i32.eq(mode, select('i32', sign, roundingMode.RDN, roundingMode.RUP)))
      answer(select('i32', toInfinity, INFINITY, INFINITY - 1))
    })
    f.if(isTiny, () => {
      f.if(bit(state, Mxcsr.masks + 4), () => f.if(inexact, () => addFlags(f, state, flag.UF)), () => {
        addFlags(f, state, flag.UF)
        f.set(inexact, unbounded)
      })
    })
    f.if(inexact, () => addFlags(f, state, flag.NX))
    answer(result)
  })
  return { widen, narrow }
}
