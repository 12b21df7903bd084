import { machineError } from './errors.ts'
import type { Stage } from '../emit/stage.ts'
import { once } from '../once.ts'
import { inModrm, isMmx, isVector, type Operand, parseOperand, type VectorSize } from './operand.ts'

/** Bytes of an integer operand. */
export type Size = 1 | 2 | 4 | 8

/** Bits of a code segment: 16 and 32 by CS.D, 64 by CS.L (SDM volume 3, 3.4.5). */
export type Mode = 16 | 32 | 64

/** Flags by the letters that the manuals' tables use: o, s, z, a, p, c. */
export type FlagLetters = string

/** What a name stands for: every encoding of it, and its one meaning. */
export interface Instruction {
  readonly name: string
  readonly group: string
  readonly forms: readonly Form[]
  /** Flags that the manuals leave undefined, and on which processors differ. */
  readonly undefinedFlags: FlagLetters
  readonly semantics: (s: Stage) => void
}

/** One encoding of an instruction, as a row of SDM volume 2, appendix A. */
export interface Form {
  readonly instruction: Instruction
  /** 0: one byte; 1: 0F; 2: 0F 38; 3: 0F 3A. */
  readonly map: 0 | 1 | 2 | 3
  readonly opcode: number
  /** The prefix that is part of the opcode: 0x66, 0xf2 or 0xf3. */
  readonly prefix: number
  /** No other of those prefixes may stand before it. */
  readonly strict: boolean
  /** Encoded with VEX (SDM volume 2, 2.3); `length` is the only one it has, W the only value of that bit. */
  readonly vex: { readonly length: VectorSize | null; readonly ignoresLength: boolean; readonly w: 0 | 1 | null } | null
  /** The low three bits of the opcode are a register. */
  readonly inOpcode: boolean
  /** ModRM.reg, when it extends the opcode. */
  readonly digit: number | null
  readonly modrm: boolean
  /** The whole of ModRM, when that extends the opcode. */
  readonly fixedModrm: number | null
  readonly operands: readonly Operand[]
  /** The modes that have it. */
  readonly modes: readonly Mode[]
  /** `d64`: 64 bits unless 66 makes it 16. `f64`: 64 bits whatever the prefixes say. Both in 64-bit mode only. */
  readonly size64: 'd64' | 'f64' | null
  /** It has the size of the mode, and no other: 8 bytes in 64-bit mode, 4 elsewhere. */
  readonly natural: boolean
  /** LOCK may stand before it when its first operand is memory. */
  readonly lock: boolean
  /** It reads rSI, rDI or rCX by the address size. */
  readonly counted: boolean
  /** It heeds REP, or REPE and REPNE. */
  readonly repeat: 'rep' | 'repe' | null
  /** Among instructions whose operands are no general registers: the operand size matters nevertheless. */
  readonly wide: boolean
  /** Its memory operand must be aligned. */
  readonly aligned: boolean
  /** The index of its memory operand is a vector (SDM volume 2, 2.3.12, VSIB). */
  readonly vsib: boolean
}

/** A short list of words on an encoding, after a semicolon. */
interface Words {
  readonly lock?: boolean
  readonly undefinedFlags?: FlagLetters
  readonly repeat?: 'rep' | 'repe'
}

/**
 * Declares a group of instructions. An encoding reads `F3.0F.B8 Gv Ev; only64`: mandatory prefix, map, opcode (`+r` for a
 * register in it, `/n` for an opcode extension, `:D0` for a ModRM), operands in the manual's letters, words. `NP` is for no prefix, and
 * `VEX.L0.66.0F.W1.6E` for VEX, with its length (`L0`, `L1`, `LIG`) and W where they are given.
 */
export function group(name: string): {
  readonly instructions: Instruction[]
  define(name: string, encodings: readonly string[], semantics: (s: Stage) => void, words?: Words): void
} {
  const instructions: Instruction[] = []
  return {
    instructions,
    define(mnemonic, encodings, semantics, words = {}) {
      const forms = once(() => encodings.map((encoding) => parseForm(instruction, encoding, words)))
      const instruction: Instruction = { name: mnemonic, group: name, get forms() { return forms() }, undefinedFlags: words.undefinedFlags ?? '', semantics }
      instructions.push(instruction)
    },
  }
}

const maps: Readonly<Record<string, 1 | 2 | 3>> = { '0F': 1, '0F38': 2, '0F3A': 3 }

function parseForm(instruction: Instruction, text: string, words: Words): Form {
  const [pattern = '', attributes = ''] = text.split(';')
  const [code = '', ...names] = pattern.trim().split(' ')
  const match = /^(VEX\.)?(?:(L0|L1|LIG)\.)?(?:(NP|66|F2|F3)\.)?(?:(0F|0F38|0F3A)\.)?(?:W([01])\.)?([0-9A-F]{2})(\+r)?(?:\/([0-7r]))?(?::([0-9A-F]{2}))?$/.exec(code)
  if (!match) throw machineError('encoding', text, 'is not an encoding', 'Write it as F3.0F.B8 Gv Ev')
  const [, vex, length, prefix = '0', map = '', w, opcode = '', inOpcode, digit, fixedModrm] = match
  const operands = names.map(parseOperand)
  const has = (word: string): boolean => attributes.trim().split(' ').includes(word)
  return {
    instruction,
    map: maps[map] ?? 0,
    opcode: parseInt(opcode, 16),
    prefix: prefix === 'NP' ? 0 : parseInt(prefix, 16),
    strict: prefix === 'NP' || operands.some(({ kind }) => isVector.has(kind) || isMmx.has(kind)),
    vex: vex === undefined ? null : { length: length === 'L0' ? 16 : length === 'L1' ? 32 : null, ignoresLength: length === 'LIG', w: w === undefined ? null : w === '1' ? 1 : 0 },
    inOpcode: inOpcode !== undefined,
    digit: digit === undefined || digit === 'r' ? null : Number(digit),
    modrm: digit !== undefined || fixedModrm !== undefined || operands.some(({ kind }) => inModrm.has(kind)),
    fixedModrm: fixedModrm === undefined ? null : parseInt(fixedModrm, 16),
    operands,
    modes: has('only64') ? [64] : has('not64') ? [16, 32] : [16, 32, 64],
    size64: has('d64') ? 'd64' : has('f64') ? 'f64' : null,
    natural: has('natural'),
    lock: words.lock === true && operands[0]?.kind === 'rm' || operands[0]?.kind === 'mem' && words.lock === true,
    counted: has('counted') || operands.some(({ kind }) => kind === 'si' || kind === 'di'),
    repeat: words.repeat ?? null,
    wide: has('wide') || operands.some(({ size }) => size === 'y'),
    aligned: has('aligned') || vex === undefined && !has('unaligned') && operands.some(({ kind, size }) => (kind === 'vrm' || kind === 'mem') && (size === 'x' || size === 'o')),
    vsib: has('vsib'),
  }
}

/** Whether it is of the x87 FPU: its opcodes are those from D8 to DF (SDM volume 2, A.5). */
export function isX87(form: Form): boolean {
  return form.map === 0 && form.vex === null && form.opcode >= 0xd8 && form.opcode <= 0xdf
}

/** Whether it may have to do with floating-point numbers. */
export function usesFloat(form: Form): boolean {
  return form.strict || form.vex !== null || isX87(form)
}

/** Operand sizes that the prefixes choose between, in a mode; one alone when the encoding fixes it. */
export function operandSizes(form: Form, mode: Mode): readonly Size[] {
  if (form.natural) return [mode === 64 ? 8 : 4]
  const [first] = form.operands
  if (form.vex) return mode === 64 && form.vex.w === null && form.wide ? [4, 8] : [4]
  if (form.strict) return mode === 64 && form.wide ? [4, 8] : [4]
  if (isX87(form)) return form.wide ? [2, 4] : [4]
  if (first && first.kind !== 'imm' && first.kind !== 'rel' && form.operands.every(({ size }) => size === 'b')) return [1]
  if (mode !== 64) return [2, 4]
  return form.size64 === 'f64' ? [8] : form.size64 === 'd64' ? [2, 8] : [2, 4, 8]
}
