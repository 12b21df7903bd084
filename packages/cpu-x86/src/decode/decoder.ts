import { type Form, type Mode, operandSizes, type Size } from '../isa/form.ts'
import { bytesOf, onlyRegister, type Operand, type OperandKind, type VectorSize } from '../isa/operand.ts'
import { formsOf } from '../isa/table.ts'
import { Cursor } from './cursor.ts'
import { type Address, readModrm } from './modrm.ts'
import { type Prefixes, readPrefixes } from './prefixes.ts'
import { readVex, type Vex } from './vex.ts'

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
  /** VEX.vvvv, a register; 0 without VEX. And its length. */
  readonly vvvv: number
  readonly vector: VectorSize
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

/**
 * Takes the instruction apart that begins at `from` in `bytes` (SDM volume 2, chapter 2).
 *
 * @param lacks - encodings that the processor has not
 * @param end - where the bytes end that there are
 */
export function decode(bytes: Uint8Array, mode: Mode, lacks: ReadonlySet<Form> = NOTHING, from: number = 0, end: number = bytes.length): Decoded | Undecoded {
  const cursor = new Cursor(bytes, from, Math.min(end, from + MAX_LENGTH))
  const decoded = decodeFrom(cursor, mode, lacks)
  if (cursor.over) return end - from >= MAX_LENGTH ? 'long' : 'short'
  return decoded
}

const NOTHING: ReadonlySet<Form> = new Set()

/** A form, and what follows from its operands. */
interface Shape {
  readonly form: Form
  readonly control: boolean
  /** Bits of REX that are part of ModRM.reg and ModRM.rm: they add nothing to the number of a segment register, an MMX register or ST(i). */
  readonly reg: number
  readonly rm: number
  /** Operands that have bytes behind ModRM. */
  readonly behind: readonly Operand[]
  readonly sizes: Readonly<Record<Mode, readonly Size[]>>
}

const shapes = new Map<Form, Shape>()

function shapeOf(form: Form): Shape {
  const known = shapes.get(form)
  if (known) return known
  const few = (...kinds: readonly OperandKind[]): boolean => form.operands.some(({ kind }) => kinds.includes(kind))
  const shape: Shape = {
    form,
    control: ofControl(form),
    reg: few('sreg', 'mreg') ? 0 : 4,
    rm: few('mrm', 'mrmreg', 'stack') ? 0 : 1,
    behind: form.operands.filter(({ kind }) => behindModrm.has(kind)),
    sizes: { 16: operandSizes(form, 16), 32: operandSizes(form, 32), 64: operandSizes(form, 64) },
  }
  shapes.set(form, shape)
  return shape
}

const behindModrm: ReadonlySet<OperandKind> = new Set(['offset', 'imm', 'rel', 'vimm'])

/** What a form is chosen by besides the opcode, `rex` and `modrm` as they are. */
interface Chosen {
  readonly map: number
  readonly opcode: number
  readonly mode: Mode
  readonly prefixes: Prefixes
  readonly vex: Vex | null
  readonly rex: number
  readonly modrm: number
}

function findForm(candidates: readonly Form[], lacks: ReadonlySet<Form>, { map, opcode, mode, prefixes, vex, rex, modrm }: Chosen): Form | undefined {
  return candidates.find((candidate) => {
    if (!candidate.modes.includes(mode) || lacks.has(candidate)) return false
    if (!(vex ? suitsVex(candidate, vex, mode) : suitsPrefixes(candidate, prefixes))) return false
    if (candidate.fixedModrm !== null && candidate.fixedModrm !== modrm) return false
    if (modrm < 0xc0 && !ofControl(candidate) && candidate.operands.some(({ kind }) => onlyRegister.has(kind))) return false
    if (candidate.digit !== null && candidate.digit !== ((modrm >> 3) & 7)) return false
    if (modrm >= 0xc0 && candidate.operands.some(({ kind }) => kind === 'mem')) return false
    // There are six segment registers, and CS is not loaded by MOV.
    const sreg = candidate.operands.findIndex(({ kind }) => kind === 'sreg')
    if (sreg >= 0 && (((modrm >> 3) & 7) > 5 || sreg === 0 && ((modrm >> 3) & 7) === CS)) return false
    // 90 is NOP or PAUSE, unless REX.B makes it XCHG R8, rAX.
    return map !== 0 || opcode !== 0x90 || candidate.inOpcode === ((rex & 1) !== 0)
  })
}

/** Shapes by what they were chosen by; no more than `MOST_FOUND`, whatever bytes a guest has. */
const found = new WeakMap<ReadonlySet<Form>, Map<number, Shape | null>>()
const MOST_FOUND = 8192

/** The form without VEX, or null. It is looked for once. */
function chosenForm(candidates: readonly Form[], lacks: ReadonlySet<Form>, chosen: Chosen): Shape | null {
  const { map, opcode, mode, prefixes: { operand, repeat }, rex, modrm } = chosen
  let known = found.get(lacks)
  if (known === undefined) found.set(lacks, known = new Map())
  const how = (mode === 64 ? 2 : mode === 32 ? 1 : 0) | (rex & 1) << 2 | (operand ? 8 : 0) | (repeat === 0 ? 0 : repeat === 0xf2 ? 16 : 32)
  const key = ((map << 8 | opcode) << 8 | modrm) << 6 | how
  let shape = known.get(key)
  if (shape === undefined) {
    const form = findForm(candidates, lacks, chosen)
    if (known.size >= MOST_FOUND) known.clear()
    known.set(key, shape = form === undefined ? null : shapeOf(form))
  }
  return shape
}

/** Whether ModRM follows an opcode, by `formsOf`. */
const withModrm = new Map<readonly Form[], boolean>()

function hasModrm(candidates: readonly Form[]): boolean {
  let known = withModrm.get(candidates)
  if (known === undefined) {
    known = candidates.some(({ modrm }) => modrm)
    if (candidates.length > 0) withModrm.set(candidates, known)
  }
  return known
}

function decodeFrom(cursor: Cursor, mode: Mode, lacks: ReadonlySet<Form>): Decoded | Undecoded {
  const prefixes = readPrefixes(cursor, mode)
  let opcode = cursor.byte()
  let map = 0
  const vex = opcode === 0xc4 || opcode === 0xc5 ? readVex(cursor, opcode, mode) : null
  if (vex) {
    // No prefix that VEX has a field for may stand before it (SDM volume 2, 2.3.2 to 2.3.4).
    if (prefixes.rex !== 0 || prefixes.operand || prefixes.repeat !== 0 || prefixes.lock) return 'invalid'
    map = vex.map
    opcode = cursor.byte()
  } else if (opcode === 0x0f) {
    opcode = cursor.byte()
    map = 1
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3
      opcode = cursor.byte()
    }
  }
  const rex = vex ? vex.rex : prefixes.rex
  const candidates = formsOf(map, opcode, vex !== null)
  const modrm = hasModrm(candidates) ? cursor.peek() : 0
  const chosenBy = { map, opcode, mode, prefixes, vex, rex, modrm }
  const ofVex = vex ? findForm(candidates, lacks, chosenBy) : undefined
  const shape = vex ? ofVex && shapeOf(ofVex) : chosenForm(candidates, lacks, chosenBy)
  if (!shape) return 'invalid'
  const { form } = shape

  const addressSize = mode === 64 ? (prefixes.address ? 4 : 8) : (mode === 32) !== prefixes.address ? 4 : 2
  if (form.vsib && (addressSize === 2 || (modrm & 7) !== SIB)) return 'invalid'
  const sizes = shape.sizes[mode]
  const chosen = sizes.length === 1 ? sizes[0] ?? 1 : vex ? (rex & 8) !== 0 ? 8 : 4 : chooseSize(form, mode, rex, prefixes.operand && form.prefix !== 0x66)
  // REX.W says nothing to what has no 64 bits.
  const operandSize = sizes.includes(chosen) ? chosen : sizes.at(-1) ?? 4
  let reg = 0
  let rm = form.inOpcode ? (opcode & 7) | (rex & 1) << 3 : 0
  let address: Address | null = null
  let defaultSegment = DS
  if (form.modrm) {
    cursor.byte()
    reg = ((modrm >> 3) & 7) | (rex & shape.reg) << 1
    if (modrm >= 0xc0 || shape.control) rm = (modrm & 7) | (rex & shape.rm) << 3
    else {
      address = readModrm(cursor, modrm, { mode, addressSize, rex, vsib: form.vsib })
      if (address.onStack) defaultSegment = SS
    }
  }
  const immediates: bigint[] = []
  for (const { kind, size } of shape.behind) {
    if (kind === 'offset') address = { base: -1, index: -1, scale: 0, displacement: cursor.unsigned(addressSize), relative: false, onStack: false }
    // Near branches have 32 bits of displacement in 64-bit mode, and 16 by the operand size in the others.
    else immediates.push(cursor.signed(bytesOf(kind === 'vimm' ? 'b' : size, operandSize)))
  }
  if (prefixes.lock && !(form.lock && address !== null)) return 'invalid'
  return {
    form, mode, operandSize, addressSize, repeat: form.repeat === null ? 'none' : repeatOf(prefixes.repeat), lock: prefixes.lock, rex: rex !== 0,
    reg, rm, vvvv: vex?.vvvv ?? 0, vector: vex?.vector ?? 16, address, segment: segmentOf(prefixes.segment, defaultSegment, mode), immediates, length: cursor.position,
  }
}

function suitsPrefixes(form: Form, prefixes: Prefixes): boolean {
  if (form.strict) return form.prefix === (prefixes.repeat !== 0 ? prefixes.repeat : prefixes.operand ? 0x66 : 0)
  return form.prefix === 0x66 ? prefixes.operand : form.prefix === 0 || form.prefix === prefixes.repeat
}

function suitsVex(form: Form, vex: Vex, mode: Mode): boolean {
  const { length = null, ignoresLength = false, w = null } = form.vex ?? {}
  if (form.prefix !== vex.prefix || !ignoresLength && length !== null && length !== vex.vector) return false
  // W chooses the size of a general register, which is 32 bits outside 64-bit mode.
  if (w !== null && w !== (vex.rex >> 3) && !(mode !== 64 && form.operands.some(({ kind }) => kind === 'rm' || kind === 'reg'))) return false
  return vex.vvvv === 0 || form.operands.some(({ kind }) => kind === 'vvvv' || kind === 'vvvvreg')
}

/** MOV to and from control and debug registers has a register whatever ModRM.mod says (SDM volume 2, MOV). */
function ofControl(form: Form): boolean {
  return form.operands.some(({ kind }) => kind === 'control' || kind === 'debug')
}

/** ModRM.rm that says that SIB follows. */
const SIB = 4
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
