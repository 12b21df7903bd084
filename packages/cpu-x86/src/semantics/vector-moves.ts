import { type Expr, i16x8, i32, i32x4, i64, i64x2, i8x16, type Local, v128 } from '@machinist/wasm'
import type { Stage, Value } from '../emit/stage.ts'
import type { Half } from '../emit/vector-ops.ts'
import type { Instruction } from '../isa/form.ts'
import { type Bits, both, family, high, imm8, indices, join, low, masked, one, oneAndByte, pair, sources, two, twoAndByte, withMmx, zero } from './vector.ts'

/** Moves of vectors and their parts, shuffles and logic of floating-point vectors (SDM volume 1, 10.4.1, 11.4.1, 14.1). */
const set = family()
export const vectorMoves: readonly Instruction[] = set.instructions

// Whole vectors

const move = withMmx((s) => s.setHalves(0, indices(s).map((i) => s.let(s.half(1, i)))))
const wholes: readonly (readonly [string, string, string, string, string, string])[] = [
  ['sse', 'movaps', 'NP', '28', '29', ''], ['sse', 'movups', 'NP', '10', '11', '; unaligned'], ['sse2', 'movapd', '66', '28', '29', ''], ['sse2', 'movupd', '66', '10', '11', '; unaligned'],
  ['sse2', 'movdqa', '66', '6F', '7F', ''], ['sse2', 'movdqu', 'F3', '6F', '7F', '; unaligned'],
]
for (const [feature, name, prefix, load, store, words] of wholes) {
  set.define(feature, name, [`${prefix}.0F.${load} Vx Wx${words}`, `${prefix}.0F.${store} Wx Vx${words}`], move)
  const aligned = words === '' ? '; aligned' : ''
  set.define('avx', `v${name}`, [`VEX.${prefix}.0F.${load} Vx Wx${aligned}`, `VEX.${prefix}.0F.${store} Wx Vx${aligned}`], move)
}
set.define('mmx', 'movq', ['NP.0F.6F Pq Qq', 'NP.0F.7F Qq Pq'], move)
for (const [feature, name, encoding] of [['sse', 'movntps', 'NP.0F.2B'], ['sse2', 'movntpd', '66.0F.2B'], ['sse2', 'movntdq', '66.0F.E7']] as const) {
  set.define(feature, name, [`${encoding} Mx Vx`], move)
  set.define('avx', `v${name}`, [`VEX.${encoding} Mx Vx; aligned`], move)
}
set.define('sse', 'movntq', ['NP.0F.E7 Mq Pq'], move)
set.define('sse4_1', 'movntdqa', ['66.0F38.2A Vx Mx'], move)
set.define('avx2', 'vmovntdqa', ['VEX.66.0F38.2A Vx Mx; aligned'], move)
set.define('sse3', 'lddqu', ['F2.0F.F0 Vx Mx; unaligned'], move)
set.define('avx', 'vlddqu', ['VEX.F2.0F.F0 Vx Mx'], move)
set.define('sse2', 'movnti', ['NP.0F.C3 My Gy'], (s) => s.write(0, s.read(1)))

// General registers

const fromGeneral = withMmx((s) => s.setHalves(0, [i64x2.replaceLane(zero(), 0, s.read(1))]))
const toGeneral = withMmx((s) => s.write(0, s.truncate(low(s.half(1)), s.size(0))))
set.define('mmx', 'movd', ['NP.0F.6E Pq Ey'], fromGeneral)
set.define('mmx', 'movd', ['NP.0F.7E Ey Pq'], toGeneral)
set.define('sse2', 'movd', ['66.0F.6E Vx Ey'], fromGeneral)
set.define('sse2', 'movd', ['66.0F.7E Ey Vx'], toGeneral)
set.define('avx', 'vmovd', ['VEX.L0.66.0F.6E Vx Ey'], fromGeneral)
set.define('avx', 'vmovd', ['VEX.L0.66.0F.7E Ey Vx'], toGeneral)

/** The number of a lane that an immediate gives, as an address in a vector: lanes are read by moving them down. */
const laneAt = (a: Half, byte: Expr<'i32'>, bytes: number, lanes: number): Half => {
  const by = i32.mul(i32.and(byte, lanes - 1), bytes)
  return i8x16.swizzle(a, i8x16.add(v128.const(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n), i8x16.splat(by)))
}
/** Ones in one lane. */
const laneMask = (byte: Expr<'i32'>, bytes: number, lanes: number): Half => {
  const first = i32.mul(i32.and(byte, lanes - 1), bytes)
  const at = i8x16.sub(v128.const(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n), i8x16.splat(first))
  return i8x16.ltU(at, i8x16.splat(bytes))
}
const insert = (bytes: 1 | 2 | 4 | 8, lanes: number): ((s: Stage) => void) => withMmx((s) => {
  const [a, b] = sources(s)
  const byte = imm8(s, b + 1)
  const value = s.let(s.truncate(s.isMemory(b) ? s.load(s.offset(), bytes) : s.read(b), bytes))
  const old = s.let(s.half(a))
  const splat = bytes === 8 ? i64x2.splat(value) : bytes === 4 ? i32x4.splat(i32.wrap(value)) : bytes === 2 ? i16x8.splat(i32.wrap(value)) : i8x16.splat(i32.wrap(value))
  s.setHalves(0, [v128.bitselect(splat, old, laneMask(byte, bytes, lanes))])
})
const extract = (bytes: 1 | 2 | 4 | 8, lanes: number): ((s: Stage) => void) => withMmx((s) => {
  const byte = imm8(s, 2)
  const value = s.let(s.truncate(low(laneAt(s.half(1), byte, bytes, lanes)), bytes))
  if (s.isMemory(0)) s.store(s.offset(), value, bytes)
  else s.write(0, value)
})
set.define('sse', 'pinsrw', ['NP.0F.C4 Pq Ed Ib'], insert(2, 4))
set.define('sse2', 'pinsrw', ['66.0F.C4 Vx Ed Ib'], insert(2, 8))
set.define('sse4_1', 'pinsrb', ['66.0F3A.20 Vx Ed Ib'], insert(1, 16))
set.define('avx', 'vpinsrw', ['VEX.L0.66.0F.W0.C4 Vx Hx Ed Ib'], insert(2, 8))
set.define('avx', 'vpinsrb', ['VEX.L0.66.0F3A.W0.20 Vx Hx Ed Ib'], insert(1, 16))
set.define('sse', 'pextrw', ['NP.0F.C5 Gd Nq Ib'], extract(2, 4))
set.define('sse2', 'pextrw', ['66.0F.C5 Gd Ux Ib'], extract(2, 8))
set.define('sse4_1', 'pextrw', ['66.0F3A.15 Ed Vx Ib'], extract(2, 8))
set.define('sse4_1', 'pextrb', ['66.0F3A.14 Ed Vx Ib'], extract(1, 16))
set.define('avx', 'vpextrw', ['VEX.L0.66.0F.W0.C5 Gd Ux Ib', 'VEX.L0.66.0F3A.W0.15 Ed Vx Ib'], extract(2, 8))
set.define('avx', 'vpextrb', ['VEX.L0.66.0F3A.W0.14 Ed Vx Ib'], extract(1, 16))
const bySize = (four: (s: Stage) => void, eight: (s: Stage) => void, operand: (s: Stage) => number) => (s: Stage): void => s.size(operand(s)) === 8 ? eight(s) : four(s)
const insertWide = bySize(insert(4, 4), insert(8, 2), (s) => sources(s)[1])
const extractWide = bySize(extract(4, 4), extract(8, 2), () => 0)
set.define('sse4_1', 'pinsrd', ['66.0F3A.22 Vx Ey Ib'], insertWide)
set.define('avx', 'vpinsrd', ['VEX.L0.66.0F3A.22 Vx Hx Ey Ib'], insertWide)
set.define('sse4_1', 'pextrd', ['66.0F3A.16 Ey Vx Ib'], extractWide)
set.define('avx', 'vpextrd', ['VEX.L0.66.0F3A.16 Ey Vx Ib'], extractWide)
set.define('sse4_1', 'extractps', ['66.0F3A.17 Ed Vx Ib'], extract(4, 4))
set.define('avx', 'vextractps', ['VEX.L0.66.0F3A.17 Ed Vx Ib'], extract(4, 4))
/** A lane of the second into one of the first, then zeros by a mask; memory is the lane itself. */
const insertSingle = twoAndByte((a, b, byte, s) => {
  const second = sources(s)[1]
  const value = s.isMemory(second) ? i32x4.splat(i32x4.extractLane(b, 0)) : i32x4.splat(i32x4.extractLane(laneAt(b, i32.shrU(byte, 6), 4, 4), 0))
  const inserted = v128.bitselect(value, a, laneMask(i32.and(i32.shrU(byte, 4), 3), 4, 4))
  return v128.andnot(inserted, doublewordMask(byte))
})
set.define('sse4_1', 'insertps', ['66.0F3A.21 Vx Wd Ib'], insertSingle)
set.define('avx', 'vinsertps', ['VEX.L0.66.0F3A.21 Vx Hx Wd Ib'], insertSingle)

// Lower and upper halves, single lanes

set.define('sse2', 'movq', ['F3.0F.7E Vx Wq'], one((a) => join(a, zero())))
set.define('sse2', 'movq', ['66.0F.D6 Wq Vx'], (s) => s.setHalves(0, [join(s.half(1), zero())]))
set.define('avx', 'vmovq', ['VEX.L0.F3.0F.7E Vx Wq', 'VEX.L0.66.0F.D6 Wq Vx'], (s) => s.setHalves(0, [join(s.half(1), zero())]))
set.define('sse2', 'movq2dq', ['F3.0F.D6 Vx Nq'], one((a) => a))
set.define('sse2', 'movdq2q', ['F2.0F.D6 Pq Ux'], one((a) => a))
const keepUpper = (s: Stage): void => {
  const [a, b] = sources(s)
  const value = s.let(s.half(b))
  s.setHalves(0, [pair(low(value), high(s.half(a)))])
}
const keepLower = (s: Stage): void => {
  const [a, b] = sources(s)
  const value = s.let(s.half(b))
  s.setHalves(0, [pair(low(s.half(a)), low(value))])
}
const storeUpper = (s: Stage): void => s.setHalves(0, [pair(high(s.half(1)), i64.const(0))])
const fromUpper = two((a, b) => pair(high(b), high(a)))
const toUpper = two((a, b) => pair(low(a), low(b)))
for (const [feature, letter, prefix] of [['sse', 's', 'NP'], ['sse2', 'd', '66']] as const) {
  set.define(feature, `movlp${letter}`, [`${prefix}.0F.12 Vx Mq`], keepUpper)
  set.define(feature, `movhp${letter}`, [`${prefix}.0F.16 Vx Mq`], keepLower)
  set.define(feature, `movlp${letter}`, [`${prefix}.0F.13 Mq Vx`], (s) => s.setHalves(0, [s.half(1)]))
  set.define(feature, `movhp${letter}`, [`${prefix}.0F.17 Mq Vx`], storeUpper)
  set.define('avx', `vmovlp${letter}`, [`VEX.L0.${prefix}.0F.12 Vx Hx Mq`], keepUpper)
  set.define('avx', `vmovhp${letter}`, [`VEX.L0.${prefix}.0F.16 Vx Hx Mq`], keepLower)
  set.define('avx', `vmovlp${letter}`, [`VEX.L0.${prefix}.0F.13 Mq Vx`], (s) => s.setHalves(0, [s.half(1)]))
  set.define('avx', `vmovhp${letter}`, [`VEX.L0.${prefix}.0F.17 Mq Vx`], storeUpper)
}
set.define('sse', 'movhlps', ['NP.0F.12 Vx Ux'], fromUpper)
set.define('sse', 'movlhps', ['NP.0F.16 Vx Ux'], toUpper)
set.define('avx', 'vmovhlps', ['VEX.L0.NP.0F.12 Vx Hx Ux'], fromUpper)
set.define('avx', 'vmovlhps', ['VEX.L0.NP.0F.16 Vx Hx Ux'], toUpper)
for (const [feature, name, prefix, size] of [['sse', 'movss', 'F3', 'd'], ['sse2', 'movsd', 'F2', 'q']] as const) {
  const keep = (a: Half, b: Half): Half => size === 'q' ? pair(low(b), high(a)) : i32x4.replaceLane(a, 0, i32x4.extractLane(b, 0))
  const merge = two((a, b) => keep(a, b))
  // From memory what is above is cleared; between registers it stays.
  set.define(feature, name, [`${prefix}.0F.10 Vx Ux`], merge)
  set.define(feature, name, [`${prefix}.0F.10 Vx M${size}`], one((a) => a))
  set.define(feature, name, [`${prefix}.0F.11 Ux Vx`], (s) => s.setHalves(0, [keep(s.half(0), s.half(1))]))
  set.define(feature, name, [`${prefix}.0F.11 M${size} Vx`], move)
  set.define('avx', `v${name}`, [`VEX.LIG.${prefix}.0F.10 Vo Ho Uo`, `VEX.LIG.${prefix}.0F.11 Uo Ho Vo`], (s) => s.setHalves(0, [keep(s.half(1), s.half(2))]))
  set.define('avx', `v${name}`, [`VEX.LIG.${prefix}.0F.10 Vo M${size}`, `VEX.LIG.${prefix}.0F.11 M${size} Vo`], (s) => s.setHalves(0, [s.half(1)]))
}
const doubled: readonly (readonly [string, string, readonly number[]])[] = [['movsldup', 'F3.0F.12', [0, 0, 2, 2]], ['movshdup', 'F3.0F.16', [1, 1, 3, 3]]]
const lanesOf = (lanes: readonly number[]): readonly number[] => lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => 4 * lane + i))
for (const [name, encoding, lanes] of doubled) {
  const meaning = one((a) => i8x16.shuffle(a, a, lanesOf(lanes)))
  set.define('sse3', name, [`${encoding} Vx Wx`], meaning)
  set.define('avx', `v${name}`, [`VEX.${encoding} Vx Wx`], meaning)
}
const twice = one((a) => i64x2.splat(low(a)))
set.define('sse3', 'movddup', ['F2.0F.12 Vx Wq'], twice)
set.define('avx', 'vmovddup', ['VEX.L0.F2.0F.12 Vx Wq', 'VEX.L1.F2.0F.12 Vx Wx'], twice)

const signMask = (shape: { bitmask(a: Half): Expr<'i32'> }, lanes: number) => (s: Stage): void => {
  const [first, second] = indices(s).map((i) => shape.bitmask(s.half(1, i)))
  if (first) s.write(0, i64.extendU(second ? i32.or(first, i32.shl(second, lanes)) : first))
}
for (const [feature, letter, prefix, shape, lanes] of [['sse', 's', 'NP', i32x4, 4], ['sse2', 'd', '66', i64x2, 2]] as const) {
  set.define(feature, `movmskp${letter}`, [`${prefix}.0F.50 Gd Ux`], signMask(shape, lanes))
  set.define('avx', `vmovmskp${letter}`, [`VEX.${prefix}.0F.50 Gd Ux`], signMask(shape, lanes))
}
/** Bytes whose sign is set in the mask, to DS:rDI; without any nothing is accessed (SDM volume 2, MASKMOVQ). */
const maskedStore = (s: Stage): void => {
  if (s.mmx) {
    s.checkMmx()
    // Processors enter before the stores, which may fault.
    s.enterMmx()
  }
  const value = s.let(s.half(0))
  const mask = s.let(s.half(1))
  const bytes = s.mmx ? 8 : 16
  const at = s.let(s.register(7, s.addressSize))
  for (let i = 0; i < bytes; i++) {
    s.when(i32.shrU(i8x16.extractLaneU(mask, i), 7), () => s.store(s.truncate(i64.add(at, i), s.addressSize), i64.extendU(i8x16.extractLaneU(value, i)), 1))
  }
}
set.define('sse', 'maskmovq', ['NP.0F.F7 Pq Nq; counted'], maskedStore)
set.define('sse2', 'maskmovdqu', ['66.0F.F7 Vx Ux; counted'], maskedStore)
set.define('avx', 'vmaskmovdqu', ['VEX.L0.66.0F.F7 Vx Ux; counted'], maskedStore)

// Logic and shuffles of floating-point vectors

const logic: readonly (readonly [string, string, (a: Half, b: Half) => Half])[] = [
  ['and', '54', v128.and], ['andn', '55', (a, b) => v128.andnot(b, a)], ['or', '56', v128.or], ['xor', '57', v128.xor],
]
/** What both formats have, in the encodings of each. */
function bothFormats(name: string, opcode: string, single: (s: Stage) => void, double: (s: Stage) => void, immediate = ''): void {
  set.define('sse', `${name}s`, [`NP.0F.${opcode} Vx Wx${immediate}`], single)
  set.define('sse2', `${name}d`, [`66.0F.${opcode} Vx Wx${immediate}`], double)
  set.define('avx', `v${name}s`, [`VEX.NP.0F.${opcode} Vx Hx Wx${immediate}`], single)
  set.define('avx', `v${name}d`, [`VEX.66.0F.${opcode} Vx Hx Wx${immediate}`], double)
}
for (const [name, opcode, operation] of logic) bothFormats(`${name}p`, opcode, two((a, b) => operation(a, b)), two((a, b) => operation(a, b)))
const unpack = (bytes: number, upper: boolean): ((s: Stage) => void) => two((a, b) => i8x16.shuffle(a, b, Array.from({ length: 16 }, (_, i) => {
  const lane = Math.floor(i / bytes / 2)
  return (upper ? 8 : 0) + lane * bytes + i % bytes + (Math.floor(i / bytes) % 2) * 16
})))
bothFormats('unpcklp', '14', unpack(4, false), unpack(8, false))
bothFormats('unpckhp', '15', unpack(4, true), unpack(8, true))

/** Places of bytes for four lanes of 32 bits that two bits of an immediate each choose. */
export function placesOfFour(byte: Local<'i32'>): Half {
  return [0, 1, 2, 3].reduce<Half>((vector, i) => i32x4.replaceLane(vector, i, i32.add(i32.mul(i32.and(i32.shrU(byte, 2 * i), 3), 0x0404_0404), 0x0302_0100)), zero())
}
/** Of two lanes of 64 bits, one for each of two bits. */
const lanesOfTwo = (a: Bits, b: Bits, bits: Expr<'i32'>, s: Stage): Half => {
  const pick = (from: Bits, bit: number): Value => s.select(i32.and(i32.shrU(bits, bit), 1), high(from), low(from))
  return pair(pick(a, 0), pick(b, 1))
}
bothFormats('shufp', 'C6', twoAndByte((a, b, byte, s) => {
  const places = s.let(placesOfFour(byte))
  return i8x16.shuffle(i8x16.swizzle(a, places), i8x16.swizzle(b, places), [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31])
}), twoAndByte((a, b, byte, s, index) => lanesOfTwo(a, b, i32.shrU(byte, 2 * index), s)), ' Ib')

// Blends

/** Ones in the lanes whose bit is set. */
function doublewordMask(byte: Expr<'i32'>): Half {
  return i32x4.ne(v128.and(i32x4.splat(byte), v128.const(0x0000_0002_0000_0001n, 0x0000_0008_0000_0004n)), zero())
}
function quadwordMask(byte: Expr<'i32'>): Half {
  return i64x2.ne(v128.and(i64x2.splat(i64.extendU(byte)), v128.const(1n, 2n)), zero())
}
const blendSingles = twoAndByte((a, b, byte, _s, index) => v128.bitselect(b, a, doublewordMask(i32.shrU(byte, 4 * index))))
const blendDoubles = twoAndByte((a, b, byte, _s, index) => v128.bitselect(b, a, quadwordMask(i32.shrU(byte, 2 * index))))
set.define('sse4_1', 'blendps', ['66.0F3A.0C Vx Wx Ib'], blendSingles)
set.define('sse4_1', 'blendpd', ['66.0F3A.0D Vx Wx Ib'], blendDoubles)
set.define('avx', 'vblendps', ['VEX.66.0F3A.0C Vx Hx Wx Ib'], blendSingles)
set.define('avx', 'vblendpd', ['VEX.66.0F3A.0D Vx Hx Wx Ib'], blendDoubles)
set.define('avx2', 'vpblendd', ['VEX.66.0F3A.W0.02 Vx Hx Wx Ib'], blendSingles)
/** By the signs of a third vector: XMM0, or one that VEX names in an immediate. */
const variable = (shape: { shrS(a: Half, count: number): Half }, bits: number) => (s: Stage): void => {
  const [a, b] = sources(s)
  s.setHalves(0, indices(s).map((i) => {
    const mask = shape.shrS(s.vex ? s.half(3, i) : s.firstVector(), bits - 1)
    const second = s.let(s.half(b, i))
    return s.let(v128.bitselect(second, s.half(a, i), mask))
  }))
}
for (const [name, opcode, byte, shape, bits, feature] of [['pblendvb', '10', '4C', i8x16, 8, 'avx2'], ['blendvps', '14', '4A', i32x4, 32, 'avx'], ['blendvpd', '15', '4B', i64x2, 64, 'avx']] as const) {
  set.define('sse4_1', name, [`66.0F38.${opcode} Vx Wx`], variable(shape, bits))
  set.define(feature, `v${name}`, [`VEX.66.0F3A.W0.${byte} Vx Hx Wx Lx`], variable(shape, bits))
}

// AVX and AVX2: broadcasts, lanes across halves, masks

const splat = (feature: string, name: string, encoding: string, f: (a: Bits) => Half): void => set.define(feature, name, [encoding], (s) => {
  const value = s.let(f(s.let(s.half(1))))
  s.setHalves(0, indices(s).map(() => value))
})
splat('avx', 'vbroadcastss', 'VEX.66.0F38.W0.18 Vx Md', (a) => i32x4.splat(i32x4.extractLane(a, 0)))
splat('avx', 'vbroadcastsd', 'VEX.L1.66.0F38.W0.19 Vx Mq', (a) => i64x2.splat(low(a)))
splat('avx', 'vbroadcastf128', 'VEX.L1.66.0F38.W0.1A Vx Mo', (a) => a)
splat('avx2', 'vbroadcastss', 'VEX.66.0F38.W0.18 Vx Uo', (a) => i32x4.splat(i32x4.extractLane(a, 0)))
splat('avx2', 'vbroadcastsd', 'VEX.L1.66.0F38.W0.19 Vx Uo', (a) => i64x2.splat(low(a)))
splat('avx2', 'vbroadcasti128', 'VEX.L1.66.0F38.W0.5A Vx Mo', (a) => a)
splat('avx2', 'vpbroadcastb', 'VEX.66.0F38.W0.78 Vx Wb', (a) => i8x16.splat(i8x16.extractLaneU(a, 0)))
splat('avx2', 'vpbroadcastw', 'VEX.66.0F38.W0.79 Vx Ww', (a) => i16x8.splat(i16x8.extractLaneU(a, 0)))
splat('avx2', 'vpbroadcastd', 'VEX.66.0F38.W0.58 Vx Wd', (a) => i32x4.splat(i32x4.extractLane(a, 0)))
splat('avx2', 'vpbroadcastq', 'VEX.66.0F38.W0.59 Vx Wq', (a) => i64x2.splat(low(a)))

for (const [feature, letter, insertion, extraction, permutation] of [['avx', 'f', '18', '19', '06'], ['avx2', 'i', '38', '39', '46']] as const) {
  const opcode = (byte: string): string => `VEX.L1.66.0F3A.W0.${byte}`
  set.define(feature, `vinsert${letter}128`, [`${opcode(insertion)} Vx Hx Wo Ib`], (s) => {
    const upper = s.let(i32.and(imm8(s, 3), 1))
    const value = s.let(s.half(2))
    const [a, b] = [s.half(1, 0), s.half(1, 1)]
    s.setHalves(0, [choose(upper, a, value), choose(upper, value, b)])
  })
  set.define(feature, `vextract${letter}128`, [`${opcode(extraction)} Wo Vx Ib`], (s) => {
    s.setHalves(0, [choose(i32.and(imm8(s, 2), 1), s.half(1, 1), s.half(1, 0))])
  })
  set.define(feature, `vperm2${letter}128`, [`${opcode(permutation)} Vx Hx Wx Ib`], (s) => {
    const byte = imm8(s, 3)
    const halves = [s.let(s.half(1, 0)), s.let(s.half(1, 1)), s.let(s.half(2, 0)), s.let(s.half(2, 1))] as const
    s.setHalves(0, indices(s).map((i) => {
      const control = i32.shrU(byte, 4 * i)
      const bit = (place: number): Expr<'i32'> => i32.and(i32.shrU(control, place), 1)
      const value = choose(bit(1), choose(bit(0), halves[3], halves[2]), choose(bit(0), halves[1], halves[0]))
      return s.let(masked(i32.eqz(bit(3)), value))
    }))
  })
}
function choose(condition: Expr<'i32'>, a: Half, b: Half): Half {
  return v128.bitselect(a, b, i64x2.splat(i64.extendS(i32.sub(0, condition))))
}

set.define('avx', 'vpermilps', ['VEX.66.0F3A.W0.04 Vx Wx Ib'], oneAndByte((a, byte) => i8x16.swizzle(a, placesOfFour(byte))))
set.define('avx', 'vpermilpd', ['VEX.66.0F3A.W0.05 Vx Wx Ib'], oneAndByte((a, byte, s, index) => lanesOfTwo(a, a, i32.shrU(byte, 2 * index), s)))
set.define('avx', 'vpermilps', ['VEX.66.0F38.W0.0C Vx Hx Wx'], two((a, b) => {
  // Each lane's number, times four, in each of its bytes.
  const number = i32x4.mul(v128.and(b, both(0x0000_0003_0000_0003n)), i32x4.splat(0x0404_0404))
  return i8x16.swizzle(a, i32x4.add(number, i32x4.splat(0x0302_0100)))
}))
set.define('avx', 'vpermilpd', ['VEX.66.0F38.W0.0D Vx Hx Wx'], two((a, b, s) => {
  const bits = (lane: Value): Expr<'i32'> => i32.and(i32.wrap(i64.shrU(lane, 1)), 1)
  return lanesOfTwo(a, a, s.let(i32.or(bits(low(b)), i32.shl(bits(high(b)), 1))), s)
}))

/** Any of eight lanes of 32 bits, by three bits of a number each. */
const across = (s: Stage, from: number, numbers: (index: 0 | 1) => Half): void => {
  const [first, second] = [s.let(s.half(from, 0)), s.let(s.half(from, 1))]
  s.setHalves(0, indices(s).map((i) => {
    const lanes = s.let(numbers(i))
    const places = s.let(i32x4.add(i32x4.mul(v128.and(lanes, both(0x0000_0003_0000_0003n)), i32x4.splat(0x0404_0404)), i32x4.splat(0x0302_0100)))
    const upper = i32x4.ne(v128.and(lanes, both(0x0000_0004_0000_0004n)), zero())
    return s.let(v128.bitselect(i8x16.swizzle(second, places), i8x16.swizzle(first, places), upper))
  }))
}
for (const [name, opcode] of [['vpermd', '36'], ['vpermps', '16']] as const) set.define('avx2', name, [`VEX.L1.66.0F38.W0.${opcode} Vx Hx Wx`], (s) => {
  across(s, 2, (i) => s.half(1, i))
})
for (const [name, opcode] of [['vpermq', '00'], ['vpermpd', '01']] as const) set.define('avx2', name, [`VEX.L1.66.0F3A.W1.${opcode} Vx Wx Ib`], (s) => {
  const byte = imm8(s, 2)
  const number = (place: number): Expr<'i32'> => i32.shl(i32.and(i32.shrU(byte, 2 * place), 3), 1)
  across(s, 1, (index) => [0, 1, 2, 3].reduce<Half>((vector, lane) => i32x4.replaceLane(vector, lane, i32.add(number(2 * index + (lane >> 1)), lane & 1)), zero()))
})

/** Lanes whose sign is set in the mask; the others are not accessed, and read as zero (SDM volume 2, VMASKMOV). */
const maskedMove = (bytes: 4 | 8, store: boolean) => (s: Stage): void => s.anyAlignment(() => {
  const at = s.let(s.offset())
  const lanes = 16 / bytes
  const bit = (mask: Bits, lane: number): Expr<'i32'> => bytes === 4 ? i32.shrU(i32x4.extractLane(mask, lane), 31) : i32.wrap(i64.shrU(i64x2.extractLane(mask, lane), 63))
  const halves = indices(s).map((i) => {
    const mask = s.let(s.half(1, i))
    const value = s.let(store ? s.half(2, i) : zero())
    for (let lane = 0; lane < lanes; lane++) s.when(bit(mask, lane), () => {
      const place = s.truncate(i64.add(at, 16 * i + bytes * lane), s.addressSize)
      if (store) s.writable(place, bytes)
      else {
        const loaded = s.load(place, bytes)
        s.f.set(value, bytes === 4 ? i32x4.replaceLane(value, lane, i32.wrap(loaded)) : i64x2.replaceLane(value, lane, loaded))
      }
    })
    return { mask, value }
  })
  if (!store) s.setHalves(0, halves.map(({ value }) => value))
  else halves.forEach(({ mask, value }, i) => {
    for (let lane = 0; lane < lanes; lane++) s.when(bit(mask, lane), () => {
      s.store(s.truncate(i64.add(at, 16 * i + bytes * lane), s.addressSize), bytes === 4 ? i64.extendU(i32x4.extractLane(value, lane)) : i64x2.extractLane(value, lane), bytes)
    })
  })
})
set.define('avx', 'vmaskmovps', ['VEX.66.0F38.W0.2C Vx Hx Mx'], maskedMove(4, false))
set.define('avx', 'vmaskmovpd', ['VEX.66.0F38.W0.2D Vx Hx Mx'], maskedMove(8, false))
set.define('avx', 'vmaskmovps', ['VEX.66.0F38.W0.2E Mx Hx Vx'], maskedMove(4, true))
set.define('avx', 'vmaskmovpd', ['VEX.66.0F38.W0.2F Mx Hx Vx'], maskedMove(8, true))
set.define('avx2', 'vpmaskmovd', ['VEX.66.0F38.W0.8C Vx Hx Mx'], maskedMove(4, false))
set.define('avx2', 'vpmaskmovq', ['VEX.66.0F38.W1.8C Vx Hx Mx'], maskedMove(8, false))
set.define('avx2', 'vpmaskmovd', ['VEX.66.0F38.W0.8E Mx Hx Vx'], maskedMove(4, true))
set.define('avx2', 'vpmaskmovq', ['VEX.66.0F38.W1.8E Mx Hx Vx'], maskedMove(8, true))

/** Shifts of each lane by a number of its own. */
const shiftEach = (bytes: 4 | 8, kind: 'shl' | 'shrU' | 'shrS'): ((s: Stage) => void) => two((a, b, s) => {
  const bits = 8 * bytes
  return Array.from({ length: 16 / bytes }, (_, lane) => lane).reduce<Half>((vector, lane) => {
    const value = bytes === 4 ? i64.extendS(i32x4.extractLane(a, lane)) : i64x2.extractLane(a, lane)
    const count = s.let(bytes === 4 ? i64.extendU(i32x4.extractLane(b, lane)) : i64x2.extractLane(b, lane))
    const bounded = s.select(i64.ltU(count, bits), count, i64.const(bits - 1))
    const moved = kind === 'shrS' ? i64.shrS(value, bounded) : kind === 'shl' ? i64.shl(value, count) : i64.shrU(bytes === 4 ? i64.and(value, 0xffff_ffff) : value, count)
    const result = kind === 'shrS' ? moved : s.select(i64.ltU(count, bits), moved, i64.const(0))
    return bytes === 4 ? i32x4.replaceLane(vector, lane, i32.wrap(result)) : i64x2.replaceLane(vector, lane, result)
  }, zero())
})
for (const [letter, w, bytes] of [['d', 0, 4], ['q', 1, 8]] as const) {
  set.define('avx2', `vpsrlv${letter}`, [`VEX.66.0F38.W${w}.45 Vx Hx Wx`], shiftEach(bytes, 'shrU'))
  set.define('avx2', `vpsllv${letter}`, [`VEX.66.0F38.W${w}.47 Vx Hx Wx`], shiftEach(bytes, 'shl'))
}
set.define('avx2', 'vpsravd', ['VEX.66.0F38.W0.46 Vx Hx Wx'], shiftEach(4, 'shrS'))
