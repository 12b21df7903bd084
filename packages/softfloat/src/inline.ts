import { call, type Expr, type Func, i32, type Local } from '@machinist/wasm'
import { bind, type Bound, type Environment, type Kit } from './kit.ts'
import type { FloatType } from './format.ts'
import type { Binary, BitsType, InlineBinary, InlineUnary, Unary } from './types.ts'

/**
 * The fast path, which QEMU's authors call hardfloat: WebAssembly's operations round to nearest even and report
 * nothing. When that is the mode, NX is set already, and the result shows that no other flag can be due, the
 * host's result is the whole answer.
 */

/** A rounding mode, as far as it is known while emitting. */
export type Rounding = Expr<'i32'> | number

/** Whether the mode is known to be other than RNE, so that the fast path would be dead code. */
export function neverNearest(rm: Rounding): boolean {
  const known = typeof rm === 'number' ? rm : rm.constant
  return known !== undefined && Number(known) !== 0
}

/** The mode in a local, or a constant. */
export function bindRounding(f: Func, rm: Rounding): Bound<'i32'> | { readonly local: Expr<'i32'>; readonly fresh: false } {
  if (typeof rm === 'number') return { local: i32.const(rm), fresh: false }
  return rm.constant === undefined ? bind(f, rm) : { local: rm, fresh: false }
}

/** 1 when `accepted` (0 or 1), NX is set, and the mode is RNE. */
export function mayUseHost(environment: Environment, rm: Expr<'i32'>, accepted: Expr<'i32'>): Expr<'i32'> {
  // NX is bit 0, so the byte of flags is itself the mask.
  const both = i32.and(accepted, i32.load8U(0, environment.flags))
  return rm.constant === undefined ? i32.and(both, i32.eqz(rm)) : both
}

/** Gives back the locals that {@link bind} made. */
export function release(f: Func, bounds: readonly { readonly local: Expr; readonly fresh: boolean }[]): void {
  for (const bound of bounds) if (bound.fresh) f.free(bound.local as Local)
}

/** The fast path of an operation on two numbers, with a call of `slow` when `accept` refuses the host's result. */
export function inlineBinary<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  host: (a: Expr<F>, b: Expr<F>) => Expr<F>,
  accept: (result: Local<I>) => Expr<'i32'>,
  slow: Binary<I>,
): InlineBinary<I> {
  const { toFloat, toBits } = kit.format
  return (f, a, b, rm) => {
    if (neverNearest(rm)) return f.let(call(slow, a, b, rm))
    const x = bind(f, a)
    const y = bind(f, b)
    const mode = bindRounding(f, rm)
    const result = f.let(toBits(host(toFloat(x.local), toFloat(y.local))))
    f.if(i32.eqz(mayUseHost(kit, mode.local, accept(result))), () => f.set(result, call(slow, x.local, y.local, mode.local)))
    release(f, [x, y, mode])
    return result
  }
}

/** The same for an operation on one number. */
export function inlineUnary<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  host: (a: Expr<F>) => Expr<F>,
  accept: (result: Local<I>) => Expr<'i32'>,
  slow: Unary<I>,
): InlineUnary<I> {
  const { toFloat, toBits } = kit.format
  return (f, a, rm) => {
    if (neverNearest(rm)) return f.let(call(slow, a, rm))
    const x = bind(f, a)
    const mode = bindRounding(f, rm)
    const result = f.let(toBits(host(toFloat(x.local))))
    f.if(i32.eqz(mayUseHost(kit, mode.local, accept(result))), () => f.set(result, call(slow, x.local, mode.local)))
    release(f, [x, mode])
    return result
  }
}
