import { type MachinistError, machinistError } from '@machinist/api'
import { instructions, numberOf } from './decoder.ts'

/** Operands of an instruction to be encoded; those that it has no field for are ignored. */
export interface Operands {
  readonly rd?: number
  readonly rs1?: number
  readonly rs2?: number
  readonly rs3?: number
  readonly rm?: number
  readonly aqrl?: number
  /** As in `Decoded`: byte offsets, shifted upper immediates, CSR numbers. */
  readonly imm?: number
}

function encodingError(part: string, value: string | number, problem: string, remedy: string): MachinistError {
  return machinistError({ code: 'encoding', part, value, remedy }, problem)
}

/**
 * The 32-bit encoding of an instruction.
 *
 * @throws typed errors: `'unknown-instruction'`, and `'encoding'` when the immediate does not fit its field
 */
export function encode(name: string, operands: Operands = {}): number {
  const instruction = instructions[numberOf(name)]
  if (!instruction) throw encodingError(name, name, 'no instruction is called so', 'Use a name such as addi')
  const { fields, format } = instruction
  const { rd = 0, rs1 = 0, rs2 = 0, rs3 = 0, rm = 7, aqrl = 0, imm = 0 } = operands
  const fits = (width: number, scale: number): void => {
    const limit = 2 ** (width - 1)
    if (imm < -limit || imm >= limit || imm % scale !== 0) {
      throw encodingError(name, imm, 'its immediate does not fit', `Use one from ${-limit} to ${limit - scale}${scale > 1 ? `, a multiple of ${scale}` : ''}`)
    }
  }
  let word = instruction.match
  if (fields.has('rd')) word |= (rd & 31) << 7
  if (fields.has('rs1') || fields.has('zimm')) word |= (rs1 & 31) << 15
  if (fields.has('rs2')) word |= (rs2 & 31) << 20
  if (fields.has('rs3')) word |= (rs3 & 31) << 27
  if (fields.has('rm')) word |= (rm & 7) << 12
  if (fields.has('aqrl')) word |= (aqrl & 3) << 25
  if (fields.has('iimm')) {
    fits(12, 1)
    word |= (imm & 0xfff) << 20
  }
  if (fields.has('shamt6')) word |= (imm & 63) << 20
  if (fields.has('shamt5')) word |= (imm & 31) << 20
  if (fields.has('csr')) word |= (imm & 0xfff) << 20
  if (fields.has('fence12')) word |= (imm & 0xfff) << 20
  if (format === 'S') {
    fits(12, 1)
    word |= ((imm >> 5) & 127) << 25 | (imm & 31) << 7
  }
  if (format === 'B') {
    fits(13, 2)
    word |= ((imm >> 12) & 1) << 31 | ((imm >> 5) & 63) << 25 | ((imm >> 1) & 15) << 8 | ((imm >> 11) & 1) << 7
  }
  if (fields.has('uimm20')) word |= imm & 0xffff_f000
  if (format === 'J') {
    fits(21, 2)
    word |= ((imm >> 20) & 1) << 31 | ((imm >> 1) & 1023) << 21 | ((imm >> 11) & 1) << 20 | (imm & 0xf_f000)
  }
  return word >>> 0
}
