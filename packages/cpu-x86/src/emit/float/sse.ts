import { emitSoftfloat, flag, roundingMode, type SoftFloat } from '@machinist/softfloat'
import { call, type Expr, f64, f32, type Func, type FuncRef, i32, i64, type Local, type ModuleBuilder, select } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { double, type Format, isDenormal, isFrom, isNan, isNegative, isSignalling, isZero, type Number64, ordered, single } from './format.ts'

/**
 * Arithmetic of SSE and AVX on one element (SDM volume 1, 11.5, 14.5). Each function adds what it raises to the exceptions under way, of which `raise`
 * makes those of the instruction at its end: so an element changes MXCSR only when all have been computed.
 *
 * Numbers are bits in an i64. `exceptions` of the state holds the flags of softfloat, and in its second byte DE.
 */
export const Mxcsr = { denormalsAreZeros: 6, masks: 7, rounding: 12, flushToZero: 15 } as const
/** Bits of MXCSR's flags and of x87's status and masks (SDM volume 1, 10.2.3 and 8.1.3). */
export const Exception = { invalid: 1, denormal: 2, divide: 4, overflow: 8, underflow: 16, precision: 32 } as const
const BEFORE_COMPUTATION = Exception.invalid | Exception.denormal | Exception.divide
const DENORMAL_AT = 1
/** Where softfloat says whether a result is inexact even with exponents without bounds. */
const TRAPPED = 5

/** RISC-V's numbers of rounding modes, which softfloat has, by MXCSR.RC and x87's RC. */
const MODES = roundingMode.RNE | roundingMode.RDN << 2 | roundingMode.RUP << 4 | roundingMode.RTZ << 6
export const modeOf = (twiceControl: Expr<'i32'>): Expr<'i32'> => i32.and(i32.shrU(MODES, twiceControl), 3)

/** What comparisons find. */
export const Relation = { less: 1, equal: 2, greater: 4, unordered: 8 } as const

type Fn<N extends number> = FuncRef<N extends 1 ? readonly ['i64'] : N extends 2 ? readonly ['i64', 'i64'] : readonly ['i64', 'i64', 'i64'], 'i64'>
/** Functions of one format. */
export interface FormatFunctions {
  readonly add: Fn<2>
  readonly sub: Fn<2>
  readonly mul: Fn<2>
  readonly div: Fn<2>
  readonly sqrt: Fn<1>
  readonly min: Fn<2>
  readonly max: Fn<2>
  readonly fma: Fn<3>
  /** A {@link Relation}; with a third operand of one, a quiet NaN is invalid too. */
  readonly relation: FuncRef<readonly ['i64', 'i64', 'i32'], 'i32'>
  /** To an integer, sign-extended; what has none is the least one. With 1 truncated, else rounded as MXCSR says. */
  readonly toI32: FuncRef<readonly ['i64', 'i32'], 'i64'>
  readonly toI64: FuncRef<readonly ['i64', 'i32'], 'i64'>
  readonly fromI32: Fn<1>
  readonly fromI64: Fn<1>
  /** To an integral number, as the immediate of ROUNDPS says. */
  readonly round: FuncRef<readonly ['i64', 'i32'], 'i64'>
  /** About a reciprocal, and that of the root: to twelve bits. */
  readonly reciprocal: Fn<1>
  readonly reciprocalRoot: Fn<1>
}
export interface SseFunctions {
  readonly single: FormatFunctions
  readonly double: FormatFunctions
  readonly widen: Fn<1>
  readonly narrow: Fn<1>
  /** Makes the exceptions under way those of the instruction: 1 when it raises #XM. */
  readonly raise: FuncRef<readonly [], 'i32'>
}

export function emitSse(m: ModuleBuilder, state: FloatState): SseFunctions {
  const soft = emitSoftfloat(m, { flags: state.field('exceptions'), nan: 'x86', trapped: true })
  const kit = { m, state, soft }
  return {
    single: emitFormat(kit, single), double: emitFormat(kit, double),
    widen: m.func('sse.widen', ['i64'], 'i64', (f, a) => {
      prepare(f, state, single, [a])
      f.return(call(soft.f32.toF64, i32.wrap(a)))
    }),
    narrow: m.func('sse.narrow', ['i64'], 'i64', (f, a) => {
      prepare(f, state, double, [a])
      computed(f, state, single, () => i64.extendU(call(soft.f64.toF32, a, rounding(state))))
    }),
    raise: emitRaise(m, state),
  }
}

interface Kit {
  readonly m: ModuleBuilder
  readonly state: FloatState
  readonly soft: SoftFloat
}

export const bit = (state: FloatState, place: number): Expr<'i32'> => i32.and(i32.shrU(state.get32('mxcsr'), place), 1)
export const rounding = (state: FloatState): Expr<'i32'> => modeOf(i32.and(i32.shrU(state.get32('mxcsr'), Mxcsr.rounding), 6))
const flags = (state: FloatState): Expr<'i32'> => i32.load8U(state.field('exceptions'))
export const addFlags = (f: Func, state: FloatState, bits: Expr<'i32'> | number): void => f.do(i32.store8(state.field('exceptions'), i32.or(flags(state), bits)))
const addDenormal = (f: Func, state: FloatState): void => f.do(i32.store8(state.field('exceptions') + DENORMAL_AT, 1))

/** Makes denormals zeros when MXCSR says so, else notes them; a NaN among the operands comes before that (SDM volume 1, 4.9.2). */
export function prepare(f: Func, state: FloatState, format: Format, operands: readonly Local<'i64'>[], note: boolean = true): void {
  const any = operands.map((a) => isDenormal(format, a)).reduce((x, y) => i32.or(x, y))
  f.if(any, () => {
    f.if(bit(state, Mxcsr.denormalsAreZeros), () => {
      for (const a of operands) f.if(isDenormal(format, a), () => f.set(a, i64.and(a, i64.const(format.sign))))
    }, note ? () => {
      const nan = operands.map((a) => isNan(format, a)).reduce((x, y) => i32.or(x, y))
      f.if(i32.eqz(nan), () => addDenormal(f, state))
    } : undefined)
  })
}

/** Returns a result that may be tiny, with what underflow and flushing to zero make of it (SDM volume 1, 4.9.1.5 and 10.2.3.3). */
function computed(f: Func, state: FloatState, format: Format, compute: () => Number64): void {
  const before = f.let(flags(state))
  f.do(i32.store8(state.field('exceptions'), 0))
  const result = f.let(compute())
  const raised = f.let(flags(state))
  // A result that is trapped is inexact when it would be with exponents without bounds.
  const trapped = (): void => f.set(raised, i32.or(i32.and(raised, ~flag.NX), i32.and(i32.shrU(raised, TRAPPED), flag.NX)))
  f.if(i32.and(i32.shrU(raised, 2), i32.eqz(bit(state, Mxcsr.masks + 3))), trapped)
  f.if(i32.or(i32.and(raised, flag.UF), isDenormal(format, result)), () => {
    const masked = bit(state, Mxcsr.masks + 4)
    f.if(masked, () => {
      f.if(bit(state, Mxcsr.flushToZero), () => {
        f.set(result, i64.and(result, i64.const(format.sign)))
        f.set(raised, i32.or(raised, flag.UF | flag.NX))
      })
    }, () => {
      trapped()
      f.set(raised, i32.or(raised, flag.UF))
    })
  })
  f.do(i32.store8(state.field('exceptions'), i32.or(before, i32.and(raised, 31))))
  f.return(result)
}

/** MXCSR as programs have it as a rule: to nearest, denormals as they are, no exception unmasked, and something was inexact already. */
const USUAL = { mask: 0xffe0, value: 0x1fa0 } as const

/** Whether MXCSR is as usual. */
export const isUsual = (state: FloatState): Expr<'i32'> => i32.eq(i32.and(state.get32('mxcsr'), USUAL.mask), USUAL.value)

type Usual = 'add' | 'sub' | 'mul' | 'div'

const host: Readonly<Record<Usual, readonly [typeof f32.add, typeof f64.add]>> = {
  add: [f32.add, f64.add], sub: [f32.sub, f64.sub], mul: [f32.mul, f64.mul], div: [f32.div, f64.div],
}

/**
 * What the host computes, and whether it is the result: when that raises nothing but what MXCSR has: operands are normal or zero, and the result is well above what is tiny (or zero, as sums are
 * exactly, and products of zero), and finite.
 */
function usual(f: Func, state: FloatState, format: Format, operation: Usual, [a, b]: readonly [Local<'i64'>, Local<'i64'>]): { readonly result: Local<'i64'>; readonly valid: Expr<'i32'> } {
  const ordinary = (x: Number64): Expr<'i32'> => i32.or(isFrom(format, format.leastNormal, x), isZero(format, x))
  const [narrow, wide] = host[operation]
  const result = f.let(format === single
    ? i64.extendU(i32.reinterpret(narrow(f32.reinterpret(i32.wrap(a)), f32.reinterpret(i32.wrap(b)))))
    : i64.reinterpret(wide(f64.reinterpret(a), f64.reinterpret(b))))
  const exact = operation === 'add' || operation === 'sub' ? isZero(format, result) : i32.and(isZero(format, result), i32.or(isZero(format, a), isZero(format, b)))
  return { result, valid: i32.and(i32.and(isUsual(state), i32.or(isFrom(format, 2n * format.leastNormal, result), exact)), i32.and(ordinary(a), ordinary(b))) }
}

function emitFormat({ m, state, soft }: Kit, format: Format): FormatFunctions {
  const name = format === single ? 'single' : 'double'
  const narrow = format === single
  const of32 = soft.f32
  const of64 = soft.f64
  const two = (operation: 'add' | 'sub' | 'mul' | 'div'): Fn<2> => m.func(`sse.${name}.${operation}`, ['i64', 'i64'], 'i64', (f, a, b) => {
    const { result, valid } = usual(f, state, format, operation, [a, b])
    f.if(valid, () => f.return(result))
    if (operation === 'div') {
      // A division by zero comes before a denormal dividend.
      f.if(i32.and(isZero(format, b), i32.eqz(bit(state, Mxcsr.denormalsAreZeros))), () => {
        computed(f, state, format, () => narrow ? i64.extendU(call(of32.div, i32.wrap(a), i32.wrap(b), rounding(state))) : call(of64.div, a, b, rounding(state)))
      })
    }
    prepare(f, state, format, [a, b])
    computed(f, state, format, () => narrow ? i64.extendU(call(of32[operation], i32.wrap(a), i32.wrap(b), rounding(state))) : call(of64[operation], a, b, rounding(state)))
  })
  const sqrt: Fn<1> = m.func(`sse.${name}.sqrt`, ['i64'], 'i64', (f, a) => {
    // A root of what is negative is invalid before it is denormal.
    f.if(i32.and(isDenormal(format, a), i32.and(isNegative(format, a), i32.eqz(bit(state, Mxcsr.denormalsAreZeros)))), () => {
      addFlags(f, state, flag.NV)
      f.return(i64.const(format.sign | format.infinity | format.quiet))
    })
    prepare(f, state, format, [a])
    computed(f, state, format, () => narrow ? i64.extendU(call(of32.sqrt, i32.wrap(a), rounding(state))) : call(of64.sqrt, a, rounding(state)))
  })
  const fma: Fn<3> = m.func(`sse.${name}.fma`, ['i64', 'i64', 'i64'], 'i64', (f, a, b, c) => {
    // A product of zero and infinity is invalid before the addend is denormal.
    const denormal = f.let(i32.const(0))
    const nan = i32.or(i32.or(isNan(format, a), isNan(format, b)), isNan(format, c))
    f.if(i32.eqz(nan), () => f.set(denormal, i32.or(i32.or(isDenormal(format, a), isDenormal(format, b)), isDenormal(format, c))))
    prepare(f, state, format, [a, b, c], false)
    computed(f, state, format, () => {
      const result = f.let(narrow ? i64.extendU(call(of32.fma, i32.wrap(a), i32.wrap(b), i32.wrap(c), rounding(state))) : call(of64.fma, a, b, c, rounding(state)))
      f.if(i32.and(denormal, i32.eqz(i32.or(i32.and(flags(state), flag.NV), bit(state, Mxcsr.denormalsAreZeros)))), () => addDenormal(f, state))
      return result
    })
  })
  const relation = m.func(`sse.${name}.relation`, ['i64', 'i64', 'i32'], 'i32', (f, a, b, signals) => {
    prepare(f, state, format, [a, b])
    f.if(i32.or(isNan(format, a), isNan(format, b)), () => {
      f.if(i32.or(signals, i32.or(isSignalling(format, a), isSignalling(format, b))), () => addFlags(f, state, flag.NV))
      f.return(Relation.unordered)
    })
    const [x, y] = [ordered(f, format, a), ordered(f, format, b)]
    f.return(select('i32', i64.eq(x, y), Relation.equal, select('i32', i64.ltS(x, y), Relation.less, Relation.greater)))
  })
  // The second operand is the result when one is a NaN, or both are zero (SDM volume 2, MINPS).
  const extreme = (operation: 'min' | 'max', wanted: number): Fn<2> => m.func(`sse.${name}.${operation}`, ['i64', 'i64'], 'i64', (f, a, b) => {
    const found = f.let(call(relation, a, b, 1))
    prepare(f, state, format, [a, b], false)
    f.return(select('i64', i32.eq(found, wanted), a, b))
  })
  const least = { toI32: -(2n ** 31n), toI64: -(2n ** 63n) }
  const toInteger = (operation: 'toI32' | 'toI64'): FuncRef<readonly ['i64', 'i32'], 'i64'> => m.func(`sse.${name}.${operation}`, ['i64', 'i32'], 'i64', (f, a, truncates) => {
    prepare(f, state, format, [a], false)
    const before = f.let(flags(state))
    f.do(i32.store8(state.field('exceptions'), 0))
    const mode = f.let(select('i32', truncates, roundingMode.RTZ, rounding(state)))
    const result = f.let(narrow ? call(of32[operation], i32.wrap(a), mode) : call(of64[operation], a, mode))
    f.if(i32.and(flags(state), flag.NV), () => f.set(result, i64.const(least[operation])))
    addFlags(f, state, before)
    f.return(result)
  })
  const fromInteger = (operation: 'fromI32' | 'fromI64'): Fn<1> => m.func(`sse.${name}.${operation}`, ['i64'], 'i64', (f, x) => {
    const before = f.let(flags(state))
    f.do(i32.store8(state.field('exceptions'), 0))
    const result = operation === 'fromI32'
      ? narrow ? i64.extendU(call(of32.fromI32, i32.wrap(x), rounding(state))) : call(of64.fromI32, i32.wrap(x), rounding(state))
      : narrow ? i64.extendU(call(of32.fromI64, x, rounding(state))) : call(of64.fromI64, x, rounding(state))
    const bound = f.let(result)
    addFlags(f, state, before)
    f.return(bound)
  })
  const toDouble = (a: Number64): Expr<'f64'> => narrow ? f64.promote(f32.reinterpret(i32.wrap(a))) : f64.reinterpret(a)
  const fromDouble = (a: Expr<'f64'>): Number64 => narrow ? i64.extendU(i32.reinterpret(f32.demote(a))) : i64.reinterpret(a)
  const round = m.func(`sse.${name}.round`, ['i64', 'i32'], 'i64', (f, a, control) => {
    prepare(f, state, format, [a], false)
    f.if(isNan(format, a), () => {
      f.if(isSignalling(format, a), () => addFlags(f, state, flag.NV))
      f.return(i64.or(a, i64.const(format.quiet)))
    })
    const value = f.let(toDouble(a))
    const mode = f.let(select('i32', i32.and(control, 4), rounding(state), modeOf(i32.shl(i32.and(control, 3), 1))))
    const result = f.let(f64.nearest(value))
    f.if(i32.eq(mode, roundingMode.RTZ), () => f.set(result, f64.trunc(value)))
    f.if(i32.eq(mode, roundingMode.RDN), () => f.set(result, f64.floor(value)))
    f.if(i32.eq(mode, roundingMode.RUP), () => f.set(result, f64.ceil(value)))
    f.if(i32.and(f64.ne(result, value), i32.eqz(i32.and(control, 8))), () => addFlags(f, state, flag.NX))
    f.return(fromDouble(result))
  })
  // No exceptions, denormals are zeros in and out (SDM volume 2, RCPPS); the twelve bits are rounded.
  const approximate = (operation: string, compute: (value: Expr<'f64'>) => Expr<'f64'>): Fn<1> => m.func(`sse.${name}.${operation}`, ['i64'], 'i64', (f, a) => {
    f.if(isNan(format, a), () => f.return(i64.or(a, i64.const(format.quiet))))
    f.if(isDenormal(format, a), () => f.set(a, i64.and(a, i64.const(format.sign))))
    const result = f.let(fromDouble(compute(toDouble(a))))
    f.if(isNan(format, result), () => f.return(i64.const(format.sign | format.infinity | format.quiet)))
    f.if(isDenormal(format, result), () => f.return(i64.and(result, i64.const(format.sign))))
    f.if(i64.geU(i64.and(result, i64.const(format.sign - 1n)), i64.const(format.infinity)), () => f.return(result))
    f.return(i64.and(i64.add(result, 1 << 10), -(1 << 11)))
  })
  return {
    add: two('add'), sub: two('sub'), mul: two('mul'), div: two('div'), sqrt, fma, relation,
    min: extreme('min', Relation.less), max: extreme('max', Relation.greater),
    toI32: toInteger('toI32'), toI64: toInteger('toI64'), fromI32: fromInteger('fromI32'), fromI64: fromInteger('fromI64'), round,
    reciprocal: approximate('reciprocal', (value) => f64.div(1, value)), reciprocalRoot: approximate('reciprocalRoot', (value) => f64.div(1, f64.sqrt(value))),
  }
}

function emitRaise(m: ModuleBuilder, state: FloatState): FuncRef<readonly [], 'i32'> {
  return m.func('sse.raise', [], 'i32', (f) => {
    const soft = f.let(i32.and(flags(state), 31))
    // Softfloat has its flags in the reverse order, and none for denormals.
    const moved = [i32.shrU(soft, 4), i32.and(i32.shrU(soft, 1), 4), i32.and(i32.shl(soft, 1), 8), i32.and(i32.shl(soft, 3), 16), i32.and(i32.shl(soft, 5), 32)]
    const raised = f.let(i32.or(moved.reduce((a, b) => i32.or(a, b)), i32.shl(i32.load8U(state.field('exceptions') + DENORMAL_AT), 1)))
    const mxcsr = f.let(state.get32('mxcsr'))
    const unmasked = f.let(i32.and(i32.and(raised, i32.xor(i32.shrU(mxcsr, Mxcsr.masks), -1)), 63))
    // What comes before the computation keeps the rest from happening.
    f.if(i32.and(unmasked, BEFORE_COMPUTATION), () => f.set(raised, i32.and(raised, BEFORE_COMPUTATION)))
    f.do(state.set32('mxcsr', i32.or(mxcsr, raised)))
    f.return(i32.ne(unmasked, 0))
  })
}
