import { i32, i64 } from '@machinist/wasm'
import { Cause } from '../cause.ts'
import { extension, type Instruction } from './instruction.ts'

/** RV32I and RV64I base instruction sets (unprivileged specification 20240411, chapters 2 and 4). */
const { instructions, pure, effect, system } = extension('i')
export const rv64i: readonly Instruction[] = instructions

pure('lui', 'uimm20 rd 0110111', 'rd, uimm', (s) => s.setRd(s.imm))
pure('auipc', 'uimm20 rd 0010111', 'rd, uimm', (s) => s.setRd(i64.add(s.pc, s.imm)))
effect('jal', 'jimm20 rd 1101111', 'rd, target', (s) => s.jumpAndLink())
effect('jalr', 'iimm rs1 000 rd 1100111', 'rd, imm(rs1)', (s) => s.jumpAndLinkRegister(i64.and(i64.add(s.rs1, s.imm), -2)))

effect('beq', 'bimm7 rs2 rs1 000 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.eq(s.rs1, s.rs2)))
effect('bne', 'bimm7 rs2 rs1 001 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.ne(s.rs1, s.rs2)))
effect('blt', 'bimm7 rs2 rs1 100 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.ltS(s.rs1, s.rs2)))
effect('bge', 'bimm7 rs2 rs1 101 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.geS(s.rs1, s.rs2)))
effect('bltu', 'bimm7 rs2 rs1 110 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.ltU(s.rs1, s.rs2)))
effect('bgeu', 'bimm7 rs2 rs1 111 bimm5 1100011', 'rs1, rs2, target', (s) => s.branch(i64.geU(s.rs1, s.rs2)))

effect('lb', 'iimm rs1 000 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('s8', i64.add(s.rs1, s.imm))))
effect('lh', 'iimm rs1 001 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('s16', i64.add(s.rs1, s.imm))))
effect('lw', 'iimm rs1 010 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('s32', i64.add(s.rs1, s.imm))))
effect('ld', 'iimm rs1 011 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('u64', i64.add(s.rs1, s.imm))))
effect('lbu', 'iimm rs1 100 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('u8', i64.add(s.rs1, s.imm))))
effect('lhu', 'iimm rs1 101 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('u16', i64.add(s.rs1, s.imm))))
effect('lwu', 'iimm rs1 110 rd 0000011', 'rd, imm(rs1)', (s) => s.setRd(s.load('u32', i64.add(s.rs1, s.imm))))

effect('sb', 'simm7 rs2 rs1 000 simm5 0100011', 'rs2, imm(rs1)', (s) => s.store(1, i64.add(s.rs1, s.imm), s.rs2))
effect('sh', 'simm7 rs2 rs1 001 simm5 0100011', 'rs2, imm(rs1)', (s) => s.store(2, i64.add(s.rs1, s.imm), s.rs2))
effect('sw', 'simm7 rs2 rs1 010 simm5 0100011', 'rs2, imm(rs1)', (s) => s.store(4, i64.add(s.rs1, s.imm), s.rs2))
effect('sd', 'simm7 rs2 rs1 011 simm5 0100011', 'rs2, imm(rs1)', (s) => s.store(8, i64.add(s.rs1, s.imm), s.rs2))

pure('addi', 'iimm rs1 000 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.add(s.rs1, s.imm)))
pure('slti', 'iimm rs1 010 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.extendU(i64.ltS(s.rs1, s.imm))))
pure('sltiu', 'iimm rs1 011 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.extendU(i64.ltU(s.rs1, s.imm))))
pure('xori', 'iimm rs1 100 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.xor(s.rs1, s.imm)))
pure('ori', 'iimm rs1 110 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.or(s.rs1, s.imm)))
pure('andi', 'iimm rs1 111 rd 0010011', 'rd, rs1, imm', (s) => s.setRd(i64.and(s.rs1, s.imm)))
pure('slli', '000000 shamt6 rs1 001 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.shl(s.rs1, s.imm)))
pure('srli', '000000 shamt6 rs1 101 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.shrU(s.rs1, s.imm)))
pure('srai', '010000 shamt6 rs1 101 rd 0010011', 'rd, rs1, shamt', (s) => s.setRd(i64.shrS(s.rs1, s.imm)))

pure('add', '0000000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.add(s.rs1, s.rs2)))
pure('sub', '0100000 rs2 rs1 000 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.sub(s.rs1, s.rs2)))
pure('sll', '0000000 rs2 rs1 001 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.shl(s.rs1, s.rs2)))
pure('slt', '0000000 rs2 rs1 010 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.extendU(i64.ltS(s.rs1, s.rs2))))
pure('sltu', '0000000 rs2 rs1 011 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.extendU(i64.ltU(s.rs1, s.rs2))))
pure('xor', '0000000 rs2 rs1 100 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.xor(s.rs1, s.rs2)))
pure('srl', '0000000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.shrU(s.rs1, s.rs2)))
pure('sra', '0100000 rs2 rs1 101 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.shrS(s.rs1, s.rs2)))
pure('or', '0000000 rs2 rs1 110 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.or(s.rs1, s.rs2)))
pure('and', '0000000 rs2 rs1 111 rd 0110011', 'rd, rs1, rs2', (s) => s.setRd(i64.and(s.rs1, s.rs2)))

pure('addiw', 'iimm rs1 000 rd 0011011', 'rd, rs1, imm', (s) => s.setRd32(i32.add(s.rs1w, s.immw)))
pure('slliw', '0000000 shamt5 rs1 001 rd 0011011', 'rd, rs1, shamt', (s) => s.setRd32(i32.shl(s.rs1w, s.immw)))
pure('srliw', '0000000 shamt5 rs1 101 rd 0011011', 'rd, rs1, shamt', (s) => s.setRd32(i32.shrU(s.rs1w, s.immw)))
pure('sraiw', '0100000 shamt5 rs1 101 rd 0011011', 'rd, rs1, shamt', (s) => s.setRd32(i32.shrS(s.rs1w, s.immw)))
pure('addw', '0000000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.add(s.rs1w, s.rs2w)))
pure('subw', '0100000 rs2 rs1 000 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.sub(s.rs1w, s.rs2w)))
pure('sllw', '0000000 rs2 rs1 001 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.shl(s.rs1w, s.rs2w)))
pure('srlw', '0000000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.shrU(s.rs1w, s.rs2w)))
pure('sraw', '0100000 rs2 rs1 101 rd 0111011', 'rd, rs1, rs2', (s) => s.setRd32(i32.shrS(s.rs1w, s.rs2w)))

// Harts of one machine take turns on one thread, so every hart already sees memory in program order.
effect('fence', 'fence12 rs1 000 rd 0001111', 'fence', (s) => s.nothing())
// PAUSE (Zihintpause) is the FENCE with pred = W and everything else zero: a spin-wait, so other harts should run, if there are any.
effect('pause', '000000010000 00000 000 00000 0001111', '', (s) => s.yieldHart())
system('ecall', '000000000000 00000 000 00000 1110011', '', (s) => s.environmentCall())
system('ebreak', '000000000001 00000 000 00000 1110011', '', (s) => s.raise(Cause.breakpoint, s.pc))
