import { type Expr, type FuncRef, i32, i64, type Local, select } from '@machinist/wasm'
import { flag } from './environment.ts'
import { type FloatType, isSignalling, magnitude } from './format.ts'
import { type Kit, raise, raiseSignalling } from './kit.ts'
import type { BitsType, FloatFunctions, Predicate } from './types.ts'

/** Emits comparisons, minimum and maximum, and the class (IEEE 754-2019, 5.6.1, 5.7.2, 9.6). */
export function emitCompare<F extends FloatType, I extends BitsType>(
  kit: Kit<F, I>,
): Pick<FloatFunctions<I>, 'eq' | 'lt' | 'le' | 'min' | 'max' | 'classify'> {
  const { m, format } = kit
  const { name, bits, float, int, toFloat, toBits, wide } = format

  const eq: Predicate<I> = m.func(`${name}.eq`, [bits, bits], 'i32', (f, a, b) => {
    const x = f.let(toFloat(a))
    const y = f.let(toFloat(b))
    f.if(float.eq(x, y), () => f.return(1))
    f.if(i32.or(float.ne(x, x), float.ne(y, y)), () => raiseSignalling(f, kit, format, [f.let(wide(a)), f.let(wide(b))]))
    f.return(0)
  })

  type Compare = (a: Expr<F>, b: Expr<F>) => Expr<'i32'>
  const signalling = (operation: string, compare: Compare, opposite: Compare): Predicate<I> =>
    m.func(`${name}.${operation}`, [bits, bits], 'i32', (f, a, b) => {
      const x = f.let(toFloat(a))
      const y = f.let(toFloat(b))
      f.if(compare(x, y), () => f.return(1))
      f.if(i32.eqz(opposite(x, y)), () => raise(f, kit, flag.NV))
      f.return(0)
    })

  const extremum = (operation: string, host: (a: Expr<F>, b: Expr<F>) => Expr<F>): FuncRef<readonly [I, I], I> =>
    m.func(`${name}.${operation}`, [bits, bits], bits, (f, a, b) => {
      // The host's operation orders the zeros too, and is a NaN only when an operand is.
      const result = f.let(host(toFloat(a), toFloat(b)))
      f.if(float.eq(result, result), () => f.return(toBits(result)))
      const first = f.let(wide(a))
      const second = f.let(wide(b))
      raiseSignalling(f, kit, format, [first, second])
      const isNumber = (x: Local<I>): Expr<'i32'> => float.eq(toFloat(x), toFloat(x))
      f.if(isNumber(a), () => f.return(a))
      f.if(isNumber(b), () => f.return(b))
      f.return(format.narrow(kit.nan.propagate(f, format, [first, second])))
    })

  const classify: FuncRef<readonly [I], 'i32'> = m.func(`${name}.classify`, [bits], 'i32', (f, a) => {
    const x = f.let(wide(a))
    const size = f.let(magnitude(format, x))
    f.if(i64.gtU(size, i64.const(format.infinity)), () => f.return(select('i32', isSignalling(format, x), 1 << 8, 1 << 9)))
    // 0 for a zero, 1 subnormal, 2 normal, 3 infinite: upwards from bit 4, or downwards from bit 3.
    const atLeast = (bound: bigint): Expr<'i32'> => i64.geU(size, i64.const(bound))
    const rank = i32.add(i32.add(atLeast(1n), atLeast(format.minNormal)), atLeast(format.infinity))
    const position = f.let(rank)
    const negative = int.ltS(a, int.const(0))
    f.return(i32.shl(1, select('i32', negative, i32.sub(3, position), i32.add(4, position))))
  })

  return {
    eq,
    lt: signalling('lt', float.lt, float.ge),
    le: signalling('le', float.le, float.gt),
    min: extremum('min', float.min),
    max: extremum('max', float.max),
    classify,
  }
}
