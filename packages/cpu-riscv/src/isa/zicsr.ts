import { i64 } from '@machinist/wasm'
import { Cause } from '../cause.ts'
import { extension, type Instruction } from './instruction.ts'

/** Zicsr (unprivileged, chapter 6), Zifencei (5), Zicbom and Zicboz (20), Zawrs (13) and the privileged instructions. */
const zicsr = extension('zicsr')
const privileged = extension('priv')
const zifencei = extension('zifencei')
const cache = extension('zicbo')
export const systemInstructions: readonly (readonly Instruction[])[] = [
  zicsr.instructions,
  privileged.instructions,
  zifencei.instructions,
  cache.instructions,
]

zicsr.system('csrrw', 'csr rs1 001 rd 1110011', 'rd, csr, rs1', (s) => s.csr(s.rs1, (_old, operand) => operand, 'write'))
zicsr.system('csrrs', 'csr rs1 010 rd 1110011', 'rd, csr, rs1', (s) => s.csr(s.rs1, (old, operand) => i64.or(old, operand), 'modify'))
zicsr.system('csrrc', 'csr rs1 011 rd 1110011', 'rd, csr, rs1', (s) =>
  s.csr(s.rs1, (old, operand) => i64.and(old, i64.xor(operand, -1)), 'modify'),
)
zicsr.system('csrrwi', 'csr zimm 101 rd 1110011', 'rd, csr, zimm', (s) => s.csr(s.zimm, (_old, operand) => operand, 'write'))
zicsr.system('csrrsi', 'csr zimm 110 rd 1110011', 'rd, csr, zimm', (s) => s.csr(s.zimm, (old, operand) => i64.or(old, operand), 'modify'))
zicsr.system('csrrci', 'csr zimm 111 rd 1110011', 'rd, csr, zimm', (s) =>
  s.csr(s.zimm, (old, operand) => i64.and(old, i64.xor(operand, -1)), 'modify'),
)

privileged.system('sret', '000100000010 00000 000 00000 1110011', '', (s) => s.supervisorReturn())
privileged.system('mret', '001100000010 00000 000 00000 1110011', '', (s) => s.machineReturn())
privileged.system('wfi', '000100000101 00000 000 00000 1110011', '', (s) => s.waitForInterrupt())
privileged.system('sfence.vma', '0001001 rs2 rs1 000 00000 1110011', 'rs1, rs2', (s) => s.fenceVma())
// Svinval splits SFENCE.VMA in three; the invalidation itself does all the work.
privileged.system('sinval.vma', '0001011 rs2 rs1 000 00000 1110011', 'rs1, rs2', (s) => s.fenceVma())
privileged.system('sfence.w.inval', '000110000000 00000 000 00000 1110011', '', (s) => s.supervisorOnly())
privileged.system('sfence.inval.ir', '000110000001 00000 000 00000 1110011', '', (s) => s.supervisorOnly())

// Decoded code is dropped when memory is written, so the instruction stream is always coherent.
zifencei.effect('fence.i', 'iimm rs1 001 rd 0001111', '', (s) => s.nothing())

cache.system('cbo.inval', '000000000000 rs1 010 00000 0001111', '(rs1)', (s) => s.cacheBlock('inval'))
cache.system('cbo.clean', '000000000001 rs1 010 00000 0001111', '(rs1)', (s) => s.cacheBlock('clean'))
cache.system('cbo.flush', '000000000010 rs1 010 00000 0001111', '(rs1)', (s) => s.cacheBlock('flush'))
// Kernels clear every page with it.
cache.effect('cbo.zero', '000000000100 rs1 010 00000 0001111', '(rs1)', (s) => s.cacheBlock('zero'))

/** What the decoder makes of anything else. */
export const illegal: Instruction = {
  name: 'illegal',
  operands: '',
  extension: 'i',
  kind: 'system',
  mask: 0,
  match: 0,
  format: 'U',
  fields: new Set(),
  semantics: (s) => s.raise(Cause.illegalInstruction, i64.and(s.imm, 0xffff_ffffn)),
}
