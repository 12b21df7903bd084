import { type Expr, f32, f64, type FloatOps, i32, i64, type IntegerOps } from '@machinist/wasm'
import type { BitsType } from './types.ts'

export type FloatType = 'f32' | 'f64'

/** The layout of a binary interchange format (IEEE 754-2019, 3.6). */
export interface Layout {
  readonly width: number
  /** Digits of the significand, with the implicit one. */
  readonly precision: number
  readonly bias: number
  /** The biased exponent of infinities and NaNs. */
  readonly maxExponent: number
  /** How many bits of a 64-bit significand (leading one in bit 63) are below this format's precision. */
  readonly extra: number
  readonly sign: bigint
  readonly infinity: bigint
  readonly quiet: bigint
  readonly fraction: bigint
  readonly minNormal: bigint
}

/** A format with the host's operations on it. */
export interface Format<F extends FloatType, I extends BitsType> extends Layout {
  readonly name: F
  readonly bits: I
  readonly float: FloatOps<F>
  readonly int: IntegerOps<I>
  readonly toFloat: (bits: Expr<I>) => Expr<F>
  readonly toBits: (value: Expr<F>) => Expr<I>
  /** Bits, zero-extended. */
  readonly wide: (bits: Expr<I>) => Expr<'i64'>
  readonly narrow: (bits: Expr<'i64'>) => Expr<I>
}

function layout(width: number, precision: number): Layout {
  const fractionBits = BigInt(precision - 1)
  const maxExponent = 2 ** (width - precision) - 1
  return {
    width,
    precision,
    bias: (maxExponent - 1) / 2,
    maxExponent,
    extra: 64 - precision,
    sign: 1n << BigInt(width - 1),
    infinity: BigInt(maxExponent) << fractionBits,
    quiet: 1n << (fractionBits - 1n),
    fraction: (1n << fractionBits) - 1n,
    minNormal: 1n << fractionBits,
  }
}

export const binary32: Format<'f32', 'i32'> = {
  ...layout(32, 24),
  name: 'f32',
  bits: 'i32',
  float: f32,
  int: i32,
  toFloat: f32.reinterpret,
  toBits: i32.reinterpret,
  wide: i64.extendU,
  narrow: i32.wrap,
}

export const binary64: Format<'f64', 'i64'> = {
  ...layout(64, 53),
  name: 'f64',
  bits: 'i64',
  float: f64,
  int: i64,
  toFloat: f64.reinterpret,
  toBits: i64.reinterpret,
  wide: (bits) => bits,
  narrow: (bits) => bits,
}

/** Whether a result is finite: then no flag but NX can belong to an addition or square root that gave it. */
export function finite<F extends FloatType, I extends BitsType>(format: Format<F, I>, bits: Expr<I>): Expr<'i32'> {
  return format.int.ltU(format.int.shl(bits, 1), format.int.const(format.infinity << 1n))
}

/**
 * Whether a result is finite and above the least normal number in magnitude: then no flag but NX can belong to
 * the operation that gave it. The least normal number itself may have been rounded up to, with an underflow.
 */
export function ordinary<F extends FloatType, I extends BitsType>(format: Format<F, I>, bits: Expr<I>): Expr<'i32'> {
  const { int } = format
  const least = (format.minNormal + 1n) << 1n
  return int.ltU(int.sub(int.shl(bits, 1), int.const(least)), int.const((format.infinity << 1n) - least))
}

export function isNan(format: Layout, bits: Expr<'i64'>): Expr<'i32'> {
  return i64.gtU(magnitude(format, bits), i64.const(format.infinity))
}

export function isSignalling(format: Layout, bits: Expr<'i64'>): Expr<'i32'> {
  // With the quiet bit inverted, signalling NaNs and nothing else lie above ∞ with the quiet bit set.
  return i64.gtU(magnitude(format, i64.xor(bits, i64.const(format.quiet))), i64.const(format.infinity | format.quiet))
}

/** The bits without the sign. */
export function magnitude(format: Layout, bits: Expr<'i64'>): Expr<'i64'> {
  return i64.and(bits, i64.const(format.sign - 1n))
}
