import { call, type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { flag, roundingMode } from './environment.ts'
import { sumError } from './errors.ts'
import { finite, type FloatType, isNan, magnitude } from './format.ts'
import { inlineBinary } from './inline.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { Binary, BitsType, InlineBinary } from './types.ts'

export interface Addition<I extends BitsType> {
  readonly add: Binary<I>
  readonly sub: Binary<I>
  readonly inline: { readonly add: InlineBinary<I>; readonly sub: InlineBinary<I> }
}

/** Emits addition and subtraction (IEEE 754-2019, 5.4.1). */
export function emitAdd<F extends FloatType, I extends BitsType>(kit: Kit<F, I>): Addition<I> {
  const { m, format } = kit
  const { name, bits, float } = format
  const params = [bits, bits, 'i32'] as const
  const addSlow: Binary<I> = m.func(`${name}.add.slow`, params, bits, (f, a, b, rm) => {
    f.if(i32.eqz(rm), () => exactSum(f, kit, a, b))
    sumOfIntegers(f, kit, f.let(format.wide(a)), f.let(format.wide(b)), rm)
  })
  const subSlow: Binary<I> = m.func(`${name}.sub.slow`, params, bits, (f, a, b, rm) => {
    // A NaN keeps its sign, for architectures that return it.
    const wide = f.let(format.wide(b))
    const negated = i64.xor(wide, select('i64', isNan(format, wide), i64.const(0), i64.const(format.sign)))
    f.return(call(addSlow, a, format.narrow(negated), rm))
  })
  const accept = (result: Local<I>): Expr<'i32'> => finite(format, result)
  const add = inlineBinary(kit, float.add, accept, addSlow)
  const sub = inlineBinary(kit, float.sub, accept, subSlow)
  return {
    add: m.func(`${name}.add`, params, bits, (f, a, b, rm) => f.return(add(f, a, b, rm))),
    sub: m.func(`${name}.sub`, params, bits, (f, a, b, rm) => f.return(sub(f, a, b, rm))),
    inline: { add, sub },
  }
}

/** In round-to-nearest-even, returns the host's sum when it is finite, and raises NX by its exact error. */
function exactSum<F extends FloatType, I extends BitsType>(f: Func, kit: Kit<F, I>, a: Local<I>, b: Local<I>): void {
  const { float, toBits, toFloat } = kit.format
  const x = f.let(toFloat(a))
  const y = f.let(toFloat(b))
  const sum = f.let(float.add(x, y))
  const error = f.let(sumError(f, float, x, y, sum))
  // Near the overflow threshold the computation of the error may overflow itself, and gives a NaN.
  f.if(float.eq(error, error), () => {
    raise(f, kit, float.ne(error, float.const(0)))
    f.return(toBits(sum))
  })
}

/** Addition in integer arithmetic, in any mode. */
function sumOfIntegers<F extends FloatType, I extends BitsType>(
  f: Func,
  kit: Kit<F, I>,
  a: Local<'i64'>,
  b: Local<'i64'>,
  rm: Local<'i32'>,
): void {
  const { format, nan } = kit
  const infinity = i64.const(format.infinity)
  const magnitudeA = f.let(magnitude(format, a))
  const magnitudeB = f.let(magnitude(format, b))
  const differ = f.let(signOf(format, i64.xor(a, b)))
  f.if(i32.or(i64.gtU(magnitudeA, infinity), i64.gtU(magnitudeB, infinity)), () => {
    raiseSignalling(f, kit, format, [a, b])
    f.return(format.narrow(nan.propagate(f, format, [a, b])))
  })
  f.if(i64.eq(magnitudeA, infinity), () => {
    f.if(i32.and(differ, i64.eq(magnitudeB, infinity)), () => {
      raise(f, kit, flag.NV)
      f.return(format.narrow(nan.invalid(format)))
    })
    f.return(format.narrow(a))
  })
  f.if(i64.eq(magnitudeB, infinity), () => f.return(format.narrow(b)))
  // x + (−x), zeros included: +0, but −0 when rounding down.
  f.if(i32.and(differ, i64.eq(magnitudeA, magnitudeB)), () => f.return(exactZero(kit, rm)))
  f.if(i64.eqz(magnitudeB), () => f.return(format.narrow(a)))
  f.if(i64.eqz(magnitudeA), () => f.return(format.narrow(b)))
  // Put the larger first.
  f.if(i64.ltU(magnitudeA, magnitudeB), () => {
    const other = f.let(a)
    f.set(a, b)
    f.set(b, other)
  })
  const x = unpack(f, format, a)
  const y = unpack(f, format, b)
  // One bit of headroom for the carry; the significands end far above the bits that the shift jams together.
  const first = f.let(i64.shrU(x.significand, 1))
  const second = f.let(call(kit.shared.shiftRightJam, i64.shrU(y.significand, 1), i32.sub(x.exponent, y.exponent)))
  f.if(differ, () => f.set(second, i64.sub(0, second)))
  const sum = f.let(i64.add(first, second))
  const shift = f.let(i64.clz(sum))
  const exponent = i32.sub(i32.add(x.exponent, 1), i32.wrap(shift))
  f.return(call(kit.roundPack, signOf(format, a), exponent, i64.shl(sum, shift), rm))
}

/** The sum of a number and its negative (IEEE 754-2019, 6.3). */
export function exactZero<F extends FloatType, I extends BitsType>(kit: Kit<F, I>, rm: Expr<'i32'>): Expr<I> {
  const { int, sign, bits } = kit.format
  return select(bits, i32.eq(rm, roundingMode.RDN), int.const(sign), int.const(0))
}
