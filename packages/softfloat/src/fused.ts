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
      const { larger, rest, restError } = fuse(f, a, b, c)
      const tail = addToOdd(f, rest, restError)
      const result = f.let(f64.add(larger, tail))
      // `larger` dominates or is zero, so that the short form of the error is exact. An inexact tail is odd in a
      // digit that the result cannot hold, so it makes the error other than zero too.
      raise(f, kit, f64.ne(f64.sub(tail, f64.sub(result, larger)), 0))
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
    const { larger, rest, restError } = fuse(f, x.local, y.local, z.local)
    // The rest is rounded once already. Where a little more and a little less than it give the same result, that
    // rounding had no influence; elsewhere the result is next to a tie.
    const tail = f.let(f64.add(rest, restError))
    const above = f.let(f64.add(larger, f64.mul(tail, 1 + 2 ** -52)))
    const below = f64.add(larger, f64.mul(tail, 1 - 2 ** -52))
    const accepted = i32.and(f64.eq(above, below), inRange(x.local, y.local, z.local))
    const result = f.let(i64.reinterpret(above))
    f.if(i32.eqz(mayUseHost(kit, mode.local, accepted)), () =>
      f.set(result, call(slow, x.local, y.local, z.local, mode.local)),
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

/** Three doubles whose exact sum is `a × b + c`: one that is zero or dominates, and two that do not overlap it. */
function fuse(
  f: Func,
  a: Expr<'i64'>,
  b: Expr<'i64'>,
  c: Expr<'i64'>,
): { larger: Local<'f64'>; rest: Local<'f64'>; restError: Local<'f64'> } {
  const x = f.let(f64.reinterpret(a))
  const y = f.let(f64.reinterpret(b))
  const z = f.let(f64.reinterpret(c))
  const product = f.let(f64.mul(x, y))
  const productLow = f.let(productError(f, x, y, product))
  const sumLow = f.let(f64.add(z, productLow))
  const rest = f.let(sumError(f, f64, z, productLow, sumLow))
  const larger = f.let(f64.add(product, sumLow))
  return { larger, rest, restError: f.let(sumError(f, f64, product, sumLow, larger)) }
}

/** The bits of a double below a single's precision, and their pattern halfway between two singles. */
const belowSingle = (1n << 29n) - 1n
const halfway = 1n << 28n

/** Emits the fused multiply-add of singles, whose product is exact in doubles. */
export function emitFused32(kit: Kit<'f32', 'i32'>): Operation<Ternary<'i32'>, InlineTernary<'i32'>> {
  const wide = (bits: Expr<'i32'>): Expr<'f64'> => f64.promote(f32.reinterpret(bits))
  const slow = emitFusedSlow(kit, (f, a, b, c) => {
    const sum = addToOdd(f, f.let(f64.mul(wide(a), wide(b))), f.let(wide(c)))
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
    const sum = f.let(f64.add(f64.mul(wide(x.local), wide(y.local)), wide(z.local)))
    const result = f.let(i32.reinterpret(f32.demote(sum)))
    // Rounding twice differs from rounding once only where the first rounding ended halfway between two singles.
    const once = i64.ne(i64.and(i64.reinterpret(sum), i64.const(belowSingle)), i64.const(halfway))
    f.if(i32.eqz(mayUseHost(kit, mode.local, i32.and(once, ordinary(binary32, result)))), () =>
      f.set(result, call(slow, x.local, y.local, z.local, mode.local)),
    )
    f.free(sum)
    release(f, [x, y, z, mode])
    return result
  }
  return { call: kit.m.func('f32.fma', slow.params, 'i32', (f, a, b, c, rm) => f.return(inline(f, a, b, c, rm))), inline }
}
