import { type Form, type Mode, operandSizes, type Size } from '../isa/form.ts'
import { bytesOf } from '../isa/operand.ts'
import { formsOf } from '../isa/table.ts'
import { Cursor } from './cursor.ts'
import { type Address, readModrm } from './modrm.ts'
import { readPrefixes } from './prefixes.ts'

/** The most bytes that an instruction may have (SDM volume 2, 2.3.11). */
export const MAX_LENGTH = 15

/** An instruction, taken apart. */
export interface Decoded {
  readonly form: Form
  readonly mode: Mode
  readonly operandSize: Size
  readonly addressSize: 2 | 4 | 8
  /** `repe` is REP as well. */
  readonly repeat: 'none' | 'repe' | 'repne'
  readonly lock: boolean
  /** Whether there was a REX prefix, with which byte registers 4 to 7 are SPL to DIL. */
  readonly rex: boolean
  /** ModRM.reg with REX.R. */
  readonly reg: number
  /** A register of ModRM.rm or of the opcode, with REX.B. */
  readonly rm: number
  /** Null when ModRM.rm is a register. */
  readonly address: Address | null
  /** By the prefix, or the one that the address has by default. */
  readonly segment: number
  /** In order; as many as the form has. */
  readonly immediates: readonly bigint[]
  readonly length: number
}

/** Why bytes are no instruction: #UD; too long, which is #GP(0); or the bytes end too early. */
export type Undecoded = 'invalid' | 'long' | 'short'

/** Takes the instruction at the start of `bytes` apart (SDM volume 2, chapter 2). */
export function decode(bytes: Uint8Array, mode: Mode): Decoded | Undecoded {
  const cursor = new Cursor(bytes.subarray(0, MAX_LENGTH))
  const decoded = decodeFrom(cursor, mode)
  if (cursor.over) return bytes.length >= MAX_LENGTH ? 'long' : 'short'
  return decoded
}

function decodeFrom(cursor: Cursor, mode: Mode): Decoded | Undecoded {
  const prefixes = readPrefixes(cursor, mode)
  let opcode = cursor.byte()
  let map = 0
  if (opcode === 0x0f) {
    opcode = cursor.byte()
    map = 1
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3
      opcode = cursor.byte()
    }
  }
  const { rex } = prefixes
  const candidates = formsOf(map, opcode)
  const wantsModrm = candidates.some(({ modrm }) => modrm)
  const modrm = wantsModrm ? cursor.peek() : 0
  const form = candidates.find((candidate) => {
    if (!candidate.modes.includes(mode)) return false
    if (candidate.prefix === 0x66 ? !prefixes.operand : candidate.prefix !== 0 && candidate.prefix !== prefixes.repeat) return false
    if (candidate.digit !== null && candidate.digit !== ((modrm >> 3) & 7)) return false
    if (modrm >= 0xc0 && candidate.operands.some(({ kind }) => kind === 'mem')) return false
    // There are six segment registers, and CS is not loaded by MOV.
    const sreg = candidate.operands.findIndex(({ kind }) => kind === 'sreg')
    if (sreg >= 0 && (((modrm >> 3) & 7) > 5 || sreg === 0 && ((modrm >> 3) & 7) === CS)) return false
    // 90 is NOP or PAUSE, unless REX.B makes it XCHG R8, rAX.
    return map !== 0 || opcode !== 0x90 || candidate.inOpcode === ((rex & 1) !== 0)
  })
  if (form === undefined) return 'invalid'

  const addressSize = mode === 64 ? (prefixes.address ? 4 : 8) : (mode === 32) !== prefixes.address ? 4 : 2
  const sizes = operandSizes(form, mode)
  const operandSize = sizes.length === 1 ? sizes[0] ?? 1 : chooseSize(form, mode, rex, prefixes.operand && form.prefix !== 0x66)
  let reg = 0
  let rm = form.inOpcode ? (opcode & 7) | (rex & 1) << 3 : 0
  let address: Address | null = null
  let defaultSegment = DS
  if (form.modrm) {
    cursor.byte()
    // REX.R adds nothing to a segment register's number.
    reg = ((modrm >> 3) & 7) | (form.operands.some(({ kind }) => kind === 'sreg') ? 0 : (rex & 4) << 1)
    if (modrm >= 0xc0) rm = (modrm & 7) | (rex & 1) << 3
    else {
      address = readModrm(cursor, modrm, { mode, addressSize, rex })
      if (address.onStack) defaultSegment = SS
    }
  }
  const immediates: bigint[] = []
  for (const { kind, size } of form.operands) {
    if (kind === 'offset') address = { base: -1, index: -1, scale: 0, displacement: cursor.unsigned(addressSize), relative: false, onStack: false }
    // Near branches have 32 bits of displacement in 64-bit mode, and 16 by the operand size in the others.
    if (kind === 'imm' || kind === 'rel') immediates.push(cursor.signed(bytesOf(size, operandSize)))
  }
  if (prefixes.lock && !(form.lock && address !== null)) return 'invalid'
  return {
    form, mode, operandSize, addressSize, repeat: form.repeat === null ? 'none' : repeatOf(prefixes.repeat), lock: prefixes.lock, rex: rex !== 0,
    reg, rm, address, segment: segmentOf(prefixes.segment, defaultSegment, mode), immediates, length: cursor.position,
  }
}

const CS = 1
const SS = 2
const DS = 3
const FS = 4

function chooseSize(form: Form, mode: Mode, rex: number, operand: boolean): Size {
  if (mode !== 64) return (mode === 32) !== operand ? 4 : 2
  if ((rex & 8) !== 0) return 8
  return operand ? 2 : form.size64 === 'd64' ? 8 : 4
}

function repeatOf(prefix: number): Decoded['repeat'] {
  return prefix === 0xf3 ? 'repe' : prefix === 0xf2 ? 'repne' : 'none'
}

/** In 64-bit mode only FS and GS have bases, and prefixes of the others do nothing. */
function segmentOf(prefix: number, byDefault: number, mode: Mode): number {
  return prefix < 0 || mode === 64 && prefix < FS ? byDefault : prefix
}
