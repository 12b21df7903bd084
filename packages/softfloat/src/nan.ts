import { type Expr, type Func, i64, type Local } from '@machinist/wasm'
import { isNan, type Layout } from './format.ts'

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

const quieted = (format: Layout, operand: Expr<'i64'>): Expr<'i64'> => i64.or(operand, i64.const(format.quiet))

/** SSE and AVX (Intel SDM volume 1, table 4-7, and 14.5.2 for the fused operations): the first NaN among the operands, made quiet; of none, the negative quiet NaN without payload. */
export const x86: NanRules = {
  propagate: (f, format, operands) => {
    const result = f.let(operands.at(-1) ?? i64.const(0))
    for (const operand of operands.slice(0, -1).reverse()) f.if(isNan(format, operand), () => f.set(result, operand))
    return quieted(format, result)
  },
  invalid: (format) => i64.const(format.sign | format.infinity | format.quiet),
  convert: (_f, from, to, operand) => {
    const sign = i64.shl(i64.shrU(operand, from.width - 1), to.width - 1)
    const fraction = i64.and(operand, i64.const(from.fraction))
    const moved = from.precision > to.precision ? i64.shrU(fraction, from.precision - to.precision) : i64.shl(fraction, to.precision - from.precision)
    return quieted(to, i64.or(i64.or(sign, i64.const(to.infinity)), moved))
  },
  zeroTimesInfinityPlusNan: false,
}
