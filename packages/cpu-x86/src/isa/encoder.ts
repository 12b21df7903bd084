import { machineError } from './errors.ts'
import { type Form, type Mode, operandSizes, type Size } from './form.ts'
import { bytesOf, type VectorSize } from './operand.ts'

/** A memory operand for the assembler; what is left out is not there. */
export interface MemoryOperand {
  readonly base?: number
  readonly index?: number
  /** 0 to 3: the index is taken 1, 2, 4 or 8 times. */
  readonly scale?: number
  /** Signed 32 bits. */
  readonly displacement?: number
}

/** What of an encoding is to be chosen. */
export interface EncodeOptions {
  readonly mode: Mode
  readonly operandSize?: Size
  /** ModRM.reg. */
  readonly reg?: number
  /** ModRM.rm as a register, or memory with addresses as wide as the mode's (4 bytes in 16-bit mode). */
  readonly rm?: number | MemoryOperand
  readonly immediates?: readonly bigint[]
  /** Whether to have a REX prefix that says nothing, so that byte registers 4 to 7 are SPL to DIL. */
  readonly rex?: boolean
  readonly lock?: boolean
  readonly repeat?: 0xf2 | 0xf3
  /** A register of VEX.vvvv. */
  readonly vvvv?: number
  /** VEX.L, where the form leaves it open: 16 or 32 bytes. */
  readonly vector?: VectorSize
}

/**
 * The bytes of one form of an instruction (SDM volume 2, chapter 2).
 *
 * @throws `'encoding'` when the mode does not have the form or the operand size
 */
export function encode(form: Form, options: EncodeOptions): Uint8Array<ArrayBuffer> {
  const { mode, reg = form.digit ?? 0, rm = 0, immediates = [], lock = false, repeat } = options
  const { name } = form.instruction
  if (!form.modes.includes(mode)) throw machineError(name, mode, 'it does not exist in this mode', 'Choose another form')
  const sizes = operandSizes(form, mode)
  const usual = mode === 16 ? 2 : form.size64 !== null && mode === 64 ? 8 : 4
  const operandSize = options.operandSize ?? (sizes.includes(usual) ? usual : sizes[0] ?? 1)
  if (!sizes.includes(operandSize)) throw machineError(name, operandSize, 'it has no such operand size', `Use one of ${sizes.join(', ')}`)
  const memory = typeof rm === 'object' ? rm : null
  if (memory && !form.modrm && !form.operands.some(({ kind }) => kind === 'offset')) throw machineError(name, 'memory', 'it has no memory operand', 'Choose another form')

  const out: number[] = []
  if (lock) out.push(0xf0)
  if (repeat !== undefined) out.push(repeat)
  if (mode === 16 && memory && form.modrm) out.push(0x67)
  // A size of one alone is not chosen by prefixes.
  if (sizes.length > 1 && (mode === 16 ? operandSize === 4 : operandSize === 2)) out.push(0x66)
  if (form.prefix !== 0 && !form.vex) out.push(form.prefix)
  const wide = sizes.length > 1 && operandSize === 8 && form.size64 !== 'd64'
  const high = (number: number | undefined): number => (number ?? 0) >> 3
  const base = memory ? high(memory.base) : high(rm as number)
  const rex = (wide ? 8 : 0) | high(reg) << 2 | (memory ? high(memory.index) << 1 : 0) | base
  if (mode !== 64 && (rex !== 0 || options.rex === true)) throw machineError(name, rex, 'REX is of 64-bit mode', 'Use registers 0 to 7')
  if (form.vex) out.push(...vexBytes(form, rex, options))
  else {
    if (rex !== 0 || options.rex === true) out.push(0x40 | rex)
    if (form.map > 0) out.push(0x0f)
    if (form.map > 1) out.push(form.map === 2 ? 0x38 : 0x3a)
  }
  out.push(form.opcode | (form.inOpcode ? (rm as number) & 7 : 0))
  if (form.fixedModrm !== null) out.push(form.fixedModrm)
  else if (form.modrm) {
    if (memory) writeMemory(out, reg & 7, memory, mode)
    else out.push(0xc0 | (reg & 7) << 3 | (rm as number) & 7)
  }
  const immediate = (value: bigint, size: number): void => {
    for (let i = 0; i < size; i++) out.push(Number(BigInt.asUintN(8, value >> BigInt(8 * i))))
  }
  let taken = 0
  for (const { kind, size } of form.operands) {
    if (kind === 'imm' || kind === 'rel' || kind === 'vimm') immediate(immediates[taken++] ?? 0n, bytesOf(kind === 'vimm' ? 'b' : size, operandSize))
    if (kind === 'offset') immediate(BigInt(memory?.displacement ?? 0), mode / 8)
  }
  return Uint8Array.from(out)
}

/** VEX with its two bytes where those say enough (SDM volume 2, 2.3.5). */
function vexBytes(form: Form, rex: number, { vvvv = 0, vector = 16 }: EncodeOptions): number[] {
  const w = form.vex?.w ?? rex >> 3
  const length = form.vex?.length ?? vector
  const last = (~vvvv & 15) << 3 | (length === 32 ? 4 : 0) | [0, 0x66, 0xf3, 0xf2].indexOf(form.prefix)
  return form.map === 1 && w === 0 && (rex & 3) === 0 ? [0xc5, (rex & 4 ? 0 : 0x80) | last] : [0xc4, (~rex & 7) << 5 | form.map, w << 7 | last]
}

const SIB = 4
const RSP = 4
const RBP = 5

/** Addresses of 4 or 8 bytes (SDM volume 2, tables 2-2 and 2-3), with the shortest displacement. */
function writeMemory(out: number[], reg: number, memory: MemoryOperand, mode: Mode): void {
  const { base, index, scale = 0, displacement = 0 } = memory
  const displace = (size: number): void => {
    for (let i = 0; i < size; i++) out.push((displacement >> 8 * i) & 255)
  }
  if (base === undefined) {
    // With SIB, so that in 64-bit mode it is not relative to the next instruction.
    if (index === undefined && mode !== 64) out.push(reg << 3 | 5)
    else out.push(reg << 3 | SIB, scale << 6 | ((index ?? RSP) & 7) << 3 | 5)
    displace(4)
    return
  }
  const size = displacement === 0 && (base & 7) !== RBP ? 0 : displacement >= -128 && displacement < 128 ? 1 : 4
  const mod = (size === 4 ? 2 : size) << 6
  if (index === undefined && (base & 7) !== RSP) out.push(mod | reg << 3 | (base & 7))
  else out.push(mod | reg << 3 | SIB, scale << 6 | ((index ?? RSP) & 7) << 3 | (base & 7))
  displace(size)
}
