import { call, type Expr, i32, i64, select } from '@machinist/wasm'
import { extension, type Instruction } from './instruction.ts'

/** Bit manipulation (unprivileged specification, chapter 28): Zba, Zbb, Zbs; and Zicond (chapter 15). */
const zba = extension('zba')
const zbb = extension('zbb')
const zbs = extension('zbs')
const zicond = extension('zicond')
export const bits: readonly (readonly Instruction[])[] = [zba.instructions, zbb.instructions, zbs.instructions, zicond.instructions]

const low32 = (value: Expr<'i64'>): Expr<'i64'> => i64.and(value, 0xffff_ffffn)

zba.pure('add.uw', '0000100 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd(i64.add(low32(s.rs1), s.rs2)))
for (const [n, funct] of [[1, '010'], [2, '100'], [3, '110']] as const) {
  zba.pure(`sh${n}add`, `0010000 rs2 rs1 ${funct} rd 0110011`, 'rd, rs1, rs2', (s) => s.setRd(i64.add(i64.shl(s.rs1, n), s.rs2)))
  zba.pure(`sh${n}add.uw`, `0010000 rs2 rs1 ${funct} rd 0111011`, 'rd, rs1, rs2', (s) => s.setRd(i64.add(i64.shl(low32(s.rs1), n), s.rs2)))
}
zba.pure('slli.uw', '000010 shamt6 rs1 001 rd 0011011', 'rd, rs1, shamt', (s) => s.setRd(i64.shl(low32(s.rs1), s.imm)))

const notRs2 = (value: Expr<'i64'>): Expr<'i64'> => i64.xor(value, -1)
zbb.pure('andn', '0100000 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.and(s.rs1, notRs2(s.rs2))))
zbb.pure('orn', '0100000 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.or(s.rs1, notRs2(s.rs2))))
zbb.pure('xnor', '0100000 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.xor(s.rs1, notRs2(s.rs2))))
zbb.pure('clz', '0110000 00000 rs1 001 rd 0010011', 'rd, rs1', (s) => s.setRd(i64.clz(s.rs1)))
zbb.pure('ctz', '0110000 00001 rs1 001 rd 0010011', 'rd, rs1', (s) => s.setRd(i64.ctz(s.rs1)))
zbb.pure('cpop', '0110000 00010 rs1 001 rd 0010011', 'rd, rs1', (s) => s.setRd(i64.popcnt(s.rs1)))
zbb.pure('clzw', '0110000 00000 rs1 001 rd 0011011', 'rd, rs1', (s) => s.setRd32(i32.clz(s.rs1w)))
zbb.pure('ctzw', '0110000 00001 rs1 001 rd 0011011', 'rd, rs1', (s) => s.setRd32(i32.ctz(s.rs1w)))
zbb.pure('cpopw', '0110000 00010 rs1 001 rd 0011011', 'rd, rs1', (s) => s.setRd32(i32.popcnt(s.rs1w)))
zbb.pure('max', '0000101 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.gtS(s.rs1, s.rs2), s.rs1, s.rs2)))
zbb.pure('maxu', '0000101 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.gtU(s.rs1, s.rs2), s.rs1, s.rs2)))
zbb.pure('min', '0000101 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.ltS(s.rs1, s.rs2), s.rs1, s.rs2)))
zbb.pure('minu', '0000101 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.ltU(s.rs1, s.rs2), s.rs1, s.rs2)))
zbb.pure('sext.b', '0110000 00100 rs1 001 rd 0010011', 'rd, rs1', (s) => s.setRd(i64.extend8S(s.rs1)))
zbb.pure('sext.h', '0110000 00101 rs1 001 rd 0010011', 'rd, rs1', (s) => s.setRd(i64.extend16S(s.rs1)))
zbb.pure('zext.h', '0000100 00000 rs1 100 rd 0111011', 'rd, rs1', (s) => s.setRd(i64.and(s.rs1, 0xffff)))
zbb.pure('rol', '0110000 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.rotl(s.rs1, s.rs2)))
zbb.pure('ror', '0110000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.rotr(s.rs1, s.rs2)))
zbb.pure('rori', '011000 shamt6 rs1 101 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.rotr(s.rs1, s.imm)))
zbb.pure('rolw', '0110000 rs2 rs1 001 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.rotl(s.rs1w, s.rs2w)))
zbb.pure('rorw', '0110000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.rotr(s.rs1w, s.rs2w)))
zbb.pure('roriw', '0110000 shamt5 rs1 101 rd 0011011', 'rd, rs1, shamt', (s) => s.setRd32(i32.rotr(s.rs1w, s.immw)))
zbb.pure('orc.b', '001010000111 rs1 101 rd 0010011', 'rd, rs1', (s) => {
  // A byte with any bit set becomes 0xff: gather each byte's bits into its top bit, then spread that.
  const x = s.f.let(s.rs1)
  const low7 = 0x7f7f_7f7f_7f7f_7f7fn
  const tops = s.f.let(i64.and(i64.or(i64.add(i64.and(x, low7), low7), x), ~low7))
  s.setRd(i64.or(i64.sub(i64.shl(tops, 1), i64.shrU(tops, 7)), i64.or(tops, i64.const(0))))
})
zbb.pure('rev8', '011010111000 rs1 101 rd 0010011', 'rd, rs1', (s) => s.setRd(call(s.helpers.rev8, s.rs1)))

const bit = (index: Expr<'i64'>): Expr<'i64'> => i64.shl(i64.const(1), index)
zbs.pure('bclr', '0100100 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.and(s.rs1, i64.xor(bit(s.rs2), -1))))
zbs.pure('bclri', '010010 shamt6 rs1 001 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.and(s.rs1, i64.xor(bit(s.imm), -1))))
zbs.pure('bext', '0100100 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.and(i64.shrU(s.rs1, s.rs2), 1)))
zbs.pure('bexti', '010010 shamt6 rs1 101 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.and(i64.shrU(s.rs1, s.imm), 1)))
zbs.pure('binv', '0110100 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.xor(s.rs1, bit(s.rs2))))
zbs.pure('binvi', '011010 shamt6 rs1 001 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.xor(s.rs1, bit(s.imm))))
zbs.pure('bset', '0010100 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.or(s.rs1, bit(s.rs2))))
zbs.pure('bseti', '001010 shamt6 rs1 001 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.or(s.rs1, bit(s.imm))))

zicond.pure('czero.eqz', '0000111 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.eqz(s.rs2), 0, s.rs1)))
zicond.pure('czero.nez', '0000111 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(select('i64', i64.eqz(s.rs2), s.rs1, 0)))
