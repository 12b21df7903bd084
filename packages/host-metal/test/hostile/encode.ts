/** Instructions as numbers, valid and not, for guests that mean no good. */
import type { Random } from './random.ts'

export const NOP = 0x13
const C_NOP = 1
const u32 = (value: number): number => value >>> 0
const i = (opcode: number, funct3: number, rd: number, rs1: number, imm: number): number => u32((imm & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode)
const s = (opcode: number, funct3: number, rs2: number, rs1: number, imm: number): number => u32((imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | opcode)
const r = (opcode: number, funct3: number, funct7: number, rd: number, rs1: number, rs2: number): number => u32(funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode)

const [A0, A1, A2, SP] = [10, 11, 12, 2]

/** A compressed instruction with a NOP behind it. */
const compressed = (half: number): number => u32(C_NOP << 16 | half)
/** Quadrant 0: rd' or rs2' in bits 4:2, rs1' in 9:7. */
const cl = (funct3: number, data: number, uimm: number = 0): number => compressed(funct3 << 13 | uimm | (A1 - 8) << 7 | (data - 8) << 2)

/** Loads of a0 (fa0) from a1, and stores of a2 (fa0) to a1, in every plain encoding. */
export function access(random: Random): number[] {
  const kind = random.below(20)
  if (kind < 6) return [i(0x03, random.below(8), A0, A1, 0)]
  if (kind < 10) return [s(0x23, random.below(5), A2, A1, 0)]
  if (kind < 12) return [i(0x07, 1 + random.below(4), A0, A1, 0)]
  if (kind < 14) return [s(0x27, 2 + random.below(2), A0, A1, 0)]
  if (kind < 17) return [cl(random.pick([1, 2, 3]), A0)]
  if (kind < 18) return [cl(random.pick([5, 6, 7]), random.pick([A0, A2]))]
  // c.lwsp, c.ldsp, c.fldsp; c.swsp, c.sdsp, c.fsdsp, with sp = a1.
  const half = random.chance(0.5) ? random.pick([1, 2, 3]) << 13 | A0 << 7 | 2 : random.pick([5, 6, 7]) << 13 | random.pick([A0, A2]) << 2 | 2
  return [i(0x13, 0, SP, A1, 0), compressed(half)]
}

/** LR, SC and AMOs, of either width. A reservation is made before an SC, or not. */
export function atomic(random: Random): number[] {
  const width = random.pick([2, 2, 3, 3, 1, 4])
  const amo = (funct5: number, rs2: number): number => r(0x2f, width, funct5 << 2 | random.below(4), A0, A1, rs2)
  const what = random.below(12)
  if (what === 0) return [amo(2, 0)]
  if (what === 1) return [amo(2, 0), amo(3, A2)]
  if (what === 2) return [amo(3, A2)]
  return [amo(random.pick([0, 1, 4, 8, 12, 16, 20, 24, 28]), A2)]
}

/** A CSR instruction of a number, with a0 as destination and a2, x0 or an immediate as operand. */
export function csr(random: Random, number: number): number[] {
  const funct3 = random.pick([1, 2, 3, 5, 6, 7])
  const operand = random.chance(0.4) ? 0 : funct3 >= 5 ? random.below(32) : A2
  return [i(0x73, funct3, A0, operand, number)]
}

/** What only a hypervisor may do (privileged specification, chapter 8), and returns to where this is not. */
export function hypervisor(random: Random): number[] {
  return [random.pick([
    r(0x73, 4, 0x30 | random.below(8), A0, A1, random.below(4)),
    r(0x73, 4, 0x31 | random.below(4) << 1, random.chance(0.5) ? 0 : A0, A1, A2),
    r(0x73, 0, 0x11, 0, A1, A2), r(0x73, 0, 0x31, 0, A1, A2), r(0x73, 0, 0x13, 0, A1, A2), r(0x73, 0, 0x33, 0, A1, A2),
    0x3020_0073, 0x7020_0073, 0x7b20_0073, 0x0020_0073,
  ])]
}

/** What waits or orders: SFENCE.VMA of everything and of something, Svinval, fences with and without sense, PAUSE. */
export function fence(random: Random): number[] {
  return [random.pick([
    r(0x73, 0, 0x09, 0, 0, 0), r(0x73, 0, 0x09, 0, A1, A2), r(0x73, 0, 0x09, 0, 0, A2), r(0x73, 0, 0x09, 0, A1, 0),
    0x0ff0_000f, 0x0100_000f, 0x8330_000f, u32(random.below(0x1000) << 20 | 0xf), 0x100f, 0x0015_900f,
  ])]
}

/** Words that mean nothing today. */
export function reserved(random: Random): number[] {
  return [random.pick([0, 0xffff_ffff, 0x0000_001f, 0x0000_003f, 0x0000_007f, 0x0005_7057, 0x0000_7003, compressed(0), compressed(0x8000), 0x0000_006b, 0x3e00_0033 | random.below(8) << 12])]
}

export const ecall = 0x73
/** WFI that has something to wake for, since the timer has expired. */
export const wfi: readonly number[] = [0x1050_0073]
/** Goes to a1; what is there comes back by `jr a5`. */
export const jump: readonly number[] = [i(0x67, 0, 1, A1, 0)]
export const jrA5 = 0x8782
export const asm = {
  sub: (rd: number, rs1: number, rs2: number): number => r(0x33, 0, 0x20, rd, rs1, rs2),
  ld: (rd: number, rs1: number, imm: number): number => i(0x03, 3, rd, rs1, imm), sd: (rs2: number, rs1: number, imm: number): number => s(0x23, 3, rs2, rs1, imm),
  sw: (rs2: number, rs1: number, imm: number): number => s(0x23, 2, rs2, rs1, imm),
  addi: (rd: number, rs1: number, imm: number): number => i(0x13, 0, rd, rs1, imm), jalr: (rd: number, rs1: number, imm: number): number => i(0x67, 0, rd, rs1, imm),
  auipc: (rd: number, pages: number): number => u32(pages << 12 | rd << 7 | 0x17),
  lui: (rd: number, pages: number): number => u32(pages << 12 | rd << 7 | 0x37), bnez: (rs1: number, to: number): number => u32((to >> 12 & 1) << 31 | (to >> 5 & 0x3f) << 25 | rs1 << 15 | 1 << 12 | (to >> 1 & 15) << 8 | (to >> 11 & 1) << 7 | 0x63),
  csrr: (rd: number, number: number): number => i(0x73, 2, rd, 0, number), csrw: (number: number, rs1: number): number => i(0x73, 1, 0, rs1, number), csrs: (number: number, rs1: number): number => i(0x73, 2, 0, rs1, number), csrc: (number: number, rs1: number): number => i(0x73, 3, 0, rs1, number),
  toF: (fd: number, rs1: number): number => r(0x53, 0, 0x79, fd, rs1, 0), fromF: (rd: number, fs1: number): number => r(0x53, 0, 0x71, rd, fs1, 0),
  j: (to: number): number => u32((to >> 20 & 1) << 31 | (to >> 1 & 0x3ff) << 21 | (to >> 11 & 1) << 20 | (to >> 12 & 0xff) << 12 | 0x6f), sret: 0x1020_0073, T0: 5,
} as const
