import { type MachinistError, machinistError } from '@machinist/api'
import { a } from './a.ts'
import { compressed, type Compressed } from './compressed.ts'
import { floats } from './fd.ts'
import type { Instruction } from './instruction.ts'
import { m } from './m.ts'
import { rv64i } from './rv64i.ts'
import { bits } from './zb.ts'
import { illegal, systemInstructions } from './zicsr.ts'

/** Every instruction, in a fixed order; an instruction's place here is its number. Number 0 is the illegal one. */
export const instructions: readonly Instruction[] = [illegal, ...rv64i, ...m, ...a, ...floats.flat(), ...bits.flat(), ...systemInstructions.flat()]

const numbers: ReadonlyMap<string, number> = new Map(instructions.map((instruction, i) => [instruction.name, i]))

/** Tells of the instructions whose names begin as one that there is not; of none, when no name does. */
function unknownInstruction(name: string): MachinistError {
  const family = /^[a-z]*/.exec(name)?.[0] ?? ''
  const near = [...numbers.keys()].filter((known) => known.startsWith(family.slice(0, 3)) && known !== illegal.name)
  return machinistError(
    { code: 'unknown-instruction', part: 'riscv', value: name, remedy: near.length === 0 ? 'Use a name such as addi, as the manual has them' : `Use one of ${near.slice(0, 40).join(', ')}` },
    'no instruction is called so')
}

/** The number of the instruction called `name`. @throws a typed error `'unknown-instruction'` */
export function numberOf(name: string): number {
  const number = numbers.get(name)
  if (number === undefined) throw unknownInstruction(name)
  return number
}

/** An instruction with its operands. Absent operands are 0. */
export interface Decoded {
  /** Index into {@link instructions}. */
  number: number
  /** Bytes: 2 or 4. */
  length: number
  rd: number
  rs1: number
  rs2: number
  rs3: number
  /** Rounding mode field; 7 is DYN. */
  rm: number
  /** Sign-extended 32-bit immediate; the shifted one of LUI and AUIPC; the CSR number; for illegal ones, the bits. */
  imm: number
}

/** Candidates by major opcode (bits 6…2) and funct3, the most particular first. */
const byOpcode: readonly (readonly number[])[] = (() => {
  const candidates: number[][] = Array.from({ length: 256 }, () => [])
  instructions.forEach(({ mask, match }, number) => {
    for (let funct3 = 0; funct3 < 8; funct3++) {
      if (number !== 0 && (match & 0x7000) === (mask & (funct3 << 12))) candidates[((match << 1) & 0xf8) | funct3]?.push(number)
    }
  })
  const particular = (number: number): number => ones(instructions[number]?.mask ?? 0)
  for (const list of candidates) if (list.length > 1) list.sort((x, y) => particular(y) - particular(x))
  return candidates
})()

function ones(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}

/** Candidates by quadrant and funct3. */
const compressedByKey: readonly (readonly Compressed[])[] = Array.from({ length: 32 }, (_, key) =>
  compressed.filter((entry) => ((entry.match >> 13) << 2 | (entry.match & 3)) === key),
)

/** One encoding: the bits that it has, and what is in the others. */
export interface Encoding {
  readonly mask: number
  readonly match: number
  readonly length: 2 | 4
  /** Reads an instruction that has these bits; false when it is reserved. */
  readonly read: (word: number, out: Decoded) => boolean
}

/** How many keys there are; see {@link encodingsOf}. */
export const KEYS: number = 256 + 32
/** Of the keys, the first of instructions of 16 bits. */
export const COMPRESSED_KEYS = 256

/** Every encoding of instructions with this key (those of 16 bits behind those of 32), the most particular first. */
export function encodingsOf(key: number): readonly Encoding[] {
  if (key < COMPRESSED_KEYS) {
    return (byOpcode[key] ?? []).map((number) => {
      const { mask, match } = instructions[number] ?? illegal
      return { mask, match, length: 4, read: (word, out) => readPlain(number, word, clear(out)) !== 0 }
    })
  }
  return (compressedByKey[key - COMPRESSED_KEYS] ?? []).map((entry) => ({ mask: entry.mask, match: entry.match, length: 2, read: (half, out) => readCompressed(entry, half, clear(out)) }))
}

/** Whether the 16 bits at an address are a whole instruction. */
export function isCompressed(half: number): boolean {
  return (half & 3) !== 3
}

/**
 * Decodes the instruction in the low bits of `word` (16 or 32 of them, as its first bits say) into `out`, which is
 * returned. Anything unknown or reserved decodes as the illegal instruction, number 0.
 */
export function decode(word: number, out: Decoded): Decoded {
  clear(out)
  if (isCompressed(word)) {
    const half = word & 0xffff
    for (const entry of compressedByKey[(half >> 13) << 2 | (half & 3)] ?? []) {
      if ((half & entry.mask) !== entry.match) continue
      if (!readCompressed(entry, half, out)) break
      return out
    }
    out.length = 2
    out.number = 0
    out.imm = half
    return out
  }
  for (const number of byOpcode[((word << 1) & 0xf8) | ((word >> 12) & 7)] ?? []) {
    const instruction = instructions[number]
    if (!instruction || ((word & instruction.mask) >>> 0) !== instruction.match) continue
    readPlain(number, word, out)
    return out
  }
  out.length = 4
  out.number = 0
  out.imm = word | 0
  return out
}

function clear(out: Decoded): Decoded {
  out.rd = out.rs1 = out.rs2 = out.rs3 = out.imm = 0
  out.rm = 7
  return out
}

function readCompressed({ expand }: Compressed, half: number, out: Decoded): boolean {
  const expansion = half === 0 ? null : expand(half)
  if (!expansion) return false
  out.length = 2
  out.number = numberOf(expansion.name)
  out.rd = expansion.rd ?? 0
  out.rs1 = expansion.rs1 ?? 0
  out.rs2 = expansion.rs2 ?? 0
  out.imm = expansion.imm ?? 0
  return true
}

/** @returns the number, or 0 when its operands are reserved */
function readPlain(number: number, word: number, out: Decoded): number {
  out.length = 4
  out.number = number
  operands(instructions[number] ?? illegal, word, out)
  return out.number
}

/** The fields of an instruction that hold registers, and its rounding mode, as bits. */
const FIELD = { rd: 1, rs1: 2, rs2: 4, rs3: 8, rm: 16 } as const
const fieldBits: readonly number[] = instructions.map(({ fields }) => (Object.keys(FIELD) as (keyof typeof FIELD)[])
  .reduce((bits, name) => bits | (fields.has(name) || (name === 'rs1' && fields.has('zimm')) ? FIELD[name] : 0), 0))

function operands({ format, fields }: Instruction, word: number, out: Decoded): void {
  const has = fieldBits[out.number] ?? 0
  if ((has & FIELD.rd) !== 0) out.rd = (word >> 7) & 31
  if ((has & FIELD.rs1) !== 0) out.rs1 = (word >> 15) & 31
  if ((has & FIELD.rs2) !== 0) out.rs2 = (word >> 20) & 31
  if ((has & FIELD.rs3) !== 0) out.rs3 = word >>> 27
  if ((has & FIELD.rm) !== 0) {
    out.rm = (word >> 12) & 7
    // Rounding modes 5 and 6 are reserved.
    if (out.rm === 5 || out.rm === 6) {
      out.number = 0
      out.rd = out.rs1 = out.rs2 = out.rs3 = 0
      out.imm = word | 0
    }
  }
  switch (format) {
    case 'I':
      if (fields.has('iimm')) out.imm = word >> 20
      else if (fields.has('shamt6')) out.imm = (word >> 20) & 63
      else if (fields.has('shamt5')) out.imm = (word >> 20) & 31
      break
    case 'S':
      out.imm = ((word >> 25) << 5) | ((word >> 7) & 31)
      break
    case 'B':
      out.imm = ((word >> 31) << 12) | (((word >> 7) & 1) << 11) | (((word >> 25) & 63) << 5) | (((word >> 8) & 15) << 1)
      break
    case 'U':
      out.imm = word & 0xffff_f000
      break
    case 'J':
      out.imm = ((word >> 31) << 20) | (word & 0xf_f000) | (((word >> 20) & 1) << 11) | (((word >> 21) & 1023) << 1)
      break
    case 'CSR':
      out.imm = word >>> 20
      break
    case 'R':
      break
  }
}

/** A record to decode into. */
export function emptyDecoded(): Decoded {
  return { number: 0, length: 4, rd: 0, rs1: 0, rs2: 0, rs3: 0, rm: 7, imm: 0 }
}
