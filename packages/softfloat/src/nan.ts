import { type Expr, type Func, i64, type Local } from '@machinist/wasm'
import type { Layout } from './format.ts'

/**
 * Which NaN comes out. Raising NV for signalling operands is common to all and not done here; bits are
 * zero-extended to 64. An architecture that propagates payloads (x86 takes the first operand, Arm the first
 * signalling one) is one more object of this type.
 */
export interface NanRules {
  /** The result when one or more of `operands`, in the instruction's order, is a NaN. */
  propagate(f: Func, format: Layout, operands: readonly Local<'i64'>[]): Expr<'i64'>
  /** The result of an invalid operation on numbers, as ∞ − ∞. */
  invalid(format: Layout): Expr<'i64'>
  /** A NaN in another format. */
  convert(f: Func, from: Layout, to: Layout, operand: Local<'i64'>): Expr<'i64'>
  /** Whether `∞ × 0 + quiet NaN` raises NV, which IEEE 754-2019, 7.2 leaves open. */
  readonly zeroTimesInfinityPlusNan: boolean
}

const canonicalNan = (format: Layout): Expr<'i64'> => i64.const(format.infinity | format.quiet)

/** RISC-V (Unprivileged ISA, 20.3): every NaN result is the canonical NaN. */
export const canonical: NanRules = {
  propagate: (_f, format) => canonicalNan(format),
  invalid: canonicalNan,
  convert: (_f, _from, to) => canonicalNan(to),
  zeroTimesInfinityPlusNan: true,
}
