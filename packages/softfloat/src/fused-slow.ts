import { call, type Func, i32, i64, type Local } from '@machinist/wasm'
import { exactZero } from './add.ts'
import { flag } from './environment.ts'
import { type FloatType, magnitude } from './format.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { BitsType, Ternary } from './types.ts'

/** A 128-bit significand with its leading one in bit 126, and the biased exponent of that one. */
interface Wide {
  readonly exponent: Local<'i32'>
  readonly high: Local<'i64'>
  readonly low: Local<'i64'>
}

/** Emits the fused multiply-add in integer arithmetic, in any mode, after `exact` had its chance in RNE. */
export function emitFusedSlow<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  exact: (f: Func, a: Local<I>, b: Local<I>, c: Local<I>) => void,
): Ternary<I> {
  const { m, format } = kit
  const { bits } = format
  return m.func(`${format.name}.fma.slow`, [bits, bits, bits, 'i32'], bits, (f, x, y, z, rm) => {
    f.if(i32.eqz(rm), () => exact(f, x, y, z))
    const a = f.let(format.wide(x))
    const b = f.let(format.wide(y))
    const c = f.let(format.wide(z))
    const sign = f.let(signOf(format, i64.xor(a, b)))
    specialCases(f, kit, a, b, c, sign, rm)

    const product = multiply(f, kit, a, b)
    const addend = unpack(f, format, c)
    f.if(i64.eqz(addend.significand), () => {
      const significand = i64.or(i64.shl(product.high, 1), i64.extendU(i64.ne(product.low, 0)))
      f.return(call(kit.roundPack, sign, product.exponent, significand, rm))
    })
    const other: Wide = { exponent: addend.exponent, high: addend.significand, low: f.let(i64.const(0)) }
    f.set(other.high, i64.shrU(other.high, 1))
    const differ = f.let(i32.xor(sign, signOf(format, c)))
    // Put the larger first. With equal high halves the product is not the smaller, as the addend's low half is 0.
    const below = i32.and(i32.eq(product.exponent, other.exponent), i64.ltU(product.high, other.high))
    f.if(i32.or(i32.ltS(product.exponent, other.exponent), below), () => {
      swap(f, product.exponent, other.exponent)
      swap(f, product.high, other.high)
      swap(f, product.low, other.low)
      f.set(sign, i32.xor(sign, differ))
    })
    alignTo(f, kit, product, other)
    const low = f.local('i64')
    const high = f.local('i64')
    f.if(
      differ,
      () => {
        f.set(low, i64.sub(product.low, other.low))
        f.set(high, i64.sub(i64.sub(product.high, other.high), i64.extendU(i64.ltU(product.low, other.low))))
        f.if(i64.eqz(i64.or(low, high)), () => f.return(exactZero(kit, rm)))
      },
      () => {
        f.set(low, i64.add(product.low, other.low))
        f.set(high, i64.add(i64.add(product.high, other.high), i64.extendU(i64.ltU(low, other.low))))
      },
    )
    const exponent = f.let(i32.add(product.exponent, 1))
    f.if(i64.eqz(high), () => {
      f.set(high, low)
      f.set(low, 0)
      f.set(exponent, i32.sub(exponent, 64))
    })
    const shift = f.let(i64.clz(high))
    f.if(i64.ne(shift, 0), () => {
      f.set(high, i64.or(i64.shl(high, shift), i64.shrU(low, i64.sub(64, shift))))
      f.set(low, i64.shl(low, shift))
    })
    const significand = i64.or(high, i64.extendU(i64.ne(low, 0)))
    f.return(call(kit.roundPack, sign, i32.sub(exponent, i32.wrap(shift)), significand, rm))
  })
}

function swap<T extends 'i32' | 'i64'>(f: Func, a: Local<T>, b: Local<T>): void {
  const old = f.let(a)
  f.set(a, b)
  f.set(b, old)
  f.free(old)
}

/** Returns for NaNs, infinities and a zero product. */
function specialCases<F extends FloatType, I extends BitsType>(
  f: Func,
  kit: Kit<F, I>,
  a: Local<'i64'>,
  b: Local<'i64'>,
  c: Local<'i64'>,
  sign: Local<'i32'>,
  rm: Local<'i32'>,
): void {
  const { format, nan } = kit
  const infinity = i64.const(format.infinity)
  const magnitudeA = f.let(magnitude(format, a))
  const magnitudeB = f.let(magnitude(format, b))
  const magnitudeC = f.let(magnitude(format, c))
  const zero = f.let(i32.or(i64.eqz(magnitudeA), i64.eqz(magnitudeB)))
  const infinite = f.let(i32.or(i64.eq(magnitudeA, infinity), i64.eq(magnitudeB, infinity)))
  const signsDiffer = (): Local<'i32'> => f.let(i32.xor(sign, signOf(format, c)))
  const invalid = (): void => {
    raise(f, kit, flag.NV)
    f.return(format.narrow(nan.invalid(format)))
  }
  const anyNan = i32.or(i32.or(i64.gtU(magnitudeA, infinity), i64.gtU(magnitudeB, infinity)), i64.gtU(magnitudeC, infinity))
  f.if(anyNan, () => {
    raiseSignalling(f, kit, format, [a, b, c])
    // A zero and an infinity leave no factor to be a NaN: it is the addend.
    if (nan.zeroTimesInfinityPlusNan) f.if(i32.and(zero, infinite), () => raise(f, kit, flag.NV))
    f.return(format.narrow(nan.propagate(f, format, [a, b, c])))
  })
  f.if(infinite, () => {
    f.if(zero, invalid)
    f.if(i32.and(i64.eq(magnitudeC, infinity), signsDiffer()), invalid)
    f.return(format.narrow(i64.or(infinity, i64.shl(i64.extendU(sign), format.width - 1))))
  })
  f.if(i64.eq(magnitudeC, infinity), () => f.return(format.narrow(c)))
  f.if(zero, () => {
    f.if(i32.and(i64.eqz(magnitudeC), signsDiffer()), () => f.return(exactZero(kit, rm)))
    f.return(format.narrow(c))
  })
}

/** The exact product. */
function multiply<F extends FloatType, I extends BitsType>(f: Func, kit: Kit<F, I>, a: Local<'i64'>, b: Local<'i64'>): Wide {
  const x = unpack(f, kit.format, a)
  const y = unpack(f, kit.format, b)
  f.set(x.significand, i64.shrU(x.significand, 1))
  const high = f.let(call(kit.shared.multiplyHigh, x.significand, y.significand))
  const low = f.let(i64.mul(x.significand, y.significand))
  const exponent = f.let(i32.sub(i32.add(x.exponent, y.exponent), kit.format.bias - 1))
  f.if(i64.eqz(i64.shrU(high, 62)), () => {
    f.set(high, i64.or(i64.shl(high, 1), i64.shrU(low, 63)))
    f.set(low, i64.shl(low, 1))
    f.set(exponent, i32.sub(exponent, 1))
  })
  return { exponent, high, low }
}

/** Shifts the significand of the smaller number to the larger's exponent, with bit 0 set when a one was lost. */
function alignTo<F extends FloatType, I extends BitsType>(f: Func, kit: Kit<F, I>, larger: Wide, smaller: Wide): void {
  const distance = f.let(i32.sub(larger.exponent, smaller.exponent))
  const { high, low } = smaller
  f.if(
    i32.geU(distance, 64),
    () => {
      const lost = i64.extendU(i64.ne(low, 0))
      f.set(low, i64.or(call(kit.shared.shiftRightJam, high, i32.sub(distance, 64)), lost))
      f.set(high, 0)
    },
    () =>
      f.if(distance, () => {
        const up = i64.extendU(i32.sub(64, distance))
        f.set(low, i64.or(call(kit.shared.shiftRightJam, low, distance), i64.shl(high, up)))
        f.set(high, i64.shrU(high, i64.extendU(distance)))
      }),
  )
}
