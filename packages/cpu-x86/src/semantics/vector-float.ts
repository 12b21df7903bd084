import { call, i32, i32x4, i64, i64x2, type Local, select } from '@machinist/wasm'
import { Relation, type FormatFunctions } from '../emit/float/sse.ts'
import type { Numbers } from '../emit/float/quick.ts'
import type { Stage, Value } from '../emit/stage.ts'
import type { Half } from '../emit/vector-ops.ts'
import { STATUS } from '../flags.ts'
import type { Instruction } from '../isa/form.ts'
import { type Bits, family, high, imm8, indices, join, pair, sources, zero } from './vector.ts'

/** Floating-point arithmetic of SSE and AVX (SDM volume 1, 10.4, 11.4.1, 12, 14; volume 2 for each). */
const set = family()
export const vectorFloat: readonly Instruction[] = set.instructions

/** A format: its lanes, and the letters of its instructions. */
interface View {
  readonly format: 'single' | 'double'
  readonly letter: 's' | 'd'
  readonly feature: 'sse' | 'sse2'
  readonly packed: string
  readonly scalar: string
  readonly size: 'd' | 'q'
  readonly lanes: number
  readonly get: (a: Half, lane: number) => Value
  readonly put: (a: Half, lane: number, value: Value) => Half
  readonly of: (s: Stage) => FormatFunctions
}
const single: View = {
  format: 'single', letter: 's', feature: 'sse', packed: 'NP', scalar: 'F3', size: 'd', lanes: 4,
  get: (a, lane) => i64.extendU(i32x4.extractLane(a, lane)), put: (a, lane, value) => i32x4.replaceLane(a, lane, i32.wrap(value)), of: (s) => s.float.sse.single,
}
const double: View = {
  format: 'double', letter: 'd', feature: 'sse2', packed: '66', scalar: 'F2', size: 'q', lanes: 2,
  get: (a, lane) => i64x2.extractLane(a, lane), put: (a, lane, value) => i64x2.replaceLane(a, lane, value), of: (s) => s.float.sse.double,
}
const formats = [single, double]
type Meaning = (s: Stage) => void
const lanesOf = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

/** Computes halves with exceptions between, and writes them when none is raised. */
const simd = (compute: (s: Stage) => readonly Half[]): Meaning => (s) => {
  s.beginSimd()
  const halves = compute(s).map((half) => s.let(half))
  s.endSimd()
  s.setHalves(0, halves)
}
/** One lane after the other: `f` of lane, gathered from zeros or from what there is. */
const gather = (s: Stage, { lanes, put }: View, f: (lane: number) => Value, from: Half = zero(), count: number = lanes): Half =>
  lanesOf(count).reduce<Half>((vector, lane) => put(s.let(vector), lane, s.let(f(lane))), from)

type Two = (functions: FormatFunctions, a: Value, b: Value) => Value
type One = (functions: FormatFunctions, a: Value) => Value
type Operation = Numbers['operation']

function defineTwo(name: Operation, opcode: string, f: Two): void {
  for (const view of formats) {
    const meaning = (scalar: boolean): Meaning => (s) => {
      const [first, second] = sources(s)
      const operands = (scalar ? [0] as const : indices(s)).map((i) => [s.let(s.half(first, i)), s.let(s.half(second, i))])
      const one = ([a, b]: readonly Bits[], lane: number): Value => a && b ? f(view.of(s), view.get(a, lane), view.get(b, lane)) : i64.const(0)
      s.setHalves(0, s.numbers({ operation: name, format: view.format, scalar }, operands, (of) =>
        scalar ? view.put(of[0] ?? zero(), 0, one(of, 0)) : gather(s, view, (lane) => one(of, lane))))
    }
    set.define(view.feature, `${name}p${view.letter}`, [`${view.packed}.0F.${opcode} Vx Wx`], meaning(false))
    set.define(view.feature, `${name}s${view.letter}`, [`${view.scalar}.0F.${opcode} Vx W${view.size}`], meaning(true))
    set.define('avx', `v${name}p${view.letter}`, [`VEX.${view.packed}.0F.${opcode} Vx Hx Wx`], meaning(false))
    set.define('avx', `v${name}s${view.letter}`, [`VEX.LIG.${view.scalar}.0F.${opcode} Vo Ho W${view.size}`], meaning(true))
  }
}
function defineOne(name: string, opcode: string, f: One, views: readonly View[], operation?: Operation): void {
  for (const view of views) {
    const numbers = (s: Stage, scalar: boolean, operands: readonly (readonly Bits[])[], exact: (operands: readonly Bits[]) => Half): readonly Half[] => {
      if (operation) return s.numbers({ operation, format: view.format, scalar }, operands, exact)
      s.beginSimd()
      const halves = operands.map((of) => s.let(exact(of)))
      s.endSimd()
      return halves
    }
    const packed: Meaning = (s) => {
      s.setHalves(0, numbers(s, false, indices(s).map((i) => [s.let(s.half(1, i))]), ([a = zero()]) => gather(s, view, (lane) => f(view.of(s), view.get(a, lane)))))
    }
    const scalar: Meaning = (s) => {
      const [first, second] = sources(s)
      s.setHalves(0, numbers(s, true, [[s.let(s.half(first)), s.let(s.half(second))]], ([a = zero(), b = zero()]) => view.put(a, 0, f(view.of(s), view.get(b, 0)))))
    }
    set.define(view.feature, `${name}p${view.letter}`, [`${view.packed}.0F.${opcode} Vx Wx`], packed)
    set.define(view.feature, `${name}s${view.letter}`, [`${view.scalar}.0F.${opcode} Vx W${view.size}`], scalar)
    set.define('avx', `v${name}p${view.letter}`, [`VEX.${view.packed}.0F.${opcode} Vx Wx`], packed)
    set.define('avx', `v${name}s${view.letter}`, [`VEX.LIG.${view.scalar}.0F.${opcode} Vo Ho W${view.size}`], scalar)
  }
}
for (const [name, opcode] of [['add', '58'], ['mul', '59'], ['sub', '5C'], ['div', '5E'], ['min', '5D'], ['max', '5F']] as const) defineTwo(name, opcode, (functions, a, b) => call(functions[name], a, b))
defineOne('sqrt', '51', (functions, a) => call(functions.sqrt, a), formats, 'sqrt')
defineOne('rsqrt', '52', (functions, a) => call(functions.reciprocalRoot, a), [single])
defineOne('rcp', '53', (functions, a) => call(functions.reciprocal, a), [single])

// Comparisons

const { less, equal, greater, unordered } = Relation
/** What is true for each predicate (SDM volume 2, table 3-1); those from 16 on are the same with the other choice of signalling. */
const predicates = [
  equal, less, less | equal, unordered, less | greater | unordered, equal | greater | unordered, greater | unordered, less | equal | greater,
  equal | unordered, less | unordered, less | equal | unordered, 0, less | greater, equal | greater, greater, 15,
]
const PREDICATES = predicates.reduce((bits, mask, i) => bits | BigInt(mask) << BigInt(4 * i), 0n)
/** 1, 2, 5, 6, 9, 10, 13 and 14 signal. */
const SIGNALLING = 0x6666 | 0x9999 << 16
const compared = (view: View, s: Stage, a: Value, b: Value, predicate: Local<'i32'>): Value => {
  const found = call(view.of(s).relation, a, b, i32.and(i32.shrU(SIGNALLING, predicate), 1))
  const wanted = i32.wrap(i64.shrU(i64.const(PREDICATES), i64.extendU(i32.shl(i32.and(predicate, 15), 2))))
  return i64.extendS(i32.sub(0, i32.ne(i32.and(found, wanted), 0)))
}
for (const view of formats) {
  const predicate = (s: Stage): Local<'i32'> => s.let(i32.and(imm8(s, sources(s)[1] + 1), s.vex ? 31 : 7))
  const packed = simd((s) => {
    const [first, second] = sources(s)
    const chosen = predicate(s)
    return indices(s).map((i) => {
      const [a, b] = [s.let(s.half(first, i)), s.let(s.half(second, i))]
      return s.let(gather(s, view, (lane) => compared(view, s, view.get(a, lane), view.get(b, lane), chosen)))
    })
  })
  const scalar = simd((s) => {
    const [first, second] = sources(s)
    const [a, b] = [s.let(s.half(first)), s.let(s.half(second))]
    return [view.put(a, 0, compared(view, s, view.get(a, 0), view.get(b, 0), predicate(s)))]
  })
  set.define(view.feature, `cmpp${view.letter}`, [`${view.packed}.0F.C2 Vx Wx Ib`], packed)
  set.define(view.feature, `cmps${view.letter}`, [`${view.scalar}.0F.C2 Vx W${view.size} Ib`], scalar)
  set.define('avx', `vcmpp${view.letter}`, [`VEX.${view.packed}.0F.C2 Vx Hx Wx Ib`], packed)
  set.define('avx', `vcmps${view.letter}`, [`VEX.LIG.${view.scalar}.0F.C2 Vo Ho W${view.size} Ib`], scalar)
  for (const [name, opcode, signals] of [['ucomis', '2E', 0], ['comis', '2F', 1]] as const) {
    const meaning = (s: Stage): void => {
      const [a, b] = [s.let(s.half(0)), s.let(s.half(1))]
      const found = s.let(s.relation(view.format, [a, b], () => call(view.of(s).relation, view.get(a, 0), view.get(b, 0), signals)))
      // ZF, PF and CF are all set when unordered; greater sets none (SDM volume 2, COMISD).
      const flags = select('i32', i32.eq(found, unordered), 0x45, select('i32', i32.eq(found, less), 1, i32.shl(i32.eq(found, equal), 6)))
      s.setFlags(STATUS, flags)
    }
    set.define(view.feature, `${name}${view.letter}`, [`${view.packed}.0F.${opcode} Vo W${view.size}`], meaning)
    set.define('avx', `v${name}${view.letter}`, [`VEX.LIG.${view.packed}.0F.${opcode} Vo W${view.size}`], meaning)
  }
}

// Conversions

/** To 32-bit integers, of a half or of both. */
const toWords = (view: View, truncates: 0 | 1) => (s: Stage, a: Bits): Half => lanesOf(view.lanes).reduce<Half>((vector, lane) =>
  i32x4.replaceLane(s.let(vector), lane, i32.wrap(call(view.of(s).toI32, view.get(a, lane), truncates))), zero())
const fromWords = (view: View) => (s: Stage, a: Bits): Half => gather(s, view, (lane) => call(view.of(s).fromI32, i64.extendS(i32x4.extractLane(a, lane))))
const widened = (s: Stage, a: Bits): Half => gather(s, double, (lane) => call(s.float.sse.widen, single.get(a, lane)))
const narrowed = (s: Stage, a: Bits): Half => gather(s, single, (lane) => call(s.float.sse.narrow, double.get(a, lane)), zero(), 2)
type Convert = (s: Stage, a: Bits) => Half
const whole = (f: Convert): Meaning => simd((s) => indices(s).map((i) => s.let(f(s, s.let(s.half(1, i))))))
/** Into lanes that are twice as wide: the source is half as long. */
const spread = (f: Convert): Meaning => simd((s) => {
  const source = s.let(s.half(1))
  return indices(s).map((i) => s.let(f(s, s.let(i === 0 ? source : pair(high(source), i64.const(0))))))
})
/** Into lanes that are half as wide: 256 bits come to 128. */
const packedTogether = (f: Convert): Meaning => simd((s) => {
  const [first, second] = indices(s).map((i) => s.let(f(s, s.let(s.half(1, i)))))
  return first && second ? [join(first, second)] : first ? [first] : []
})
const conversions: readonly (readonly [string, string, string, string, Meaning])[] = [
  ['cvtdq2ps', 'NP.0F.5B', 'Vx Wx', 'Vx Wx', whole(fromWords(single))], ['cvtps2dq', '66.0F.5B', 'Vx Wx', 'Vx Wx', whole(toWords(single, 0))], ['cvttps2dq', 'F3.0F.5B', 'Vx Wx', 'Vx Wx', whole(toWords(single, 1))],
  ['cvtdq2pd', 'F3.0F.E6', 'Vx Wh', 'Vx Wh', spread(fromWords(double))], ['cvtps2pd', 'NP.0F.5A', 'Vx Wh', 'Vx Wh', spread(widened)],
  ['cvtpd2dq', 'F2.0F.E6', 'Vo Wx', 'Vo Wx', packedTogether(toWords(double, 0))], ['cvttpd2dq', '66.0F.E6', 'Vo Wx', 'Vo Wx', packedTogether(toWords(double, 1))],
  ['cvtpd2ps', '66.0F.5A', 'Vo Wx', 'Vo Wx', packedTogether(narrowed)],
]
for (const [name, encoding, operands, avxOperands, meaning] of conversions) {
  set.define('sse2', name, [`${encoding} ${operands}`], meaning)
  set.define('avx', `v${name}`, [`VEX.${encoding} ${avxOperands}`], meaning)
}
for (const view of formats) {
  const suffix = `s${view.letter}`
  const fromGeneral = simd((s) => {
    const [first, second] = sources(s)
    const functions = view.of(s)
    const value = s.size(second) === 8 ? call(functions.fromI64, s.read(second)) : call(functions.fromI32, i64.extend32S(s.read(second)))
    return [view.put(s.let(s.half(first)), 0, s.let(value))]
  })
  set.define(view.feature, `cvtsi2${suffix}`, [`${view.scalar}.0F.2A Vo Ey`], fromGeneral)
  set.define('avx', `vcvtsi2${suffix}`, [`VEX.LIG.${view.scalar}.0F.2A Vo Ho Ey`], fromGeneral)
  const other = view === single ? double : single
  const converted = simd((s) => {
    const [first, second] = sources(s)
    const b = s.let(s.half(second))
    return [view.put(s.half(first), 0, call(view === single ? s.float.sse.narrow : s.float.sse.widen, other.get(b, 0)))]
  })
  set.define('sse2', `cvts${other.letter}2${suffix}`, [`${other.scalar}.0F.5A Vo W${other.size}`], converted)
  set.define('avx', `vcvts${other.letter}2${suffix}`, [`VEX.LIG.${other.scalar}.0F.5A Vo Ho W${other.size}`], converted)
  for (const [letter, opcode, truncates] of [['t', '2C', 1], ['', '2D', 0]] as const) {
    const toGeneral = (s: Stage): void => {
      const a = s.let(s.half(1))
      s.beginSimd()
      const functions = view.of(s)
      const size = s.size(0)
      const value = s.let(s.truncate(call(size === 8 ? functions.toI64 : functions.toI32, view.get(a, 0), truncates), size))
      s.endSimd()
      s.write(0, value)
    }
    set.define(view.feature, `cvt${letter}s${view.letter}2si`, [`${view.scalar}.0F.${opcode} Gy W${view.size}`], toGeneral)
    set.define('avx', `vcvt${letter}s${view.letter}2si`, [`VEX.LIG.${view.scalar}.0F.${opcode} Gy W${view.size}`], toGeneral)
    set.define(view.feature, `cvt${letter}p${view.letter}2pi`, [`${view.packed}.0F.${opcode} Pq W${view === single ? 'q' : 'x'}`], (s) => {
      s.checkMmx()
      const a = s.let(s.half(1))
      s.beginSimd()
      const result = [0, 1].reduce<Half>((vector, lane) => i32x4.replaceLane(s.let(vector), lane, i32.wrap(call(view.of(s).toI32, view.get(a, lane), truncates))), zero())
      const bound = s.let(result)
      // Processors enter MMX even when an exception follows.
      s.enterMmx()
      s.endSimd()
      s.setHalves(0, [bound])
    })
  }
  set.define(view.feature, `cvtpi2p${view.letter}`, [`${view.packed}.0F.2A Vo Qq`], (s) => {
    // From memory nothing of MMX is touched, as processors do it; the manual says so of doubles alone (SDM volume 2, CVTPI2PD).
    const quiet = s.isMemory(1)
    if (!quiet) s.checkMmx()
    const a = s.let(s.half(1))
    s.beginSimd()
    const result = s.let(gather(s, view, (lane) => call(view.of(s).fromI32, i64.extendS(i32x4.extractLane(a, lane))), s.half(0), 2))
    if (!quiet) s.enterMmx()
    s.endSimd()
    s.setHalves(0, [result])
  })
}

// Neighbours, and differences and sums in turns

/** Pairs of lanes of both operands, of which `f` makes a lane each. */
const horizontal = (view: View, f: Two): Meaning => simd((s) => {
  const [first, second] = sources(s)
  return indices(s).map((i) => {
    const [a, b] = [s.let(s.half(first, i)), s.let(s.half(second, i))]
    const half = view.lanes / 2
    return s.let(gather(s, view, (lane) => {
      const from = lane < half ? a : b
      const at = 2 * (lane % half)
      return f(view.of(s), view.get(from, at), view.get(from, at + 1))
    }))
  })
})
const alternate = (view: View): Meaning => simd((s) => {
  const [first, second] = sources(s)
  return indices(s).map((i) => {
    const [a, b] = [s.let(s.half(first, i)), s.let(s.half(second, i))]
    return s.let(gather(s, view, (lane) => call(view.of(s)[lane % 2 === 0 ? 'sub' : 'add'], view.get(a, lane), view.get(b, lane))))
  })
})
for (const [view, prefix] of [[single, 'F2'], [double, '66']] as const) {
  const meanings: readonly (readonly [string, string, Meaning])[] = [
    ['hadd', '7C', horizontal(view, ({ add }, a, b) => call(add, a, b))], ['hsub', '7D', horizontal(view, ({ sub }, a, b) => call(sub, a, b))], ['addsub', 'D0', alternate(view)],
  ]
  for (const [name, opcode, meaning] of meanings) {
    set.define('sse3', `${name}p${view.letter}`, [`${prefix}.0F.${opcode} Vx Wx`], meaning)
    set.define('avx', `v${name}p${view.letter}`, [`VEX.${prefix}.0F.${opcode} Vx Hx Wx`], meaning)
  }
}

// Rounding and dot products

for (const [view, packedOpcode, scalarOpcode] of [[single, '08', '0A'], [double, '09', '0B']] as const) {
  const packed = simd((s) => {
    const control = imm8(s, 2)
    return indices(s).map((i) => {
      const a = s.let(s.half(1, i))
      return s.let(gather(s, view, (lane) => call(view.of(s).round, view.get(a, lane), control)))
    })
  })
  const scalar = simd((s) => {
    const [first, second] = sources(s)
    const b = s.let(s.half(second))
    return [view.put(s.half(first), 0, call(view.of(s).round, view.get(b, 0), imm8(s, second + 1)))]
  })
  set.define('sse4_1', `roundp${view.letter}`, [`66.0F3A.${packedOpcode} Vx Wx Ib`], packed)
  set.define('sse4_1', `rounds${view.letter}`, [`66.0F3A.${scalarOpcode} Vo W${view.size} Ib`], scalar)
  set.define('avx', `vroundp${view.letter}`, [`VEX.66.0F3A.${packedOpcode} Vx Wx Ib`], packed)
  set.define('avx', `vrounds${view.letter}`, [`VEX.LIG.66.0F3A.${scalarOpcode} Vo Ho W${view.size} Ib`], scalar)
}
/** Products, sums of pairs, sum of those: each stage's exceptions are raised before the next begins. */
const dot = (view: View): Meaning => simd((s) => {
  const [first, second] = sources(s)
  const byte = imm8(s, second + 1)
  const chosen = (bit: number, value: Value): Value => s.select(i32.and(i32.shrU(byte, bit), 1), value, i64.const(0))
  const { mul, add } = view.of(s)
  const operands = indices(s).map((i) => [s.let(s.half(first, i)), s.let(s.half(second, i))] as const)
  const next = (): void => {
    s.endSimd()
    s.beginSimd()
  }
  let stage = operands.map(([a, b]) => lanesOf(view.lanes).map((lane) => {
    const product = s.let(i64.const(0))
    s.when(i32.and(i32.shrU(byte, 4 + lane), 1), () => s.f.set(product, call(mul, view.get(a, lane), view.get(b, lane))))
    return product
  }))
  for (let left = view.lanes / 2; left >= 1; left /= 2) {
    next()
    stage = stage.map((terms) => lanesOf(left).map((at) => s.let(call(add, terms[2 * at] ?? i64.const(0), terms[2 * at + 1] ?? i64.const(0)))))
  }
  return stage.map(([sum = i64.const(0)]) => s.let(lanesOf(view.lanes).reduce<Half>((vector, lane) => view.put(vector, lane, chosen(lane, sum)), zero())))
})
set.define('sse4_1', 'dpps', ['66.0F3A.40 Vx Wx Ib'], dot(single))
set.define('sse4_1', 'dppd', ['66.0F3A.41 Vx Wx Ib'], dot(double))
set.define('avx', 'vdpps', ['VEX.66.0F3A.40 Vx Hx Wx Ib'], dot(single))
set.define('avx', 'vdppd', ['VEX.L0.66.0F3A.41 Vx Hx Wx Ib'], dot(double))

// Fused multiplication and addition

/** Which operands are the factors and the addend, by the digits of the name: 1 to 3, the first being the destination. */
const orders = [['132', 0, [0, 2, 1]], ['213', 1, [1, 0, 2]], ['231', 2, [1, 2, 0]]] as const
const flip = (view: View, value: Value): Value => i64.xor(value, i64.const(view === single ? 1n << 31n : 1n << 63n))
interface Fused { readonly name: string; readonly low: number; readonly product: boolean; readonly addend: (lane: number) => boolean; readonly scalar: boolean }
const fused: readonly Fused[] = [
  { name: 'fmaddsub', low: 0x6, product: false, addend: (lane) => lane % 2 === 0, scalar: false }, { name: 'fmsubadd', low: 0x7, product: false, addend: (lane) => lane % 2 === 1, scalar: false },
  { name: 'fmadd', low: 0x8, product: false, addend: () => false, scalar: true }, { name: 'fmsub', low: 0xa, product: false, addend: () => true, scalar: true },
  { name: 'fnmadd', low: 0xc, product: true, addend: () => false, scalar: true }, { name: 'fnmsub', low: 0xe, product: true, addend: () => true, scalar: true },
]
for (const { name, low: digit, product, addend, scalar } of fused) {
  for (const [digits, row, [x, y, z]] of orders) {
    const opcode = (0x90 + 0x10 * row + digit).toString(16).toUpperCase()
    const scalarOpcode = (0x90 + 0x10 * row + digit + 1).toString(16).toUpperCase()
    for (const [view, w] of [[single, 0], [double, 1]] as const) {
      // A NaN keeps its sign.
      const negated = (s: Stage, value: Value, when: boolean): Value => {
        if (!when) return value
        const bound = s.let(value)
        const infinity = view === single ? 0xffn << 23n : 0x7ffn << 52n
        const nan = i64.gtU(i64.and(bound, i64.const(view === single ? 0x7fff_ffffn : 2n ** 63n - 1n)), i64.const(infinity))
        return s.select(nan, bound, flip(view, bound))
      }
      const computed = (s: Stage, vectors: readonly Bits[], lane: number): Value => {
        const at = (operand: number): Value => {
          const vector = vectors[operand]
          if (!vector) throw new RangeError(`${name} has no operand ${operand}`)
          return view.get(vector, lane)
        }
        return call(view.of(s).fma, negated(s, at(x), product), at(y), negated(s, at(z), addend(lane)))
      }
      set.define('fma', `v${name}${digits}p${view.letter}`, [`VEX.66.0F38.W${w}.${opcode} Vx Hx Wx`], simd((s) => indices(s).map((i) => {
        const vectors = [0, 1, 2].map((operand) => s.let(s.half(operand, i)))
        return s.let(gather(s, view, (lane) => computed(s, vectors, lane)))
      })))
      if (scalar) set.define('fma', `v${name}${digits}s${view.letter}`, [`VEX.LIG.66.0F38.W${w}.${scalarOpcode} Vo Ho W${view.size}`], simd((s) => {
        const vectors = [0, 1, 2].map((operand) => s.let(s.half(operand)))
        const [destination] = vectors
        return destination ? [view.put(destination, 0, computed(s, vectors, 0))] : []
      }))
    }
  }
}

// Numbers of 16 bits

set.define('f16c', 'vcvtph2ps', ['VEX.66.0F38.W0.13 Vx Wh'], simd((s) => {
  const source = s.let(s.half(1))
  const word = (lane: number): Value => s.truncate(i64.shrU(lane < 4 ? i64x2.extractLane(source, 0) : i64x2.extractLane(source, 1), 16 * (lane & 3)), 2)
  return indices(s).map((i) => gather(s, single, (lane) => call(s.float.half.widen, word(4 * i + lane))))
}))
set.define('f16c', 'vcvtps2ph', ['VEX.66.0F3A.W0.1D Wh Vx Ib'], simd((s) => {
  const control = imm8(s, 2)
  // A fault of the store comes before exceptions.
  if (s.isMemory(0)) s.writable(s.offset(), s.vectorBytes(0))
  const quarters = indices(s).map((i) => {
    const source = s.let(s.half(1, i))
    return lanesOf(4).reduce<Value>((bits, lane) => s.let(i64.or(bits, i64.shl(call(s.float.half.narrow, single.get(source, lane), control), 16 * lane))), i64.const(0))
  })
  return [pair(quarters[0] ?? i64.const(0), quarters[1] ?? i64.const(0))]
}))
