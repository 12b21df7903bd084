import { csrNames } from '../csr-numbers.ts'
import { decode, type Decoded, emptyDecoded, instructions } from './decoder.ts'
import { floatRegisterNames, registerNames, roundingModeNames } from './names.ts'

/** The text of the instruction in the low bits of `word`, which stands at `pc`; its length in bytes comes with it. */
export function disassemble(word: number, pc: number | bigint = 0): { readonly text: string; readonly length: number } {
  const d = decode(word, emptyDecoded())
  const instruction = instructions[d.number]
  if (!instruction || d.number === 0) return { text: d.length === 2 ? `.half 0x${(word & 0xffff).toString(16)}` : `.word 0x${(word >>> 0).toString(16)}`, length: d.length }
  const operands = instruction.operands
    .split(', ')
    .filter((operand) => operand !== '')
    .map((operand) => operand.replace(/[a-z]+[0-9]?/g, (token) => operandText(token, d, pc)))
    .filter((operand) => operand !== '')
  return { text: operands.length === 0 ? instruction.name : `${instruction.name} ${operands.join(', ')}`, length: d.length }
}

function operandText(token: string, d: Decoded, pc: number | bigint): string {
  const x = (n: number): string => registerNames[n] ?? '?'
  const f = (n: number): string => floatRegisterNames[n] ?? '?'
  switch (token) {
    case 'rd':
      return x(d.rd)
    case 'rs1':
      return x(d.rs1)
    case 'rs2':
      return x(d.rs2)
    case 'fd':
      return f(d.rd)
    case 'fs1':
      return f(d.rs1)
    case 'fs2':
      return f(d.rs2)
    case 'fs3':
      return f(d.rs3)
    case 'imm':
    case 'shamt':
      return String(d.imm)
    case 'uimm':
      return `0x${(d.imm >>> 12).toString(16)}`
    case 'zimm':
      return String(d.rs1)
    case 'target':
      return `0x${BigInt.asUintN(64, BigInt(pc) + BigInt(d.imm)).toString(16)}`
    case 'csr':
      return csrNames.get(d.imm) ?? `0x${d.imm.toString(16)}`
    case 'rm':
      return d.rm === 7 ? '' : (roundingModeNames[d.rm] ?? '?')
    case 'fence':
      // All fences are the same here, and what they are for is not decoded.
      return ''
    default:
      return token
  }
}
