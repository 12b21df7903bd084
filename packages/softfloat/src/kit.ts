import { type Expr, type Func, type FuncRef, i32, i64, Local, type ModuleBuilder, type Operand, type ValueType } from '@machinist/wasm'
import { flag } from './environment.ts'
import { type FloatType, type Format, isSignalling, type Layout } from './format.ts'
import type { NanRules } from './nan.ts'
import type { BitsType } from './types.ts'

/** Functions on significands that both formats share. */
export interface SharedFunctions {
  /** `(significand, n)`: shifted right by any `n` ≥ 0, with bit 0 set when a one was lost. */
  readonly shiftRightJam: FuncRef<readonly ['i64', 'i32'], 'i64'>
  /** The upper half of an unsigned 128-bit product. */
  readonly multiplyHigh: FuncRef<readonly ['i64', 'i64'], 'i64'>
}

/** What an operation's emitter needs: the module, the format, where flags go, and the common tail. */
export interface Kit<F extends FloatType, I extends BitsType> {
  readonly m: ModuleBuilder
  readonly format: Format<F, I>
  readonly flags: number
  readonly nan: NanRules
  /** The option of that name. */
  readonly trapped: boolean
  readonly shared: SharedFunctions
  /** `(sign, biased exponent, significand with bit 63 set, rm)` → the rounded number, with its flags raised. */
  readonly roundPack: FuncRef<readonly ['i32', 'i32', 'i64', 'i32'], I>
}

/** The part of a kit that does not depend on the format. */
export type Environment = Pick<Kit<FloatType, BitsType>, 'flags' | 'nan' | 'trapped'>

/** Adds flags to the sticky ones. */
export function raise(f: Func, environment: Environment, flags: Operand<'i32'>): void {
  f.do(i32.store8(0, i32.or(i32.load8U(0, environment.flags), flags), environment.flags))
}


/** Raises NV when an operand is a signalling NaN. */
export function raiseSignalling(f: Func, environment: Environment, format: Layout, operands: readonly Local<'i64'>[]): void {
  const any = operands.map((x) => isSignalling(format, x)).reduce((a, b) => i32.or(a, b))
  f.if(any, () => raise(f, environment, flag.NV))
}

/** The operand in a local, and whether the local is a new one. */
export interface Bound<T extends ValueType> {
  readonly local: Local<T>
  readonly fresh: boolean
}

/** Makes an operand usable more than once. */
export function bind<T extends ValueType>(f: Func, value: Expr<T>): Bound<T> {
  return value instanceof Local ? { local: value as Local<T>, fresh: false } : { local: f.let(value), fresh: true }
}

/** A finite number taken apart: `(−1)^sign × significand × 2^(exponent − bias − 63)`. */
export interface Unpacked {
  readonly exponent: Local<'i32'>
  /** Bit 63 is set, unless the number is zero; then this is zero. */
  readonly significand: Local<'i64'>
}

export function unpack(f: Func, format: Layout, bits: Local<'i64'>): Unpacked {
  const significand = f.let(i64.and(bits, i64.const(format.fraction)))
  const exponent = f.let(i32.and(i32.wrap(i64.shrU(bits, format.precision - 1)), format.maxExponent))
  f.if(
    exponent,
    () => f.set(significand, i64.or(i64.shl(significand, format.extra), i64.const(1n << 63n))),
    () => {
      f.set(exponent, i32.sub(format.extra + 1, i32.wrap(i64.clz(significand))))
      f.set(significand, i64.shl(significand, i64.clz(significand)))
    },
  )
  return { exponent, significand }
}

/** The sign as 0 or 1. */
export function signOf(format: Layout, bits: Expr<'i64'>): Expr<'i32'> {
  return i32.wrap(i64.shrU(bits, format.width - 1))
}
