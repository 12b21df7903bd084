import { type Expr, f32, f32x4, f64, f64x2, type Func, i32, i32x4, i64, i64x2, type Label, type Local, v128 } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { isUsual } from './sse.ts'

/** What is computed of each number of a vector, or of the lowest ones alone (`scalar`); the others are those of the first operand. */
export interface Numbers {
  readonly operation: 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'min' | 'max'
  readonly format: 'single' | 'double'
  readonly scalar: boolean
}

type Vector = Local<'v128'>

/** Number of bits of the fraction. */
const FRACTION = { single: 23, double: 52 } as const
const EXPONENT = { single: 0xff, double: 0x7ff } as const

const exponentOf = (format: Numbers['format'], a: Vector): Expr<'i32'> =>
  i32.and(format === 'single' ? i32.shrU(i32.reinterpret(f32x4.extractLane(a, 0)), FRACTION.single) : i32.wrap(i64.shrU(i64.reinterpret(f64x2.extractLane(a, 0)), FRACTION.double)), EXPONENT[format])
const isZero = (format: Numbers['format'], a: Vector): Expr<'i32'> =>
  format === 'single' ? f32.eq(f32x4.extractLane(a, 0), f32.const(0)) : f64.eq(f64x2.extractLane(a, 0), f64.const(0))

/**
 * Writes an operation as the host has it, where that gives what the processor gives and raises nothing that MXCSR has not: MXCSR is as programs have it, no operand is denormal, and the result is finite and well above
 * what is tiny, or zero where that is exact. All else is computed by `exact`, and so are vectors with a zero in them. That the result is finite says it of the operands, but for a divisor: what an infinity divides is zero.
 *
 * @param operands - the last of them is the source
 */
export function quickNumbers(f: Func, state: FloatState, numbers: Numbers, operands: readonly Vector[], exact: () => Expr<'v128'>): Vector {
  const [a] = operands
  const b = operands.at(-1)
  if (!a || !b) throw new RangeError('an operation without operands')
  const result = f.local('v128')
  const done = f.open('block')
  const slow = f.open('block')
  f.brIf(slow, i32.eqz(isUsual(state)))
  f.set(result, computed(numbers, a, b))
  if (numbers.scalar) checkScalar(f, numbers, operands.length === 1 || numbers.operation === 'sqrt' ? [b] : [a, b], result, slow)
  else checkPacked(f, numbers, numbers.operation === 'sqrt' ? [b] : [a, b], result, slow)
  f.br(done)
  f.close(slow)
  f.set(result, exact())
  f.close(done)
  return result
}

function computed({ operation, format, scalar }: Numbers, a: Vector, b: Vector): Expr<'v128'> {
  const vectors = format === 'single' ? f32x4 : f64x2
  // The source, when neither is less (SDM volume 2, MINPS).
  if (operation === 'min' || operation === 'max') {
    const chosen = operation === 'min' ? vectors.pmin(b, a) : vectors.pmax(b, a)
    if (!scalar) return chosen
    return format === 'single' ? f32x4.replaceLane(a, 0, f32x4.extractLane(chosen, 0)) : f64x2.replaceLane(a, 0, f64x2.extractLane(chosen, 0))
  }
  if (!scalar) return operation === 'sqrt' ? vectors.sqrt(b) : vectors[operation](a, b)
  if (format === 'single') {
    const [x, y] = [f32x4.extractLane(a, 0), f32x4.extractLane(b, 0)]
    return f32x4.replaceLane(a, 0, operation === 'sqrt' ? f32.sqrt(y) : f32[operation](x, y))
  }
  const [x, y] = [f64x2.extractLane(a, 0), f64x2.extractLane(b, 0)]
  return f64x2.replaceLane(a, 0, operation === 'sqrt' ? f64.sqrt(y) : f64[operation](x, y))
}

function checkScalar(f: Func, { operation, format }: Numbers, operands: readonly Vector[], result: Vector, slow: Label): void {
  const most = EXPONENT[format]
  const chooses = operation === 'min' || operation === 'max'
  for (const operand of operands) {
    // Neither denormal nor, where nothing is computed, infinite or a NaN.
    if (chooses) f.if(i32.geU(i32.sub(exponentOf(format, operand), 1), most - 1), () => f.brIf(slow, i32.eqz(isZero(format, operand))))
    else f.if(i32.eqz(exponentOf(format, operand)), () => f.brIf(slow, i32.eqz(isZero(format, operand))))
  }
  if (chooses) return
  f.if(i32.geU(i32.sub(exponentOf(format, result), 2), most - 2), () => {
    f.brIf(slow, i32.eqz(isZero(format, result)))
    // A sum that is zero is exact; a product or quotient when it is one of zero. A root of what is no zero is none.
    const [a, b] = operands
    if (operation === 'mul' && a && b) f.brIf(slow, i32.eqz(i32.or(isZero(format, a), isZero(format, b))))
    if (operation === 'div' && a) f.brIf(slow, i32.eqz(isZero(format, a)))
  })
}

function checkPacked(f: Func, { operation, format }: Numbers, operands: readonly Vector[], result: Vector, slow: Label): void {
  const [lanes, vectors] = format === 'single' ? [i32x4, f32x4] : [i64x2, f64x2]
  const exponents = (a: Expr<'v128'>, less: 0 | 1): Expr<'v128'> => lanes.shrU(lanes.shl(a, 1), FRACTION[format] + 1 + less)
  const finite = (a: Vector): Expr<'v128'> => {
    const nothing = f.let(vectors.sub(a, a))
    return vectors.eq(nothing, nothing)
  }
  const chooses = operation === 'min' || operation === 'max'
  for (const operand of operands) f.brIf(slow, i32.eqz(lanes.allTrue(chooses ? v128.and(finite(operand), exponents(operand, 0)) : exponents(operand, 0))))
  // With its last bit shifted out, an exponent is zero for what is tiny or just above.
  if (!chooses) f.brIf(slow, i32.eqz(lanes.allTrue(v128.and(finite(result), exponents(result, 1)))))
}

/** Relations of the lowest numbers, as `relation` of sse.ts has them, when they raise nothing: then neither is denormal or a NaN. */
export function quickRelation(f: Func, format: Numbers['format'], [a, b]: readonly [Vector, Vector], exact: () => Expr<'i32'>): Local<'i32'> {
  const result = f.local('i32')
  const done = f.open('block')
  const slow = f.open('block')
  for (const operand of [a, b]) f.if(i32.geU(i32.sub(exponentOf(format, operand), 1), EXPONENT[format] - 1), () => f.brIf(slow, i32.eqz(isZero(format, operand))))
  const compare = (how: 'lt' | 'gt'): Expr<'i32'> => format === 'single' ? f32[how](f32x4.extractLane(a, 0), f32x4.extractLane(b, 0)) : f64[how](f64x2.extractLane(a, 0), f64x2.extractLane(b, 0))
  const less = f.let(compare('lt'))
  const greater = f.let(compare('gt'))
  f.set(result, i32.or(i32.or(less, i32.shl(greater, 2)), i32.shl(i32.eqz(i32.or(less, greater)), 1)))
  f.br(done)
  f.close(slow)
  f.set(result, exact())
  f.close(done)
  return result
}
