import type { Expr, Func, FuncRef, Local } from '@machinist/wasm'

/** The integer types that hold bit patterns: `i32` for binary32, `i64` for binary64. */
export type BitsType = 'i32' | 'i64'

/** `(a, rm)`, as `sqrt`. */
export type Unary<I extends BitsType> = FuncRef<readonly [I, 'i32'], I>
/** `(a, b, rm)`, as `add`. */
export type Binary<I extends BitsType> = FuncRef<readonly [I, I, 'i32'], I>
/** `(a, b, c, rm)`, as `fma`. */
export type Ternary<I extends BitsType> = FuncRef<readonly [I, I, I, 'i32'], I>
/** `(a, b)` → 0 or 1. */
export type Predicate<I extends BitsType> = FuncRef<readonly [I, I], 'i32'>
/** `(a, rm)` → an integer in an i64. */
export type ToInteger<I extends BitsType> = FuncRef<readonly [I, 'i32'], 'i64'>
/** `(x, rm)` → the nearest number. */
export type FromInteger<X extends BitsType, I extends BitsType> = FuncRef<readonly [X, 'i32'], I>

/** Writes an operation in place. A rounding mode given as a number is decided while emitting. */
export type InlineUnary<I extends BitsType> = (f: Func, a: Expr<I>, rm: Expr<'i32'> | number) => Local<I>
export type InlineBinary<I extends BitsType> = (f: Func, a: Expr<I>, b: Expr<I>, rm: Expr<'i32'> | number) => Local<I>
export type InlineTernary<I extends BitsType> = (
  f: Func,
  a: Expr<I>,
  b: Expr<I>,
  c: Expr<I>,
  rm: Expr<'i32'> | number,
) => Local<I>

/**
 * Arithmetic written into the caller's function: the host's own operation and one test, with a call only when the
 * test fails. The result is in a new local, which the caller may give back with `Func.free`. Each operand is
 * computed once. `fma` is some seventy instructions; where size matters more than the cost of a call, call
 * {@link FloatFunctions.fma}, which holds the same code.
 */
export interface Inline<I extends BitsType> {
  readonly add: InlineBinary<I>
  readonly sub: InlineBinary<I>
  readonly mul: InlineBinary<I>
  readonly div: InlineBinary<I>
  readonly sqrt: InlineUnary<I>
  readonly fma: InlineTernary<I>
}

/**
 * The operations of one format. Operands and results are bit patterns; `rm` is a {@link roundingMode} (any other
 * value is the caller's error, and gives an unspecified rounding). Flags are added to the byte of the options.
 */
export interface FloatFunctions<I extends BitsType> {
  readonly add: Binary<I>
  readonly sub: Binary<I>
  readonly mul: Binary<I>
  readonly div: Binary<I>
  readonly sqrt: Unary<I>
  /** `a × b + c` with a single rounding. `∞ × 0` is invalid even when `c` is a quiet NaN. */
  readonly fma: Ternary<I>
  /** Quiet: only a signalling NaN raises NV. */
  readonly eq: Predicate<I>
  /** Signalling: any NaN raises NV. */
  readonly lt: Predicate<I>
  /** Signalling: any NaN raises NV. */
  readonly le: Predicate<I>
  /** IEEE 754-2019 `minimumNumber`: a NaN loses against a number, −0 < +0; a signalling NaN raises NV. */
  readonly min: FuncRef<readonly [I, I], I>
  /** IEEE 754-2019 `maximumNumber`. */
  readonly max: FuncRef<readonly [I, I], I>
  /**
   * The class as one bit: −∞ 0, negative normal 1, negative subnormal 2, −0 3, +0 4, positive subnormal 5,
   * positive normal 6, +∞ 7, signalling NaN 8, quiet NaN 9 (RISC-V `fclass`, Unprivileged ISA, 20.9).
   */
  readonly classify: FuncRef<readonly [I], 'i32'>
  /** To a signed word, sign-extended. Out of range: NV and the nearest limit; NaN: NV and the maximum. */
  readonly toI32: ToInteger<I>
  /** To an unsigned word, which is then sign-extended from bit 31. Saturates as {@link FloatFunctions.toI32}. */
  readonly toU32: ToInteger<I>
  readonly toI64: ToInteger<I>
  readonly toU64: ToInteger<I>
  readonly fromI32: FromInteger<'i32', I>
  readonly fromU32: FromInteger<'i32', I>
  readonly fromI64: FromInteger<'i64', I>
  readonly fromU64: FromInteger<'i64', I>
  readonly inline: Inline<I>
}

/** Conversions between the formats. */
export interface FloatConversions {
  /** binary64 → binary32, `(a, rm)`. */
  readonly narrow: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** binary32 → binary64, `(a)`: always exact. */
  readonly widen: FuncRef<readonly ['i32'], 'i64'>
}

/** What {@link emitSoftfloat} put into the module. */
export interface SoftFloat {
  readonly f32: FloatFunctions<'i32'> & { /** `(a)`: always exact. */ readonly toF64: FloatConversions['widen'] }
  readonly f64: FloatFunctions<'i64'> & { /** `(a, rm)` */ readonly toF32: FloatConversions['narrow'] }
}

export interface SoftfloatOptions {
  /**
   * Address, in the module's linear memory, of the byte that collects the exception {@link flag}s. They are
   * sticky: operations only set bits. Keep bits 5–7 clear.
   */
  readonly flags: number
  /**
   * Which NaN an operation returns. `'canonical'`: always the positive quiet NaN without payload, as RISC-V. `'x86'`: the first
   * operand that is one, made quiet, as SSE and AVX; when none is, the negative quiet NaN without payload.
   */
  readonly nan: 'canonical' | 'x86'
  /**
   * Whether an operation that raises OF or UF also tells, in bit 5 of the flags, if its result would be inexact were exponents
   * unbounded: that is what NX means to an architecture that traps overflow or underflow.
   */
  readonly trapped?: boolean
}
