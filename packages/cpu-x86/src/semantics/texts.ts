import { call, i16x8, i32, i64, i64x2, i8x16, type Local, select, v128 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import { TextControl } from '../emit/float/text.ts'
import { Flag, STATUS } from '../flags.ts'
import type { Instruction } from '../isa/form.ts'
import { family, imm8, zero } from './vector.ts'

/** Comparisons of strings in vectors, of SSE4.2 (SDM volume 1, 12.10.3). */
const set = family()
export const texts: readonly Instruction[] = set.instructions

const [RAX, RCX, RDX] = [0, 1, 2]
/** Bit 6 of the control byte: the last index and not the first, or a mask of elements and not of bits. */
const OTHER = 0x40

/** A length in a register: its size without its sign, of more than there is as much as there is. */
const explicitLength = (s: Stage, register: number, count: Local<'i32'>): Local<'i32'> => {
  const value = s.let(s.signed(s.register(register, s.operandSize), s.operandSize))
  s.when(i64.ltS(value, 0), () => s.f.set(value, i64.sub(0, value)))
  return s.let(select('i32', i64.geU(value, i64.extendU(count)), count, i32.wrap(value)))
}
const comparison = (implicit: boolean, mask: boolean) => (s: Stage): void => {
  const control = imm8(s, 2)
  const [a, b] = [s.let(s.half(0)), s.let(s.half(1))]
  s.setImage(0, a)
  s.setImage(16, b)
  const count = s.let(select('i32', i32.and(control, TextControl.words), 8, 16))
  const { length, compare } = s.float.text
  const lengths = ([[RAX, 0], [RDX, 1]] as const).map(([register, operand]) => implicit ? s.let(call(length, operand, control)) : explicitLength(s, register, count))
  const [ofA, ofB] = lengths as [Local<'i32'>, Local<'i32'>]
  const found = s.let(call(compare, ofA, ofB, control))
  const other = i32.and(control, OTHER)
  if (mask) {
    const bits = s.let(i64x2.replaceLane(zero(), 0, i64.extendU(found)))
    s.when(other, () => {
      s.f.set(bits, i16x8.splat(found))
      const ofWords = i16x8.ne(v128.and(bits, v128.const(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n)), zero())
      const ofBytes = i8x16.ne(v128.and(i8x16.swizzle(bits, v128.const(0n, 0x0101_0101_0101_0101n)), v128.const(BigInt.asIntN(64, 0x8040_2010_0804_0201n), BigInt.asIntN(64, 0x8040_2010_0804_0201n))), zero())
      s.when(i32.and(control, TextControl.words), () => s.f.set(bits, ofWords), () => s.f.set(bits, ofBytes))
    })
    s.setFirstVector(bits)
  } else {
    const index = select('i32', other, i32.sub(31, i32.clz(found)), i32.ctz(found))
    s.setRegister(RCX, i64.extendU(select('i32', found, index, count)), 4)
  }
  const bit = (condition: Parameters<typeof i32.and>[0], flag: number) => i32.mul(condition, flag)
  const flags = [bit(i32.ne(found, 0), Flag.carry), bit(i32.ltU(ofB, count), Flag.zero), bit(i32.ltU(ofA, count), Flag.sign), bit(i32.and(found, 1), Flag.overflow)]
  s.setFlags(STATUS, flags.reduce((x, y) => i32.or(x, y)))
}
for (const [name, opcode, implicit, mask] of [['pcmpestrm', '60', false, true], ['pcmpestri', '61', false, false], ['pcmpistrm', '62', true, true], ['pcmpistri', '63', true, false]] as const) {
  const words = implicit ? '; unaligned' : '; unaligned wide'
  set.define('sse4_2', name, [`66.0F3A.${opcode} Vo Wo Ib${words}`], comparison(implicit, mask))
  set.define('avx', `v${name}`, [`VEX.L0.66.0F3A.${opcode} Vo Wo Ib${implicit ? '' : '; wide'}`], comparison(implicit, mask))
}
