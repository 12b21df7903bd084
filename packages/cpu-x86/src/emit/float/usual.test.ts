import { call, compileNow, createMemory, type Expr, i32, i32x4, i64, i64x2, instantiate, type Local, ModuleBuilder } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { FloatState, floatLayout } from '../float-state.ts'
import { quickNumbers, quickRelation } from './quick.ts'
import { emitSse } from './sse.ts'

type Two = (a: bigint, b: bigint) => bigint

/** To nearest, all masked; and something was inexact. */
const [MASKED, INEXACT] = [0x1f80, 0x20]
const formats = { single: { bits: 32n, fraction: 23n }, double: { bits: 64n, fraction: 52n } } as const

/** Numbers of every kind near where kinds end, and a few others. */
function numbers({ bits, fraction }: { readonly bits: bigint; readonly fraction: bigint }): bigint[] {
  const most = (1n << (bits - 1n - fraction)) - 1n
  const middle = most >> 1n
  const ones = (1n << fraction) - 1n
  const exponents = [0n, 1n, 2n, middle / 2n, middle - 1n, middle, middle + 1n, middle + middle / 2n, most - 1n, most]
  const fractions = [0n, 1n, ones, ones - 1n, 0x5_5555_5555_5555n & ones, 1n << (fraction - 1n)]
  return exponents.flatMap((exponent) => fractions.flatMap((low) => [0n, 1n].map((sign) => sign << (bits - 1n) | exponent << fraction | low)))
}

test('what the host computes in the usual case is what is computed otherwise, and raises nothing that it does not tell', () => {
  const memory = createMemory({ initial: 1 })
  const state = new FloatState(1024)
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  const sse = emitSse(m, state)
  const operations = ['add', 'sub', 'mul', 'div'] as const
  for (const format of ['single', 'double'] as const) for (const operation of operations) m.export(`${format} ${operation}`, sse[format][operation])
  m.export('raise', sse.raise)
  const functions = instantiate<Readonly<Record<string, Two>> & { readonly raise: () => number }>(compileNow(m.toBytes()), { host: { memory } })
  const view = new DataView(memory.buffer)
  const at = (field: 'mxcsr' | 'exceptions'): number => 1024 + floatLayout.offset[field]
  const outcome = (mxcsr: number, f: Two | undefined, a: bigint, b: bigint): readonly [bigint, number] => {
    view.setUint32(at('mxcsr'), mxcsr, true)
    view.setUint32(at('exceptions'), 0, true)
    const result = BigInt.asUintN(64, f?.(a, b) ?? 0n)
    functions.raise()
    return [result, view.getUint32(at('mxcsr'), true)]
  }
  for (const format of ['single', 'double'] as const) {
    const all = numbers(formats[format])
    for (const operation of operations) {
      const f = functions[`${format} ${operation}`]
      const wrong = all.flatMap((a) => all.filter((b) => {
        const [quick, told] = outcome(MASKED | INEXACT, f, a, b)
        const [exact, flags] = outcome(MASKED, f, a, b)
        return quick !== exact || told !== (flags | INEXACT)
      }).map((b) => `${a.toString(16)} ${operation} ${b.toString(16)}`))
      expect(wrong).toEqual([])
    }
  }
})

test('what regions compute in place is what is computed otherwise, and raises nothing that it does not tell', () => {
  const memory = createMemory({ initial: 1 })
  const state = new FloatState(1024)
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  const sse = emitSse(m, state)
  const operations = ['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max'] as const
  for (const format of ['single', 'double'] as const) {
    const vector = (bits: Expr<'i64'>): Expr<'v128'> => format === 'single' ? i32x4.splat(i32.wrap(bits)) : i64x2.splat(bits)
    const lane = (a: Expr<'v128'>): Expr<'i64'> => format === 'single' ? i64.extendU(i32x4.extractLane(a, 0)) : i64x2.extractLane(a, 0)
    const first = (a: Expr<'v128'>, bits: Expr<'i64'>): Expr<'v128'> => format === 'single' ? i32x4.replaceLane(a, 0, i32.wrap(bits)) : i64x2.replaceLane(a, 0, bits)
    const last = (a: Expr<'v128'>): Expr<'i64'> => format === 'single' ? i64.extendU(i32x4.extractLane(a, 3)) : i64x2.extractLane(a, 1)
    for (const operation of operations) {
      const exactly = (a: Expr<'i64'>, b: Expr<'i64'>): Expr<'i64'> => operation === 'sqrt' ? call(sse[format].sqrt, b) : call(sse[format][operation], a, b)
      m.export(`${format} ${operation} exact`, m.func('exact', ['i64', 'i64'], 'i64', (f, a, b) => { f.return(exactly(a, b)) }))
      for (const scalar of [false, true]) {
        m.export(`${format} ${operation} ${scalar ? 'scalar' : 'packed'}`, m.func('quick', ['i64', 'i64'], 'i64', (f, a, b) => {
          const operands: readonly Local<'v128'>[] = [f.let(vector(a)), f.let(vector(b))]
          const result = quickNumbers(f, state, { operation, format, scalar }, operation === 'sqrt' && !scalar ? operands.slice(1) : operands, () => scalar ? first(vector(a), exactly(a, b)) : vector(exactly(a, b)))
          // Of all numbers one is told, as which the others must be, or as they were.
          f.if(i64.ne(last(result), scalar ? a : lane(result)), () => f.return(i64.const(-1)))
          f.return(lane(result))
        }))
      }
    }
    m.export(`${format} relation exact`, m.func('exact', ['i64', 'i64'], 'i64', (f, a, b) => { f.return(i64.extendU(call(sse[format].relation, a, b, 0))) }))
    m.export(`${format} relation scalar`, m.func('quick', ['i64', 'i64'], 'i64', (f, a, b) => {
      const found = quickRelation(f, format, [f.let(vector(a)), f.let(vector(b))], () => call(sse[format].relation, a, b, 0))
      f.return(i64.extendU(found))
    }))
  }
  m.export('raise', sse.raise)
  const functions = instantiate<Readonly<Record<string, Two>> & { readonly raise: () => number }>(compileNow(m.toBytes()), { host: { memory } })
  const view = new DataView(memory.buffer)
  const at = (field: 'mxcsr' | 'exceptions'): number => 1024 + floatLayout.offset[field]
  const outcome = (mxcsr: number, f: Two | undefined, a: bigint, b: bigint): string => {
    view.setUint32(at('mxcsr'), mxcsr, true)
    view.setUint32(at('exceptions'), 0, true)
    const result = BigInt.asUintN(64, f?.(a, b) ?? 0n)
    functions.raise()
    return `${result.toString(16)} ${(view.getUint32(at('mxcsr'), true) | INEXACT).toString(16)}`
  }
  for (const format of ['single', 'double'] as const) {
    const all = numbers(formats[format])
    for (const operation of [...operations, 'relation']) {
      for (const which of operation === 'relation' ? ['scalar'] : ['scalar', 'packed']) {
        const wrong = all.flatMap((a) => all.filter((b) => outcome(MASKED | INEXACT, functions[`${format} ${operation} ${which}`], a, b) !== outcome(MASKED, functions[`${format} ${operation} exact`], a, b)
        ).map((b) => `${format} ${which} ${a.toString(16)} ${operation} ${b.toString(16)}`))
        expect(wrong.slice(0, 5)).toEqual([])
      }
    }
  }
})
