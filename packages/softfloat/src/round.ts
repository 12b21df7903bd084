import { call, type FuncRef, i32, i64, type ModuleBuilder, select } from '@machinist/wasm'
import { flag, roundingMode } from './environment.ts'
import type { FloatType, Format } from './format.ts'
import { type Environment, raise, type SharedFunctions } from './kit.ts'
import type { BitsType } from './types.ts'

/** Emits the functions that both formats share. */
export function emitShared(m: ModuleBuilder): SharedFunctions {
  const shiftRightJam = m.func('softfloat.shiftRightJam', ['i64', 'i32'], 'i64', (f, x, n) => {
    f.if(i32.eqz(n), () => f.return(x))
    f.if(i32.geU(n, 64), () => f.return(i64.extendU(i64.ne(x, 0))))
    const count = f.let(i64.extendU(n))
    f.return(i64.or(i64.shrU(x, count), i64.extendU(i64.ne(i64.shl(x, i64.sub(64, count)), 0))))
  })
  const multiplyHigh = m.func('softfloat.multiplyHigh', ['i64', 'i64'], 'i64', (f, a, b) => {
    const low = i64.const(0xffffffffn)
    const a0 = f.let(i64.and(a, low))
    const a1 = f.let(i64.shrU(a, 32))
    const b0 = f.let(i64.and(b, low))
    const b1 = f.let(i64.shrU(b, 32))
    const middle = f.let(i64.add(i64.mul(a1, b0), i64.shrU(i64.mul(a0, b0), 32)))
    const other = f.let(i64.add(i64.mul(a0, b1), i64.and(middle, low)))
    f.return(i64.add(i64.add(i64.mul(a1, b1), i64.shrU(middle, 32)), i64.shrU(other, 32)))
  })
  return { shiftRightJam, multiplyHigh }
}

/** The bit of the option `trapped`. */
const TRAPPED = 5

/** Emits {@link Kit.roundPack} (IEEE 754-2019, 4.3, 7.4, 7.5 with tininess detected after rounding). */
export function emitRoundPack<F extends FloatType, I extends BitsType>(
  m: ModuleBuilder,
  environment: Environment,
  shared: SharedFunctions,
  format: Format<F, I>,
): FuncRef<readonly ['i32', 'i32', 'i64', 'i32'], I> {
  const { precision, maxExponent, extra } = format
  const mask = (1n << BigInt(extra)) - 1n
  const half = 1n << BigInt(extra - 1)
  return m.func(`${format.name}.roundPack`, ['i32', 'i32', 'i64', 'i32'], format.bits, (f, sign, exponent, significand, rm) => {
    // What to add below the precision before cutting it off: half a unit, nothing, or all but one.
    const increment = f.local('i64')
    f.if(
      i32.and(rm, 3),
      () => f.set(increment, select('i64', i32.eq(rm, i32.sub(roundingMode.RUP, sign)), i64.const(mask), i64.const(0))),
      () => f.set(increment, i64.const(half)),
    )
    const tiny = f.let(i32.const(0))
    const unbounded = environment.trapped ? f.let(i64.and(significand, i64.const(mask))) : i64.const(0)
    f.if(i32.leS(exponent, 0), () => {
      // With an unbounded exponent, only a carry out of the significand would reach the least normal number.
      const reaches = i64.ltU(i64.add(significand, increment), significand)
      f.set(tiny, i32.or(i32.ltS(exponent, 0), i32.eqz(reaches)))
      f.set(significand, call(shared.shiftRightJam, significand, i32.sub(1, exponent)))
      // A subnormal number has no implicit one, so adding it to an exponent of 0 gives the right bits below.
      f.set(exponent, 1)
    })
    const low = f.let(i64.and(significand, i64.const(mask)))
    if (environment.trapped) raise(f, environment, i32.shl(i64.ne(unbounded, 0), TRAPPED))
    const sum = f.let(i64.add(significand, increment))
    const rounded = f.let(i64.shrU(sum, extra))
    f.if(i64.ltU(sum, significand), () => f.set(rounded, i64.const(1n << BigInt(precision))))
    f.if(i32.and(i32.eqz(rm), i64.eq(low, i64.const(half))), () => f.set(rounded, i64.and(rounded, -2)))
    // The implicit one adds itself to the exponent, and a carry doubles it.
    const bits = f.let(i64.add(i64.shl(i64.extendS(i32.sub(exponent, 1)), precision - 1), rounded))
    f.if(i32.or(i32.geS(exponent, maxExponent), i64.geU(bits, i64.const(format.infinity))), () => {
      raise(f, environment, flag.OF | flag.NX)
      f.set(bits, i64.sub(i64.const(format.infinity), i64.extendU(i64.eqz(increment))))
    })
    f.if(i64.ne(low, 0), () => raise(f, environment, i32.or(i32.shl(tiny, 1), flag.NX)))
    f.return(format.narrow(i64.or(bits, i64.shl(i64.extendU(sign), format.width - 1))))
  })
}
