import { call, type Expr, i32, i32x4, i64x2, i8x16, type Local, select, v128 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import type { Half } from '../emit/vector-ops.ts'
import type { Instruction } from '../isa/form.ts'
import { type Bits, family, high, low, one, oneAndByte, sources, two, twoAndByte } from './vector.ts'

/** AES-NI, PCLMULQDQ and SHA (SDM volume 1, 5.10 to 5.12; volume 2 for each). */
const set = family()
export const crypto: readonly Instruction[] = set.instructions

// Carry-less products

const product = twoAndByte((a, b, byte, s) => call(s.float.crypto.carryless, select('i64', i32.and(byte, 1), high(a), low(a)), select('i64', i32.and(byte, 16), high(b), low(b))))
set.define('pclmulqdq', 'pclmulqdq', ['66.0F3A.44 Vo Wo Ib'], product)
set.define('pclmulqdq', 'vpclmulqdq', ['VEX.L0.66.0F3A.44 Vo Ho Wo Ib'], product)

// AES

/** ShiftRows: row r of the columns is moved by r of them; its inverse the other way. */
const shiftRows = (a: Half, way: 1 | -1): Half => i8x16.shuffle(a, a, Array.from({ length: 16 }, (_, i) => (i & 3) + 4 * ((i >> 2) + way * (i & 3) + 4 & 3)))
const rounds: readonly (readonly [string, string, (a: Bits, s: Stage) => Half])[] = [
  ['aesenc', 'DC', (a, s) => call(s.float.crypto.mix, call(s.float.crypto.substitute, shiftRows(a, 1)))], ['aesenclast', 'DD', (a, s) => call(s.float.crypto.substitute, shiftRows(a, 1))],
  ['aesdec', 'DE', (a, s) => call(s.float.crypto.unmix, call(s.float.crypto.unsubstitute, shiftRows(a, -1)))], ['aesdeclast', 'DF', (a, s) => call(s.float.crypto.unsubstitute, shiftRows(a, -1))],
]
for (const [name, opcode, f] of rounds) {
  const round = two((a, key, s) => v128.xor(f(a, s), key))
  set.define('aes', name, [`66.0F38.${opcode} Vo Wo`], round)
  set.define('aes', `v${name}`, [`VEX.L0.66.0F38.${opcode} Vo Ho Wo`], round)
}
const unmix = one((a, s) => call(s.float.crypto.unmix, a))
set.define('aes', 'aesimc', ['66.0F38.DB Vo Wo'], unmix)
set.define('aes', 'vaesimc', ['VEX.L0.66.0F38.DB Vo Wo'], unmix)
/** Words 1 and 3, substituted; and both with their bytes rotated, and the constant added. */
const assist = oneAndByte((a, byte, s) => {
  const substituted = s.let(call(s.float.crypto.substitute, a))
  const constant = s.let(i64x2.splat(high(i32x4.replaceLane(v128.const(0n, 0n), 3, byte))))
  return v128.xor(i8x16.shuffle(substituted, substituted, [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]), constant)
})
set.define('aes', 'aeskeygenassist', ['66.0F3A.DF Vo Wo Ib'], assist)
set.define('aes', 'vaeskeygenassist', ['VEX.L0.66.0F3A.DF Vo Wo Ib'], assist)

// SHA, on lanes of 32 bits. AMD's processors take an operand that is not aligned, Intel's say #GP.

type Word = Expr<'i32'>
const lane = (s: Stage, a: Bits, n: number): Local<'i32'> => s.let(i32x4.extractLane(a, n))
const lanes = (s: Stage, a: Bits): readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>] => [lane(s, a, 0), lane(s, a, 1), lane(s, a, 2), lane(s, a, 3)]
/** From the lowest lane on. */
const vectorOf = (words: readonly Word[]): Half => words.reduce<Half>((vector, word, n) => i32x4.replaceLane(vector, n, word), v128.const(0n, 0n))
const sum = (...words: readonly Word[]): Word => words.reduce((a, b) => i32.add(a, b))
const xor = (...words: readonly Word[]): Word => words.reduce((a, b) => i32.xor(a, b))
const right = (a: Word, by: number): Word => i32.rotr(a, by)
const left = (a: Word, by: number): Word => i32.rotl(a, by)
const chosen = (a: Word, b: Word, c: Word): Word => i32.xor(i32.and(a, b), i32.and(i32.xor(a, -1), c))
const majority = (a: Word, b: Word, c: Word): Word => xor(i32.and(a, b), i32.and(a, c), i32.and(b, c))

set.define('sha', 'sha1nexte', ['NP.0F38.C8 Vo Wo; unaligned'], two((a, b, s) => i32x4.replaceLane(b, 3, i32.add(lane(s, b, 3), left(lane(s, a, 3), 30)))))
set.define('sha', 'sha1msg1', ['NP.0F38.C9 Vo Wo; unaligned'], two((a, b) => v128.xor(a, i8x16.shuffle(a, b, [24, 25, 26, 27, 28, 29, 30, 31, 0, 1, 2, 3, 4, 5, 6, 7]))))
set.define('sha', 'sha1msg2', ['NP.0F38.CA Vo Wo; unaligned'], two((a, b, s) => {
  const [a0, a1, a2, a3] = lanes(s, a)
  const [b0, b1, b2] = lanes(s, b)
  const first = s.let(left(xor(a3, b2), 1))
  return vectorOf([left(xor(a0, first), 1), left(xor(a1, b0), 1), left(xor(a2, b1), 1), first])
}))
/** Four rounds; the immediate says which. */
set.define('sha', 'sha1rnds4', ['NP.0F3A.CC Vo Wo Ib; unaligned'], twoAndByte((x, y, byte, s) => {
  const kind = s.let(i32.and(byte, 3))
  const pick = (values: readonly [Word, Word, Word, Word]): Word => select('i32', i32.and(kind, 2), select('i32', i32.and(kind, 1), values[3], values[2]), select('i32', i32.and(kind, 1), values[1], values[0]))
  const constant = s.let(pick([i32.const(0x5a82_7999), i32.const(0x6ed9_eba1), i32.const(0x8f1b_bcdc | 0), i32.const(0xca62_c1d6 | 0)]))
  const [d0, c0, b0, a0] = lanes(s, x)
  const w = lanes(s, y)
  let [a, b, c, d, e]: Word[] = [a0, b0, c0, d0, i32.const(0)]
  for (let round = 0; round < 4; round++) {
    const [p, q, r] = [b, c, d] as [Word, Word, Word]
    const parity = xor(p, q, r)
    const next = s.let(sum(pick([chosen(p, q, r), parity, majority(p, q, r), parity]), left(a as Word, 5), w[3 - round] as Word, e as Word, constant))
    ;[a, b, c, d, e] = [next, a, s.let(left(b as Word, 30)), c, d]
  }
  return vectorOf([d, c, b, a] as Word[])
}))
const small0 = (a: Word): Word => xor(right(a, 7), right(a, 18), i32.shrU(a, 3))
const small1 = (a: Word): Word => xor(right(a, 17), right(a, 19), i32.shrU(a, 10))
set.define('sha', 'sha256msg1', ['NP.0F38.CC Vo Wo; unaligned'], two((a, b, s) => {
  const [a0, a1, a2, a3] = lanes(s, a)
  return vectorOf([sum(a0, small0(a1)), sum(a1, small0(a2)), sum(a2, small0(a3)), sum(a3, small0(lane(s, b, 0)))])
}))
set.define('sha', 'sha256msg2', ['NP.0F38.CD Vo Wo; unaligned'], two((a, b, s) => {
  const [a0, a1, a2, a3] = lanes(s, a)
  const [first, second] = [s.let(sum(a0, small1(lane(s, b, 2)))), s.let(sum(a1, small1(lane(s, b, 3))))]
  return vectorOf([first, second, sum(a2, small1(first)), sum(a3, small1(second))])
}))
/** Two rounds; XMM0 has the words with their constants. */
set.define('sha', 'sha256rnds2', ['NP.0F38.CB Vo Wo; unaligned'], (s) => {
  const [x, y] = sources(s)
  const [h0, g0, d0, c0] = lanes(s, s.let(s.half(x)))
  const [f0, e0, b0, a0] = lanes(s, s.let(s.half(y)))
  const words = s.let(s.firstVector())
  let [a, b, c, d, e, f, g, h]: Word[] = [a0, b0, c0, d0, e0, f0, g0, h0]
  for (let round = 0; round < 2; round++) {
    const first = s.let(sum(chosen(e as Word, f as Word, g as Word), xor(right(e as Word, 6), right(e as Word, 11), right(e as Word, 25)), lane(s, words, round), h as Word))
    const second = s.let(sum(first, majority(a as Word, b as Word, c as Word), xor(right(a as Word, 2), right(a as Word, 13), right(a as Word, 22))))
    ;[a, b, c, d, e, f, g, h] = [second, a, b, c, s.let(i32.add(d as Word, first)), e, f, g]
  }
  s.setHalves(0, [vectorOf([f, e, b, a] as Word[])])
})
