import { call, type Expr, f32, f64, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { flag, roundingMode } from './environment.ts'
import { binary32, binary64, type FloatType, type Format, isNan, ordinary } from './format.ts'
import { mayUseHost } from './inline.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { BitsType, FloatConversions, FloatFunctions, FromInteger, ToInteger } from './types.ts'

type IntegerConversions<I extends BitsType> = Pick<
  FloatFunctions<I>,
  'toI32' | 'toU32' | 'toI64' | 'toU64' | 'fromI32' | 'fromU32' | 'fromI64' | 'fromU64'
>

/** Emits conversions to and from integers (IEEE 754-2019, 5.4.1, 5.8; results out of range as RISC-V, 20.7). */
export function emitIntegerConversions<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  promote: (a: Expr<F>) => Expr<'f64'>,
): IntegerConversions<I> {
  const { m, format } = kit
  const { name, bits } = format

  interface Target {
    readonly minimum: bigint
    readonly maximum: bigint
    /** The first double above the range. */
    readonly beyond: number
    readonly truncate: (integral: Expr<'f64'>) => Expr<'i64'>
  }
  const to = (suffix: string, target: Target): ToInteger<I> =>
    m.func(`${name}.to${suffix}`, [bits, 'i32'], 'i64', (f, a, rm) => {
      const x = f.let(promote(format.toFloat(a)))
      const integral = roundToIntegral(f, x, rm)
      f.if(i32.and(f64.ge(integral, Number(target.minimum)), f64.lt(integral, target.beyond)), () => {
        raise(f, kit, f64.ne(integral, x))
        f.return(target.truncate(integral))
      })
      raise(f, kit, flag.NV)
      f.return(select('i64', f64.lt(x, 0), i64.const(target.minimum), i64.const(target.maximum)))
    })

  const fromWord = (suffix: string, convert: (x: Expr<'i32'>) => Expr<F>, extend: (x: Expr<'i32'>) => Expr<'i64'>, signed: boolean): FromInteger<'i32', I> =>
    m.func(`${name}.from${suffix}`, ['i32', 'i32'], bits, (f, x, rm) => {
      if (format.precision > 32) f.return(format.toBits(convert(x)))
      else fromInteger(f, kit, f.let(extend(x)), format.toBits(convert(x)), rm, signed)
    })
  const fromDouble = (suffix: string, convert: (x: Expr<'i64'>) => Expr<F>, signed: boolean): FromInteger<'i64', I> =>
    m.func(`${name}.from${suffix}`, ['i64', 'i32'], bits, (f, x, rm) => {
      fromInteger(f, kit, x, format.toBits(convert(x)), rm, signed)
    })

  return {
    toI32: to('I32', { minimum: -(2n ** 31n), maximum: 2n ** 31n - 1n, beyond: 2 ** 31, truncate: i64.truncSatF64S }),
    toU32: to('U32', { minimum: 0n, maximum: -1n, beyond: 2 ** 32, truncate: (x) => i64.extend32S(i64.truncSatF64S(x)) }),
    toI64: to('I64', { minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n, beyond: 2 ** 63, truncate: i64.truncSatF64S }),
    toU64: to('U64', { minimum: 0n, maximum: -1n, beyond: 2 ** 64, truncate: i64.truncSatF64U }),
    fromI32: fromWord('I32', format.float.convertI32S, i64.extendS, true),
    fromU32: fromWord('U32', format.float.convertI32U, i64.extendU, false),
    fromI64: fromDouble('I64', format.float.convertI64S, true),
    fromU64: fromDouble('U64', format.float.convertI64U, false),
  }
}

/** The number rounded to an integral one in its format; all of the host's roundings are exact in this. */
function roundToIntegral(f: Func, x: Local<'f64'>, rm: Local<'i32'>): Local<'f64'> {
  const result = f.let(f64.trunc(x))
  f.if(i32.ne(rm, roundingMode.RTZ), () => {
    f.if(
      i32.eqz(rm),
      () => f.set(result, f64.nearest(x)),
      () =>
        f.if(
          i32.eq(rm, roundingMode.RMM),
          () => {
            // A number with a half in its fraction is below 2^52, so that both operations are exact.
            const away = f64.ge(f64.abs(f64.sub(x, result)), 0.5)
            f.if(away, () => f.set(result, f64.add(result, f64.copysign(1, x))))
          },
          () => f.set(result, select('f64', i32.eq(rm, roundingMode.RDN), f64.floor(x), f64.ceil(x))),
        ),
    )
  })
  return result
}

/** Returns the number nearest to an integer; `nearest` is the host's, in round-to-nearest-even. */
function fromInteger<F extends FloatType, I extends BitsType>(
  f: Func,
  kit: Kit<F, I>,
  x: Local<'i64'>,
  nearest: Expr<I>,
  rm: Local<'i32'>,
  signed: boolean,
): void {
  const { format } = kit
  const exact = 2n ** BigInt(format.precision)
  const isExact = signed ? i64.leU(i64.add(x, i64.const(exact)), i64.const(exact << 1n)) : i64.leU(x, i64.const(exact))
  f.if(i32.or(isExact, mayUseHost(kit, rm, i32.const(1))), () => f.return(nearest))
  const sign = f.let(signed ? i32.wrap(i64.shrU(x, 63)) : i32.const(0))
  const size = f.let(select('i64', sign, i64.sub(0, x), x))
  const shift = f.let(i64.clz(size))
  const exponent = i32.sub(format.bias + 63, i32.wrap(shift))
  f.return(call(kit.roundPack, sign, exponent, i64.shl(size, shift), rm))
}

/** Emits the conversions between the formats (IEEE 754-2019, 5.4.2). */
export function emitFormatConversions(k32: Kit<'f32', 'i32'>, k64: Kit<'f64', 'i64'>): FloatConversions {
  const { m } = k64
  const convertNan = (f: Func, from: Format<'f32', 'i32'> | Format<'f64', 'i64'>, bits: Local<'i64'>): Expr<'i64'> => {
    raiseSignalling(f, k64, from, [bits])
    return k64.nan.convert(f, from, from === binary32 ? binary64 : binary32, bits)
  }
  const narrow = m.func('f64.toF32', ['i64', 'i32'], 'i32', (f, a, rm) => {
    const x = f.let(f64.reinterpret(a))
    const nearest = f.let(f32.demote(x))
    const result = f.let(i32.reinterpret(nearest))
    // An exact result is right in all modes; zeros and infinities are exact.
    const host = mayUseHost(k32, rm, ordinary(binary32, result))
    f.if(i32.or(host, f64.eq(f64.promote(nearest), x)), () => f.return(result))
    f.if(isNan(binary64, a), () => f.return(i32.wrap(convertNan(f, binary64, a))))
    const { exponent, significand } = unpack(f, binary64, a)
    f.return(call(k32.roundPack, signOf(binary64, a), i32.sub(exponent, binary64.bias - binary32.bias), significand, rm))
  })
  const widen = m.func('f32.toF64', ['i32'], 'i64', (f, a) => {
    const x = f.let(f32.reinterpret(a))
    f.if(f32.eq(x, x), () => f.return(i64.reinterpret(f64.promote(x))))
    f.return(convertNan(f, binary32, f.let(i64.extendU(a))))
  })
  return { narrow, widen }
}
