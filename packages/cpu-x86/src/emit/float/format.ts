import { type Expr, type Func, i32, i64, type Local } from '@machinist/wasm'

/** Bits of a number as they are computed with here: zero-extended. */
export type Number64 = Expr<'i64'>

/** A format of SSE and AVX (SDM volume 1, 4.2.2). */
export interface Format {
  readonly bits: 32 | 64
  readonly sign: bigint
  readonly infinity: bigint
  readonly quiet: bigint
  readonly leastNormal: bigint
}

export const single: Format = { bits: 32, sign: 1n << 31n, infinity: 0xffn << 23n, quiet: 1n << 22n, leastNormal: 1n << 23n }
export const double: Format = { bits: 64, sign: 1n << 63n, infinity: 0x7ffn << 52n, quiet: 1n << 51n, leastNormal: 1n << 52n }

export const magnitude = ({ sign }: Format, a: Number64): Number64 => i64.and(a, i64.const(sign - 1n))
export const isNan = (format: Format, a: Number64): Expr<'i32'> => i64.gtU(magnitude(format, a), i64.const(format.infinity))
export const isSignalling = (format: Format, a: Number64): Expr<'i32'> => i32.and(isNan(format, a), i64.eqz(i64.and(a, i64.const(format.quiet))))
/** Neither zero nor normal. */
export const isDenormal = (format: Format, a: Number64): Expr<'i32'> => i64.ltU(i64.sub(magnitude(format, a), 1), i64.const(format.leastNormal - 1n))
/** At least so much, and finite. */
export const isFrom = (format: Format, least: bigint, a: Number64): Expr<'i32'> => i64.ltU(i64.sub(magnitude(format, a), i64.const(least)), i64.const(format.infinity - least))
export const isZero = (format: Format, a: Number64): Expr<'i32'> => i64.eqz(magnitude(format, a))
export const isNegative = ({ bits }: Format, a: Number64): Expr<'i32'> => i32.wrap(i64.shrU(a, bits - 1))
/** The integer whose order is that of the numbers. */
export function ordered(f: Func, format: Format, a: Local<'i64'>): Local<'i64'> {
  const value = f.let(magnitude(format, a))
  f.if(isNegative(format, a), () => f.set(value, i64.sub(0, value)))
  return value
}
