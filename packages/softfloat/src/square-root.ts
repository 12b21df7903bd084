import { call, f32, f64, type Func, i32, i64, type Local } from '@machinist/wasm'
import { flag } from './environment.ts'
import { moderate, productError } from './errors.ts'
import { binary32, finite, type FloatType, magnitude } from './format.ts'
import { inlineUnary } from './inline.ts'
import { type Kit, raise, raiseSignalling, signOf, unpack } from './kit.ts'
import type { Operation } from './multiply.ts'
import type { BitsType, InlineUnary, Unary } from './types.ts'

/** Emits the square root (IEEE 754-2019, 5.4.1). */
export function emitSquareRoot<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
  exact: (f: Func, a: Local<I>) => void,
): Operation<Unary<I>, InlineUnary<I>> {
  const { m, format } = kit
  const params = [format.bits, 'i32'] as const
  const slow: Unary<I> = m.func(`${format.name}.sqrt.slow`, params, format.bits, (f, a, rm) => {
    f.if(i32.eqz(rm), () => exact(f, a))
    rootOfInteger(f, kit, f.let(format.wide(a)), rm)
  })
  const inline = inlineUnary(kit, format.float.sqrt, (result) => finite(format, result), slow)
  return { call: m.func(`${format.name}.sqrt`, params, format.bits, (f, a, rm) => f.return(inline(f, a, rm))), inline }
}

/** In round-to-nearest-even, returns the host's root where squaring shows whether it is exact. */
export function exactRoot64(kit: Kit<'f64', 'i64'>): (f: Func, a: Local<'i64'>) => void {
  return (f, a) => {
    f.if(i32.and(moderate(a), i64.gtS(a, 0)), () => {
      const root = f.let(f64.sqrt(f64.reinterpret(a)))
      const square = f.let(f64.mul(root, root))
      const error = productError(f, root, root, square)
      raise(f, kit, i32.or(f64.ne(square, f64.reinterpret(a)), f64.ne(error, 0)))
      f.return(i64.reinterpret(root))
    })
  }
}

/** The same for singles, whose square is exact in doubles. */
export function exactRoot32(kit: Kit<'f32', 'i32'>): (f: Func, a: Local<'i32'>) => void {
  return (f, a) => {
    const root = f.let(f32.sqrt(f32.reinterpret(a)))
    const result = f.let(i32.reinterpret(root))
    f.if(finite(binary32, result), () => {
      const wide = f.let(f64.promote(root))
      raise(f, kit, f64.ne(f64.mul(wide, wide), f64.promote(f32.reinterpret(a))))
      f.return(result)
    })
  }
}

/** The square root in integer arithmetic, digit by digit, in any mode. */
function rootOfInteger<F extends FloatType, I extends BitsType>(
  f: Func,
  kit: Kit<F, I>,
  a: Local<'i64'>,
  rm: Local<'i32'>,
): void {
  const { format, nan } = kit
  const infinity = i64.const(format.infinity)
  const size = f.let(magnitude(format, a))
  f.if(i64.gtU(size, infinity), () => {
    raiseSignalling(f, kit, format, [a])
    f.return(format.narrow(nan.propagate(f, format, [a])))
  })
  f.if(i64.eqz(size), () => f.return(format.narrow(a)))
  f.if(signOf(format, a), () => {
    raise(f, kit, flag.NV)
    f.return(format.narrow(nan.invalid(format)))
  })
  f.if(i64.eq(size, infinity), () => f.return(format.narrow(a)))
  const x = unpack(f, format, a)
  const unbiased = f.let(i32.sub(x.exponent, format.bias))
  // The radicand in [1, 4), with its point below bit 52, and then the root's 54 bits from bit 53 down. The
  // remainder is kept doubled at each step, so that neither it nor the trial subtrahend grows beyond 2^56.
  const remainder = f.let(i64.shl(i64.shrU(x.significand, 11), i64.extendU(i32.add(i32.and(unbiased, 1), 1))))
  const root = f.let(i64.const(0))
  const doubled = f.let(i64.const(0))
  const bit = f.let(i64.const(1n << 53n))
  const trial = f.local('i64')
  f.loop((again) => {
    f.set(trial, i64.add(doubled, bit))
    f.if(i64.leU(trial, remainder), () => {
      f.set(doubled, i64.add(trial, bit))
      f.set(remainder, i64.sub(remainder, trial))
      f.set(root, i64.add(root, bit))
    })
    f.set(remainder, i64.shl(remainder, 1))
    f.set(bit, i64.shrU(bit, 1))
    f.brIf(again, i64.ne(bit, 0))
  })
  const significand = i64.or(i64.shl(root, 10), i64.extendU(i64.ne(remainder, 0)))
  f.return(call(kit.roundPack, 0, i32.add(i32.shrS(unbiased, 1), format.bias), significand, rm))
}
