import { type Expr, i16x8, i32, i32x4, i64, i64x2, i8x16, type Local, select, v128 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import type { Half } from '../emit/vector-ops.ts'
import { Flag, STATUS } from '../flags.ts'
import type { Instruction } from '../isa/form.ts'
import { atMost, type Bits, both, family, imm8, indices, join, low, masked, moveDown, one, oneAndByte, sources, type Two, two, twoAndByte, withMmx, zero } from './vector.ts'

/** Integers in vectors: MMX, SSE2 to SSE4.2, AVX2 (SDM volume 1, 9.4, 11.4.2, 12, 14; volume 2 for each). */
const set = family()
export const packed: readonly Instruction[] = set.instructions

const mmx = { mmx: 'mmx', sse: 'sse2' }
const mmxSse = { mmx: 'sse', sse: 'sse2' }
const sse2 = { sse: 'sse2' }
const ssse3 = { mmx: 'ssse3', sse: 'ssse3' }
const sse41 = { sse: 'sse4_1' }

/** Operations that are one of WebAssembly's. */
const plain: readonly (readonly [string, string, (a: Half, b: Half) => Half, { readonly mmx?: string; readonly sse: string }])[] = [
  ['paddb', '0F.FC', i8x16.add, mmx], ['paddw', '0F.FD', i16x8.add, mmx], ['paddd', '0F.FE', i32x4.add, mmx], ['paddq', '0F.D4', i64x2.add, { mmx: 'sse2', sse: 'sse2' }],
  ['psubb', '0F.F8', i8x16.sub, mmx], ['psubw', '0F.F9', i16x8.sub, mmx], ['psubd', '0F.FA', i32x4.sub, mmx], ['psubq', '0F.FB', i64x2.sub, { mmx: 'sse2', sse: 'sse2' }],
  ['paddsb', '0F.EC', i8x16.addSatS, mmx], ['paddsw', '0F.ED', i16x8.addSatS, mmx], ['paddusb', '0F.DC', i8x16.addSatU, mmx], ['paddusw', '0F.DD', i16x8.addSatU, mmx],
  ['psubsb', '0F.E8', i8x16.subSatS, mmx], ['psubsw', '0F.E9', i16x8.subSatS, mmx], ['psubusb', '0F.D8', i8x16.subSatU, mmx], ['psubusw', '0F.D9', i16x8.subSatU, mmx],
  ['pcmpeqb', '0F.74', i8x16.eq, mmx], ['pcmpeqw', '0F.75', i16x8.eq, mmx], ['pcmpeqd', '0F.76', i32x4.eq, mmx], ['pcmpeqq', '0F38.29', i64x2.eq, sse41],
  ['pcmpgtb', '0F.64', i8x16.gtS, mmx], ['pcmpgtw', '0F.65', i16x8.gtS, mmx], ['pcmpgtd', '0F.66', i32x4.gtS, mmx], ['pcmpgtq', '0F38.37', i64x2.gtS, { sse: 'sse4_2' }],
  ['pminub', '0F.DA', i8x16.minU, mmxSse], ['pmaxub', '0F.DE', i8x16.maxU, mmxSse], ['pminsw', '0F.EA', i16x8.minS, mmxSse], ['pmaxsw', '0F.EE', i16x8.maxS, mmxSse],
  ['pminsb', '0F38.38', i8x16.minS, sse41], ['pminsd', '0F38.39', i32x4.minS, sse41], ['pminuw', '0F38.3A', i16x8.minU, sse41], ['pminud', '0F38.3B', i32x4.minU, sse41],
  ['pmaxsb', '0F38.3C', i8x16.maxS, sse41], ['pmaxsd', '0F38.3D', i32x4.maxS, sse41], ['pmaxuw', '0F38.3E', i16x8.maxU, sse41], ['pmaxud', '0F38.3F', i32x4.maxU, sse41],
  ['pavgb', '0F.E0', i8x16.avgrU, mmxSse], ['pavgw', '0F.E3', i16x8.avgrU, mmxSse],
  ['pmullw', '0F.D5', i16x8.mul, mmx], ['pmulld', '0F38.40', i32x4.mul, sse41], ['pmaddwd', '0F.F5', i32x4.dotI16x8S, mmx],
  ['pand', '0F.DB', v128.and, mmx], ['por', '0F.EB', v128.or, mmx], ['pxor', '0F.EF', v128.xor, mmx], ['pandn', '0F.DF', (a, b) => v128.andnot(b, a), mmx],
]
for (const [name, opcode, operation, groups] of plain) set.both(name, opcode, (a, b) => operation(a, b), groups)

// Products

const upperWords = (l: Half, h: Half): Half => i8x16.shuffle(l, h, [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31])
set.both('pmulhw', '0F.E5', (a, b) => upperWords(i32x4.extmulLowI16x8S(a, b), i32x4.extmulHighI16x8S(a, b)), mmx)
set.both('pmulhuw', '0F.E4', (a, b) => upperWords(i32x4.extmulLowI16x8U(a, b), i32x4.extmulHighI16x8U(a, b)), mmxSse)
set.both('pmuludq', '0F.F4', (a, b) => i64x2.mul(v128.and(a, both(0xffff_ffffn)), v128.and(b, both(0xffff_ffffn))), { mmx: 'sse2', sse: 'sse2' })
const lowSigned = (a: Half): Half => i64x2.shrS(i64x2.shl(a, 32), 32)
set.both('pmuldq', '0F38.28', (a, b) => i64x2.mul(lowSigned(a), lowSigned(b)), sse41)
/** 8000 by 8000 is 8000, where WebAssembly saturates. */
set.both('pmulhrsw', '0F38.0B', (a, b) => {
  const least = both(0x8000_8000_8000_8000n)
  return v128.xor(i16x8.q15mulrSatS(a, b), v128.and(i16x8.eq(a, least), i16x8.eq(b, least)))
}, ssse3)
/** Unsigned bytes by signed ones. */
set.both('pmaddubsw', '0F38.04', (a, b) => i16x8.addSatS(
  i16x8.mul(v128.and(a, both(0x00ff_00ff_00ff_00ffn)), i16x8.shrS(i16x8.shl(b, 8), 8)),
  i16x8.mul(i16x8.shrU(a, 8), i16x8.shrS(b, 8)),
), ssse3)
set.both('psadbw', '0F.F6', (a, b, s) => {
  const apart = v128.or(i8x16.subSatU(a, b), i8x16.subSatU(b, a))
  const sums = s.let(i32x4.extaddPairwiseI16x8U(i16x8.extaddPairwiseI8x16U(apart)))
  return i64x2.add(v128.and(sums, both(0xffff_ffffn)), i64x2.shrU(sums, 32))
}, mmxSse)

// Packing and unpacking

/** Lanes of so many bytes of both, in turns, from the lower or the upper halves. */
function interleave(bytes: number, upper: boolean): readonly number[] {
  return Array.from({ length: 16 }, (_, i) => {
    const lane = Math.floor(i / bytes / 2)
    return (upper ? 8 : 0) + lane * bytes + i % bytes + (Math.floor(i / bytes) % 2) * 16
  })
}
const unpacks: readonly (readonly [string, number, string, string])[] = [['bw', 1, '60', '68'], ['wd', 2, '61', '69'], ['dq', 4, '62', '6A'], ['qdq', 8, '6C', '6D']]
for (const [name, bytes, lower, upper] of unpacks) {
  const ofLower: Two = (a, b) => i8x16.shuffle(a, b, interleave(bytes, false))
  const groups = bytes === 8 ? sse2 : mmx
  // Of 32 bits alone the memory operand of MMX is read (SDM volume 2, PUNPCKLBW).
  if (bytes !== 8) set.define('mmx', `punpckl${name}`, [`NP.0F.${lower} Pq Qd`], two(ofLower))
  set.both(`punpckl${name}`, `0F.${lower}`, ofLower, sse2)
  set.both(`punpckh${name}`, `0F.${upper}`, (a, b) => i8x16.shuffle(a, b, interleave(bytes, true)), groups, (a, b, s) => moveDown(ofLower(a, b, s), i32.const(8)))
}
/** MMX has all its sources in one vector of ours. */
const joined = (f: Two): Two => (a, b, s) => {
  const c = s.let(join(a, b))
  return f(c, c, s)
}
const packs: readonly (readonly [string, string, Two, { readonly mmx?: string; readonly sse: string }])[] = [
  ['packsswb', '0F.63', (a, b) => i8x16.narrowI16x8S(a, b), mmx], ['packuswb', '0F.67', (a, b) => i8x16.narrowI16x8U(a, b), mmx],
  ['packssdw', '0F.6B', (a, b) => i16x8.narrowI32x4S(a, b), mmx], ['packusdw', '0F38.2B', (a, b) => i16x8.narrowI32x4U(a, b), sse41],
]
for (const [name, opcode, f, groups] of packs) set.both(name, opcode, f, groups, joined(f))

// Sums of neighbours

const evens = (a: Half, b: Half, bytes: number): Half => i8x16.shuffle(a, b, Array.from({ length: 16 }, (_, i) => Math.floor(i / bytes) * 2 * bytes + i % bytes))
const odds = (a: Half, b: Half, bytes: number): Half => i8x16.shuffle(a, b, Array.from({ length: 16 }, (_, i) => Math.floor(i / bytes) * 2 * bytes + bytes + i % bytes))
const neighbours: readonly (readonly [string, string, number, (a: Half, b: Half) => Half])[] = [
  ['phaddw', '01', 2, i16x8.add], ['phaddd', '02', 4, i32x4.add], ['phaddsw', '03', 2, i16x8.addSatS],
  ['phsubw', '05', 2, i16x8.sub], ['phsubd', '06', 4, i32x4.sub], ['phsubsw', '07', 2, i16x8.subSatS],
]
for (const [name, opcode, bytes, operation] of neighbours) {
  const f: Two = (a, b) => operation(evens(a, b, bytes), odds(a, b, bytes))
  set.both(name, `0F38.${opcode}`, f, ssse3, joined(f))
}

// Signs and absolute values

const shapes = [['b', i8x16], ['w', i16x8], ['d', i32x4]] as const
shapes.forEach(([letter, shape], i) => {
  const opcode = (base: number): string => `0F38.${(base + i).toString(16).padStart(2, '0').toUpperCase()}`
  set.both(`psign${letter}`, opcode(0x08), (a, b, s) => {
    const negative = s.let(shape.ltS(b, zero()))
    const value = v128.bitselect(shape.neg(a), a, negative)
    return v128.andnot(value, shape.eq(b, zero()))
  }, ssse3)
  const absolute = one((a) => shape.abs(a))
  set.define('ssse3', `pabs${letter}`, [`NP.${opcode(0x1c)} Pq Qq`, `66.${opcode(0x1c)} Vx Wx`], absolute)
  set.define('avx2', `vpabs${letter}`, [`VEX.66.${opcode(0x1c)} Vx Wx`], absolute)
})

// Shifts

type Shape = typeof i16x8 | typeof i32x4 | typeof i64x2
const shifted = (a: Half, count: Local<'i64'>, shape: Shape, bits: number, kind: 'shl' | 'shrS' | 'shrU'): Half => {
  if (kind === 'shrS') return shape.shrS(a, i32.wrap(select('i64', i64.ltU(count, bits), count, bits - 1)))
  return masked(i64.ltU(count, bits), shape[kind](a, i32.wrap(count)))
}
const shiftTable: readonly (readonly [string, Shape, number, 'shl' | 'shrS' | 'shrU', string, string, number])[] = [
  ['psrlw', i16x8, 16, 'shrU', 'D1', '71', 2], ['psrld', i32x4, 32, 'shrU', 'D2', '72', 2], ['psrlq', i64x2, 64, 'shrU', 'D3', '73', 2],
  ['psraw', i16x8, 16, 'shrS', 'E1', '71', 4], ['psrad', i32x4, 32, 'shrS', 'E2', '72', 4],
  ['psllw', i16x8, 16, 'shl', 'F1', '71', 6], ['pslld', i32x4, 32, 'shl', 'F2', '72', 6], ['psllq', i64x2, 64, 'shl', 'F3', '73', 6],
]
for (const [name, shape, bits, kind, opcode, byteOpcode, digit] of shiftTable) {
  // The count is the low 64 bits of a whole register or 16 bytes, and one for all lanes.
  const byVector = withMmx((s) => {
    const [a, b] = sources(s)
    const count = s.let(low(s.let(s.half(b))))
    s.setHalves(0, indices(s).map((i) => s.let(shifted(s.half(a, i), count, shape, bits, kind))))
  })
  const byByte = withMmx((s) => {
    const [a, b] = s.vex ? [1, 2] : [0, 1]
    const count = s.let(s.read(b, 1))
    s.setHalves(0, indices(s).map((i) => s.let(shifted(s.half(a, i), count, shape, bits, kind))))
  })
  set.define('mmx', name, [`NP.0F.${opcode} Pq Qq`], byVector)
  set.define('mmx', name, [`NP.0F.${byteOpcode}/${digit} Nq Ib`], byByte)
  set.define('sse2', name, [`66.0F.${opcode} Vx Wx`], byVector)
  set.define('sse2', name, [`66.0F.${byteOpcode}/${digit} Ux Ib`], byByte)
  set.define('avx2', `v${name}`, [`VEX.66.0F.${opcode} Vx Hx Wo`], byVector)
  set.define('avx2', `v${name}`, [`VEX.66.0F.${byteOpcode}/${digit} Hx Ux Ib`], byByte)
}
for (const [name, digit, sign] of [['psrldq', 3, 1], ['pslldq', 7, -1]] as const) {
  const meaning = (s: Stage): void => {
    const [a, b] = s.vex ? [1, 2] : [0, 1]
    const bytes = s.let(atMost(imm8(s, b), 16))
    s.setHalves(0, indices(s).map((i) => s.let(moveDown(s.half(a, i), sign < 0 ? i32.sub(0, bytes) : bytes))))
  }
  set.define('sse2', name, [`66.0F.73/${digit} Ux Ib`], meaning)
  set.define('avx2', `v${name}`, [`VEX.66.0F.73/${digit} Hx Ux Ib`], meaning)
}

// Shuffles

/** Places of bytes for lanes that two bits of an immediate each choose: `lanes` of so many bytes from a first one on, the rest in place. */
function places(byte: Local<'i32'>, bytes: 2 | 4, first: number): Half {
  const [unit, start] = bytes === 4 ? [0x0404_0404, 0x0302_0100] : [0x0202, first === 0 ? 0x0100 : 0x0908]
  const iota = v128.const(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n)
  return [0, 1, 2, 3].reduce<Half>((vector, i) => {
    const chosen = i32.add(i32.mul(i32.and(i32.shrU(byte, 2 * i), 3), unit), start)
    return bytes === 4 ? i32x4.replaceLane(vector, i, chosen) : i16x8.replaceLane(vector, first + i, chosen)
  }, iota)
}
const byPlaces = (bytes: 2 | 4, first: number): ((s: Stage) => void) => oneAndByte((a, byte) => i8x16.swizzle(a, places(byte, bytes, first)))
set.define('sse', 'pshufw', ['NP.0F.70 Pq Qq Ib'], byPlaces(2, 0))
for (const [name, prefix, bytes, first] of [['pshufd', '66', 4, 0], ['pshufhw', 'F3', 2, 4], ['pshuflw', 'F2', 2, 0]] as const) {
  set.define('sse2', name, [`${prefix}.0F.70 Vx Wx Ib`], byPlaces(bytes, first))
  set.define('avx2', `v${name}`, [`VEX.${prefix}.0F.70 Vx Wx Ib`], byPlaces(bytes, first))
}
set.both('pshufb', '0F38.00', (a, b) => i8x16.swizzle(a, v128.and(b, both(0x8f8f_8f8f_8f8f_8f8fn))), ssse3, (a, b) => i8x16.swizzle(a, v128.and(b, both(0x8787_8787_8787_8787n))))
const align = twoAndByte((a, b, byte, s) => {
  const bytes = s.let(atMost(byte, 32))
  if (s.mmx) return moveDown(join(b, a), bytes)
  return v128.or(moveDown(b, bytes), moveDown(a, i32.sub(bytes, 16)))
})
set.define('ssse3', 'palignr', ['NP.0F3A.0F Pq Qq Ib', '66.0F3A.0F Vx Wx Ib'], align)
set.define('avx2', 'vpalignr', ['VEX.66.0F3A.0F Vx Hx Wx Ib'], align)
/** Ones in the words whose bit of the immediate is set. */
const wordMask = (byte: Expr<'i32'>): Half => {
  const bits = v128.and(i16x8.splat(byte), v128.const(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n))
  return i16x8.ne(bits, zero())
}
const blendWords = twoAndByte((a, b, byte) => v128.bitselect(b, a, wordMask(byte)))
set.define('sse4_1', 'pblendw', ['66.0F3A.0E Vx Wx Ib'], blendWords)
set.define('avx2', 'vpblendw', ['VEX.66.0F3A.0E Vx Hx Wx Ib'], blendWords)

// Wider lanes

const widen: readonly (readonly [string, string, 'h' | 'f' | 'e', (a: Half) => Half, (a: Half) => Half])[] = [
  ['bw', '0', 'h', i16x8.extendLowI8x16S, i16x8.extendLowI8x16U],
  ['bd', '1', 'f', (a) => i32x4.extendLowI16x8S(i16x8.extendLowI8x16S(a)), (a) => i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(a))],
  ['bq', '2', 'e', (a) => i64x2.extendLowI32x4S(i32x4.extendLowI16x8S(i16x8.extendLowI8x16S(a))), (a) => i64x2.extendLowI32x4U(i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(a)))],
  ['wd', '3', 'h', i32x4.extendLowI16x8S, i32x4.extendLowI16x8U],
  ['wq', '4', 'f', (a) => i64x2.extendLowI32x4S(i32x4.extendLowI16x8S(a)), (a) => i64x2.extendLowI32x4U(i32x4.extendLowI16x8U(a))],
  ['dq', '5', 'h', i64x2.extendLowI32x4S, i64x2.extendLowI32x4U],
]
for (const [letters, digit, size, signed, unsigned] of widen) {
  const part = { h: 8, f: 4, e: 2 }[size]
  for (const [name, row, extend] of [['pmovsx', '2', signed], ['pmovzx', '3', unsigned]] as const) {
    const meaning = (s: Stage): void => {
      const source = s.let(s.half(1))
      s.setHalves(0, indices(s).map((i) => s.let(extend(moveDown(source, i32.const(i * part))))))
    }
    set.define('sse4_1', name + letters, [`66.0F38.${row}${digit} Vx W${size}`], meaning)
    set.define('avx2', `v${name}${letters}`, [`VEX.66.0F38.${row}${digit} Vx W${size}`], meaning)
  }
}

// To general registers and flags

const maskOfBytes = withMmx((s) => {
  const masks = indices(s).map((i) => i8x16.bitmask(s.half(1, i)))
  const [first, second] = masks
  if (first) s.write(0, i64.extendU(second ? i32.or(first, i32.shl(second, 16)) : first))
})
set.define('sse', 'pmovmskb', ['NP.0F.D7 Gd Nq'], maskOfBytes)
set.define('sse2', 'pmovmskb', ['66.0F.D7 Gd Ux'], maskOfBytes)
set.define('avx2', 'vpmovmskb', ['VEX.66.0F.D7 Gd Ux'], maskOfBytes)

const ALL_BITS = (1n << 64n) - 1n
/** ZF: no bit of both is set; CF: no bit of the second alone. Of those in the mask, that is. */
const testBits = (mask: bigint) => (s: Stage): void => {
  const parts = indices(s).map((i) => [s.let(s.half(0, i)), s.let(v128.and(s.half(1, i), v128.const(mask, mask)))] as const)
  const any = (f: (a: Bits, b: Bits) => Half): Expr<'i32'> => v128.anyTrue(parts.map(([a, b]) => f(a, b)).reduce((x, y) => v128.or(x, y)))
  const zeroFlag = i32.shl(i32.eqz(any((a, b) => v128.and(a, b))), 6)
  const carryFlag = i32.eqz(any((a, b) => v128.andnot(b, a)))
  s.setFlags(STATUS, i32.and(i32.or(zeroFlag, carryFlag), Flag.zero | Flag.carry))
}
set.define('sse4_1', 'ptest', ['66.0F38.17 Vx Wx'], testBits(ALL_BITS))
set.define('avx', 'vptest', ['VEX.66.0F38.17 Vx Wx'], testBits(ALL_BITS))
// The signs of numbers (SDM volume 2, VTESTPD/VTESTPS).
set.define('avx', 'vtestps', ['VEX.66.0F38.W0.0E Vx Wx'], testBits(0x8000_0000_8000_0000n))
set.define('avx', 'vtestpd', ['VEX.66.0F38.W0.0F Vx Wx'], testBits(1n << 63n))

/** The least word and its place. */
const leastWord = one((a, s) => {
  const least = s.let(i32.const(0xffff_ffff | 0))
  for (let i = 0; i < 8; i++) {
    const candidate = s.let(i32.or(i32.shl(i16x8.extractLaneU(a, i), 3), i))
    s.f.set(least, select('i32', i32.ltU(candidate, least), candidate, least))
  }
  return i64x2.replaceLane(zero(), 0, i64.extendU(i32.or(i32.and(i32.shrU(least, 3), 0xffff), i32.shl(i32.and(least, 7), 16))))
})
set.define('sse4_1', 'phminposuw', ['66.0F38.41 Vx Wx'], leastWord)
set.define('avx', 'vphminposuw', ['VEX.L0.66.0F38.41 Vx Wx'], leastWord)

/** Sums of absolute differences of four bytes of the second with four at each of eight places of the first. */
const sums = twoAndByte((a, b, byte, s, index) => {
  const bits = index === 0 ? byte : i32.shrU(byte, 3)
  const chosen = s.let(i32.and(bits, 7))
  const block = s.let(i32x4.splat(i32x4.extractLane(moveDown(b, i32.shl(i32.and(chosen, 3), 2)), 0)))
  const from = s.let(moveDown(a, i32.and(chosen, 4)))
  const at = (place: number): Half => i8x16.shuffle(from, from, Array.from({ length: 16 }, (_, i) => place + Math.floor(i / 4) + i % 4))
  const four = (place: number): Half => {
    const window = s.let(at(place))
    const apart = v128.or(i8x16.subSatU(window, block), i8x16.subSatU(block, window))
    return i32x4.extaddPairwiseI16x8U(i16x8.extaddPairwiseI8x16U(apart))
  }
  return i16x8.narrowI32x4U(four(0), four(4))
})
set.define('sse4_1', 'mpsadbw', ['66.0F3A.42 Vx Wx Ib'], sums)
set.define('avx2', 'vmpsadbw', ['VEX.66.0F3A.42 Vx Hx Wx Ib'], sums)
