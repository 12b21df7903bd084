import { call, f32, f64, type Func, i32, i64, type Local } from '@machinist/wasm'
import { flag } from './environment.ts'
import { moderate, productError } from './errors.ts'
import { binary32, type FloatType, magnitude, ordinary } from './format.ts'
import { inlineBinary } from './inline.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { Operation } from './multiply.ts'
import type { Binary, BitsType, InlineBinary } from './types.ts'

/** Quotient bits that one 64-bit division of a 53-bit remainder gives. */
const stepBits = 11
const steps = 5

/** Emits division (IEEE 754-2019, 5.4.1, 7.3). */
export function emitDivide<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  exact: (f: Func, a: Local<I>, b: Local<I>) => void,
): Operation<Binary<I>, InlineBinary<I>> {
  const { m, format } = kit
  const params = [format.bits, format.bits, 'i32'] as const
  const slow: Binary<I> = m.func(`${format.name}.div.slow`, params, format.bits, (f, a, b, rm) => {
    f.if(i32.eqz(rm), () => exact(f, a, b))
    quotientOfIntegers(f, kit, f.let(format.wide(a)), f.let(format.wide(b)), rm)
  })
  const inline = inlineBinary(kit, format.float.div, (result) => ordinary(format, result), slow)
  return { call: m.func(`${format.name}.div`, params, format.bits, (f, a, b, rm) => f.return(inline(f, a, b, rm))), inline }
}

/** In round-to-nearest-even, returns the host's quotient where multiplying back shows whether it is exact. */
export function exactQuotient64(kit: Kit<'f64', 'i64'>): (f: Func, a: Local<'i64'>, b: Local<'i64'>) => void {
  return (f, a, b) => {
    const x = f.let(f64.reinterpret(a))
    const y = f.let(f64.reinterpret(b))
    const quotient = f.let(f64.div(x, y))
    f.if(i32.and(moderate(a), moderate(b)), () => {
      const product = f.let(f64.mul(quotient, y))
      raise(f, kit, i32.or(f64.ne(product, x), f64.ne(productError(f, quotient, y, product), 0)))
      f.return(i64.reinterpret(quotient))
    })
    f.if(i32.and(f64.eq(x, 0), f64.eq(quotient, 0)), () => f.return(i64.reinterpret(quotient)))
  }
}

/** The same for singles: the product of two of them is exact in doubles. */
export function exactQuotient32(kit: Kit<'f32', 'i32'>): (f: Func, a: Local<'i32'>, b: Local<'i32'>) => void {
  return (f, a, b) => {
    const x = f.let(f32.reinterpret(a))
    const y = f.let(f32.reinterpret(b))
    const quotient = f.let(f32.div(x, y))
    const result = f.let(i32.reinterpret(quotient))
    // An infinite divisor gives a zero quotient, which is not ordinary.
    f.if(i32.or(ordinary(binary32, result), i32.and(f32.eq(x, 0), f32.eq(quotient, 0))), () => {
      const product = f64.mul(f64.promote(quotient), f64.promote(y))
      f.if(f32.ne(quotient, 0), () => raise(f, kit, f64.ne(product, f64.promote(x))))
      f.return(result)
    })
  }
}

/** Division in integer arithmetic, in any mode. */
function quotientOfIntegers<F extends FloatType, I extends BitsType>(
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
  const sign = f.let(i64.and(i64.xor(a, b), i64.const(format.sign)))
  f.if(i32.or(i64.gtU(magnitudeA, infinity), i64.gtU(magnitudeB, infinity)), () => {
    raiseSignalling(f, kit, format, [a, b])
    f.return(format.narrow(nan.propagate(f, format, [a, b])))
  })
  // ∞ ÷ ∞ and 0 ÷ 0.
  const same = i64.eq(magnitudeA, magnitudeB)
  f.if(i32.and(same, i32.or(i64.eqz(magnitudeA), i64.eq(magnitudeA, infinity))), () => {
    raise(f, kit, flag.NV)
    f.return(format.narrow(nan.invalid(format)))
  })
  f.if(i64.eq(magnitudeA, infinity), () => f.return(format.narrow(i64.or(sign, infinity))))
  f.if(i32.or(i64.eq(magnitudeB, infinity), i64.eqz(magnitudeA)), () => f.return(format.narrow(sign)))
  f.if(i64.eqz(magnitudeB), () => {
    raise(f, kit, flag.DZ)
    f.return(format.narrow(i64.or(sign, infinity)))
  })
  const x = unpack(f, format, a)
  const y = unpack(f, format, b)
  const exponent = f.let(i32.add(i32.sub(x.exponent, y.exponent), format.bias))
  const remainder = f.let(i64.shrU(x.significand, stepBits))
  const divisor = f.let(i64.shrU(y.significand, stepBits))
  // With the dividend in [divisor, 2 × divisor), the quotient's first bit is its one before the point.
  f.if(i64.ltU(remainder, divisor), () => {
    f.set(remainder, i64.shl(remainder, 1))
    f.set(exponent, i32.sub(exponent, 1))
  })
  f.set(remainder, i64.sub(remainder, divisor))
  const quotient = f.let(i64.const(1))
  const digits = f.local('i64')
  for (let step = 0; step < steps; step++) {
    f.set(remainder, i64.shl(remainder, stepBits))
    f.set(digits, i64.divU(remainder, divisor))
    f.set(remainder, i64.sub(remainder, i64.mul(digits, divisor)))
    f.set(quotient, i64.or(i64.shl(quotient, stepBits), digits))
  }
  const significand = i64.or(i64.shl(quotient, 63 - steps * stepBits), i64.extendU(i64.ne(remainder, 0)))
  f.return(call(kit.roundPack, signOf(format, sign), exponent, significand, rm))
}
