import { call, type Expr, f32, f64, type Func, i32, i64, type Local } from '@machinist/wasm'
import { addToOdd, moderate, productError, sumError } from './errors.ts'
import { binary32, ordinary } from './format.ts'
import { emitFusedSlow } from './fused-slow.ts'
import { bindRounding, mayUseHost, neverNearest, release } from './inline.ts'
import { bind, type Kit, raise } from './kit.ts'
import type { Operation } from './multiply.ts'
import type { InlineTernary, Ternary } from './types.ts'

/** Emits the fused multiply-add of doubles (IEEE 754-2019, 5.4.1). */
export function emitFused64(kit: Kit<'f64', 'i64'>): Operation<Ternary<'i64'>, InlineTernary<'i64'>> {
  const slow = emitFusedSlow(kit, (f, a, b, c) => {
    f.if(inRange(a, b, c), () => {
      const { larger, smaller, inexact } = fuse(f, a, b, c)
      const result = f.let(f64.add(larger, smaller))
      // `larger` dominates or is zero, so that the short form of the error is exact.
      const error = f64.sub(smaller, f64.sub(result, larger))
      raise(f, kit, i32.or(f64.ne(inexact, 0), f64.ne(error, 0)))
      f.return(i64.reinterpret(result))
    })
    // A zero factor makes any finite sum exact.
    const x = f64.reinterpret(a)
    const y = f64.reinterpret(b)
    f.if(i32.or(f64.eq(x, 0), f64.eq(y, 0)), () => {
      const result = f.let(f64.add(f64.mul(x, y), f64.reinterpret(c)))
      f.if(f64.lt(f64.abs(result), Infinity), () => f.return(i64.reinterpret(result)))
    })
  })
  const inline: InlineTernary<'i64'> = (f, a, b, c, rm) => {
    if (neverNearest(rm)) return f.let(call(slow, a, b, c, rm))
    const x = bind(f, a)
    const y = bind(f, b)
    const z = bind(f, c)
    const mode = bindRounding(f, rm)
    const result = f.local('i64')
    f.if(
      mayUseHost(kit, mode.local, inRange(x.local, y.local, z.local)),
      () => {
        const { larger, smaller } = fuse(f, x.local, y.local, z.local)
        f.set(result, i64.reinterpret(f64.add(larger, smaller)))
      },
      () => f.set(result, call(slow, x.local, y.local, z.local, mode.local)),
    )
    release(f, [x, y, z, mode])
    return result
  }
  return { call: kit.m.func('f64.fma', slow.params, 'i64', (f, a, b, c, rm) => f.return(inline(f, a, b, c, rm))), inline }
}

/**
 * Whether nothing in {@link fuse} can overflow or lose bits: exponents from −450 to 450, or a zero addend. The
 * result is then zero or normal, being a multiple of 2^−1004.
 */
function inRange(a: Expr<'i64'>, b: Expr<'i64'>, c: Expr<'i64'>): Expr<'i32'> {
  return i32.and(i32.and(moderate(a), moderate(b)), i32.or(moderate(c), i64.eqz(i64.shl(c, 1))))
}

/** Two doubles whose rounded sum is `a × b + c`, and a third that is not zero only when that is inexact. */
function fuse(
  f: Func,
  a: Expr<'i64'>,
  b: Expr<'i64'>,
  c: Expr<'i64'>,
): { larger: Local<'f64'>; smaller: Local<'f64'>; inexact: Local<'f64'> } {
  const x = f.let(f64.reinterpret(a))
  const y = f.let(f64.reinterpret(b))
  const z = f.let(f64.reinterpret(c))
  const product = f.let(f64.mul(x, y))
  const productLow = f.let(productError(f, x, y, product))
  const lowSum = f.let(f64.add(z, productLow))
  const lowError = f.let(sumError(f, f64, z, productLow, lowSum))
  const larger = f.let(f64.add(product, lowSum))
  const error = f.let(sumError(f, f64, product, lowSum, larger))
  const rest = addToOdd(f, lowError, error)
  return { larger, smaller: rest.sum, inexact: rest.error }
}

/** Emits the fused multiply-add of singles: exact product and sum to odd in doubles, then one rounding. */
export function emitFused32(kit: Kit<'f32', 'i32'>): Operation<Ternary<'i32'>, InlineTernary<'i32'>> {
  const slow = emitFusedSlow(kit, (f, a, b, c) => {
    const sum = wideSum(f, a, b, c)
    const rounded = f.let(f32.demote(sum))
    f.if(i32.or(ordinary(binary32, i32.reinterpret(rounded)), f64.eq(sum, 0)), () => {
      raise(f, kit, f64.ne(f64.promote(rounded), sum))
      f.return(i32.reinterpret(rounded))
    })
  })
  const inline: InlineTernary<'i32'> = (f, a, b, c, rm) => {
    if (neverNearest(rm)) return f.let(call(slow, a, b, c, rm))
    const x = bind(f, a)
    const y = bind(f, b)
    const z = bind(f, c)
    const mode = bindRounding(f, rm)
    const result = f.let(i32.reinterpret(f32.demote(wideSum(f, x.local, y.local, z.local))))
    f.if(i32.eqz(mayUseHost(kit, mode.local, ordinary(binary32, result))), () =>
      f.set(result, call(slow, x.local, y.local, z.local, mode.local)),
    )
    release(f, [x, y, z, mode])
    return result
  }
  return { call: kit.m.func('f32.fma', slow.params, 'i32', (f, a, b, c, rm) => f.return(inline(f, a, b, c, rm))), inline }
}

/** `a × b + c`, rounded to odd in binary64. */
function wideSum(f: Func, a: Expr<'i32'>, b: Expr<'i32'>, c: Expr<'i32'>): Local<'f64'> {
  const wide = (bits: Expr<'i32'>): Expr<'f64'> => f64.promote(f32.reinterpret(bits))
  return addToOdd(f, f.let(f64.mul(wide(a), wide(b))), f.let(wide(c))).sum
}
