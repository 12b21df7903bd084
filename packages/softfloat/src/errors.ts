import { type Expr, type FloatOps, type Func, f64, i32, i64, type Local } from '@machinist/wasm'
import type { FloatType } from './format.ts'
import { binary64 } from './format.ts'

/**
 * Error-free transformations: the exact rounding error of an operation in round-to-nearest, in the host's own
 * arithmetic (Handbook of Floating-Point Arithmetic, 2nd edition, 4.3 and 4.4).
 */

/** The error of `sum = a + b` (2Sum): `sum + error` is exactly `a + b`. Not finite when `sum` is not. */
export function sumError<F extends FloatType>(
  f: Func,
  float: FloatOps<F>,
  a: Local<F>,
  b: Local<F>,
  sum: Local<F>,
): Expr<F> {
  const virtual = f.let(float.sub(sum, a))
  return float.add(float.sub(a, float.sub(sum, virtual)), float.sub(b, virtual))
}

/** Veltkamp's splitting constant for 53 digits: 2^27 + 1. */
const splitter = 134217729

function split(f: Func, x: Local<'f64'>): { high: Local<'f64'>; low: Local<'f64'> } {
  const scaled = f.let(f64.mul(x, splitter))
  const high = f.let(f64.sub(scaled, f64.sub(scaled, x)))
  return { high, low: f.let(f64.sub(x, high)) }
}

/** The error of `product = a × b` (Dekker). Exact when the factors are {@link moderate} or near to it. */
export function productError(f: Func, a: Local<'f64'>, b: Local<'f64'>, product: Local<'f64'>): Expr<'f64'> {
  const x = split(f, a)
  const y = split(f, b)
  const first = f64.sub(f64.mul(x.high, y.high), product)
  const crossed = f64.add(f64.add(first, f64.mul(x.high, y.low)), f64.mul(x.low, y.high))
  return f64.add(crossed, f64.mul(x.low, y.low))
}

/** Exponents, in magnitude, of numbers that one may multiply and divide with neither overflow nor lost bits. */
const moderateExponent = 450

/** Whether the number with these bits is normal with an exponent from −450 to 450. */
export function moderate(bits: Expr<'i64'>): Expr<'i32'> {
  const least = BigInt(binary64.bias - moderateExponent) << 53n
  const count = BigInt(2 * moderateExponent + 1) << 53n
  return i64.ltU(i64.sub(i64.shl(bits, 1), i64.const(least)), i64.const(count))
}

/**
 * `a + b` rounded to odd: when inexact, whichever neighbour has an odd significand. Rounding that once more, to a
 * format of at least two digits fewer or after adding something much larger, gives what a single rounding would
 * (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
 */
export function addToOdd(f: Func, a: Local<'f64'>, b: Local<'f64'>): Local<'f64'> {
  const sum = f.let(f64.add(a, b))
  const error = f.let(sumError(f, f64, a, b, sum))
  const bits = f.let(i64.reinterpret(sum))
  // One step towards the error: up in magnitude when it has the sum's sign.
  const step = i64.or(i64.shrS(i64.xor(bits, i64.reinterpret(error)), 63), 1)
  const wanted = i32.and(f64.ne(error, 0), i32.xor(i32.wrap(bits), 1))
  f.set(bits, i64.add(bits, i64.and(step, i64.sub(0, i64.extendU(wanted)))))
  f.set(sum, f64.reinterpret(bits))
  for (const local of [error, bits]) f.free(local)
  return sum
}
