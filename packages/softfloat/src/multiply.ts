import { call, type Expr, f32, f64, type Func, i32, i64, type Local } from '@machinist/wasm'
import { flag } from './environment.ts'
import { moderate, productError } from './errors.ts'
import { binary32, type FloatType, magnitude, ordinary } from './format.ts'
import { inlineBinary } from './inline.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { Binary, BitsType, InlineBinary } from './types.ts'

/** An operation: the function, and the emitter that writes its fast path in place. */
export interface Operation<Function, Inline> {
  readonly call: Function
  readonly inline: Inline
}

/** Emits multiplication (IEEE 754-2019, 5.4.1). */
export function emitMultiply<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  exact: (f: Func, a: Local<I>, b: Local<I>) => void,
): Operation<Binary<I>, InlineBinary<I>> {
  const { m, format } = kit
  const params = [format.bits, format.bits, 'i32'] as const
  const slow: Binary<I> = m.func(`${format.name}.mul.slow`, params, format.bits, (f, a, b, rm) => {
    f.if(i32.eqz(rm), () => exact(f, a, b))
    productOfIntegers(f, kit, f.let(format.wide(a)), f.let(format.wide(b)), rm)
  })
  const inline = inlineBinary(kit, format.float.mul, (result) => ordinary(format, result), slow)
  return { call: m.func(`${format.name}.mul`, params, format.bits, (f, a, b, rm) => f.return(inline(f, a, b, rm))), inline }
}

/** In round-to-nearest-even, returns the host's product of doubles where its error can be known. */
export function exactProduct64(kit: Kit<'f64', 'i64'>): (f: Func, a: Local<'i64'>, b: Local<'i64'>) => void {
  return (f, a, b) => {
    const x = f.let(f64.reinterpret(a))
    const y = f.let(f64.reinterpret(b))
    const product = f.let(f64.mul(x, y))
    f.if(i32.and(moderate(a), moderate(b)), () => {
      raise(f, kit, f64.ne(productError(f, x, y, product), 0))
      f.return(i64.reinterpret(product))
    })
    f.if(zeroFrom(product, x, y), () => f.return(i64.reinterpret(product)))
  }
}

/** The same for singles, whose product is exact in doubles. */
export function exactProduct32(kit: Kit<'f32', 'i32'>): (f: Func, a: Local<'i32'>, b: Local<'i32'>) => void {
  return (f, a, b) => {
    const product = f.let(f64.mul(f64.promote(f32.reinterpret(a)), f64.promote(f32.reinterpret(b))))
    const rounded = f.let(f32.demote(product))
    const result = f.let(i32.reinterpret(rounded))
    f.if(i32.or(ordinary(binary32, result), f64.eq(product, 0)), () => {
      raise(f, kit, f64.ne(f64.promote(rounded), product))
      f.return(result)
    })
  }
}

/** Whether a zero product is exact: one factor is zero, and the other neither infinite nor a NaN. */
function zeroFrom(product: Expr<'f64'>, x: Expr<'f64'>, y: Expr<'f64'>): Expr<'i32'> {
  return i32.and(f64.eq(product, 0), i32.or(f64.eq(x, 0), f64.eq(y, 0)))
}

/** Multiplication in integer arithmetic, in any mode. */
function productOfIntegers<F extends FloatType, I extends BitsType>(
  f: Func,
  kit: Kit<F, I>,
  a: Local<'i64'>,
  b: Local<'i64'>,
  rm: Local<'i32'>,
): void {
  const { format, nan, shared } = kit
  const infinity = i64.const(format.infinity)
  const magnitudeA = f.let(magnitude(format, a))
  const magnitudeB = f.let(magnitude(format, b))
  const sign = f.let(i64.and(i64.xor(a, b), i64.const(format.sign)))
  f.if(i32.or(i64.gtU(magnitudeA, infinity), i64.gtU(magnitudeB, infinity)), () => {
    raiseSignalling(f, kit, format, [a, b])
    f.return(format.narrow(nan.propagate(f, format, [a, b])))
  })
  const anyZero = f.let(i32.or(i64.eqz(magnitudeA), i64.eqz(magnitudeB)))
  f.if(i32.or(i64.eq(magnitudeA, infinity), i64.eq(magnitudeB, infinity)), () => {
    f.if(anyZero, () => {
      raise(f, kit, flag.NV)
      f.return(format.narrow(nan.invalid(format)))
    })
    f.return(format.narrow(i64.or(sign, infinity)))
  })
  f.if(anyZero, () => f.return(format.narrow(sign)))
  const x = unpack(f, format, a)
  const y = unpack(f, format, b)
  const low = i64.mul(x.significand, y.significand)
  const high = f.let(call(shared.multiplyHigh, x.significand, y.significand))
  f.set(high, i64.or(high, i64.extendU(i64.ne(low, 0))))
  const shift = f.let(i64.clz(high))
  const exponent = i32.sub(i32.sub(i32.add(x.exponent, y.exponent), format.bias - 1), i32.wrap(shift))
  f.return(call(kit.roundPack, signOf(format, sign), exponent, i64.shl(high, shift), rm))
}
