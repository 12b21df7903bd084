/** A few instructions of RV64, for programs of tests. Registers are numbers. */

const mask = (value: number, bits: number): number => value & (2 ** bits - 1)
const i = (opcode: number, funct3: number, rd: number, rs1: number, imm: number): number => ((mask(imm, 12) << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | opcode) >>> 0
const s = (funct3: number, rs2: number, rs1: number, imm: number): number => ((mask(imm >> 5, 7) << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (mask(imm, 5) << 7) | 0x23) >>> 0
const b = (funct3: number, rs1: number, rs2: number, to: number): number =>
  ((mask(to >> 12, 1) << 31) | (mask(to >> 5, 6) << 25) | (rs2 << 20) | (rs1 << 15) | (funct3 << 12) | (mask(to >> 1, 4) << 8) | (mask(to >> 11, 1) << 7) | 0x63) >>> 0
const u = (opcode: number, rd: number, value: number): number => ((value & 0xffff_f000) | (rd << 7) | opcode) >>> 0

export const asm = {
  lui: (rd: number, value: number): number => u(0x37, rd, value),
  auipc: (rd: number, value: number): number => u(0x17, rd, value),
  addi: (rd: number, rs1: number, imm: number): number => i(0x13, 0, rd, rs1, imm),
  andi: (rd: number, rs1: number, imm: number): number => i(0x13, 7, rd, rs1, imm),
  slli: (rd: number, rs1: number, by: number): number => i(0x13, 1, rd, rs1, by),
  srli: (rd: number, rs1: number, by: number): number => i(0x13, 5, rd, rs1, by),
  sub: (rd: number, rs1: number, rs2: number): number => ((0x20 << 25) | (rs2 << 20) | (rs1 << 15) | (rd << 7) | 0x33) >>> 0,
  add: (rd: number, rs1: number, rs2: number): number => ((rs2 << 20) | (rs1 << 15) | (rd << 7) | 0x33) >>> 0,
  /** width: 0 to 3 for 1 to 8 bytes, 4 to 6 without sign. */
  load: (width: number, rd: number, rs1: number, imm: number = 0): number => i(0x03, width, rd, rs1, imm),
  store: (width: number, rs2: number, rs1: number, imm: number = 0): number => s(width, rs2, rs1, imm),
  beq: (rs1: number, rs2: number, to: number): number => b(0, rs1, rs2, to),
  bne: (rs1: number, rs2: number, to: number): number => b(1, rs1, rs2, to),
  /** jal x0 */
  j: (to: number): number => ((mask(to >> 20, 1) << 31) | (mask(to >> 1, 10) << 21) | (mask(to >> 11, 1) << 20) | (mask(to >> 12, 8) << 12) | 0x6f) >>> 0,
  csrw: (csr: number, rs1: number): number => i(0x73, 1, 0, rs1, csr),
  csrr: (rd: number, csr: number): number => i(0x73, 2, rd, 0, csr),
  csrs: (csr: number, rs1: number): number => i(0x73, 2, 0, rs1, csr),
  ecall: 0x73,
  wfi: 0x1050_0073,
  sret: 0x1020_0073,
  /** A 32-bit constant, sign-extended: two instructions. */
  li: (rd: number, value: number): number[] => [u(0x37, rd, value + 0x800), i(0x1b, 0, rd, rd, value & 0xfff)],
  /** An address from 2^31 to 2^32, zero-extended: three instructions. */
  la: (rd: number, value: number): number[] => [...asm.li(rd, value >>> 1), i(0x13, 1, rd, rd, 1)],
} as const
