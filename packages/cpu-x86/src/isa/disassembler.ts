import type { Address } from '../decode/modrm.ts'
import { type Decoded, MAX_LENGTH, decode } from '../decode/decoder.ts'
import type { Mode, Size } from './form.ts'
import { registerName, segmentNames } from './names.ts'
import { bytesOf, isMmx, isVector, operandBytes, type OperandKind } from './operand.ts'

/** One disassembled instruction. */
export interface Disassembled {
  /** In Intel's syntax; bytes that are no instruction read as `(bad)`. */
  readonly text: string
  /** Bytes it takes; 1 of bytes that are none. */
  readonly length: number
}

const widths: Readonly<Record<number, string>> = { 1: 'byte ptr ', 2: 'word ptr ', 4: 'dword ptr ', 8: 'qword ptr ', 10: 'tbyte ptr ', 16: 'xmmword ptr ', 32: 'ymmword ptr ' }

/** The instruction at the start of `bytes`, which stands at address `pc`. */
export function disassemble(bytes: Uint8Array, mode: Mode, pc: bigint = 0n): Disassembled {
  const decoded = decode(bytes.subarray(0, MAX_LENGTH), mode)
  if (typeof decoded === 'string') return { text: '(bad)', length: 1 }
  return { text: textOf(decoded, pc), length: decoded.length }
}

const sized: Readonly<Record<string, readonly [string, string, string]>> = { cbw: ['cbw', 'cwde', 'cdqe'], cwd: ['cwd', 'cdq', 'cqo'] }
/** Names of what moves a general register of 64 bits, or has addresses of 64 bits. */
const quadword: Readonly<Record<string, string>> = {
  movd: 'movq', pinsrd: 'pinsrq', pextrd: 'pextrq', pcmpestrm: 'pcmpestrmq', pcmpestri: 'pcmpestriq', ...Object.fromEntries(['fxsave', 'fxrstor', 'xsave', 'xsaveopt', 'xsavec', 'xrstor'].map((name) => [name, `${name}64`])),
}
/** Instructions whose operands are implied, and whose size is a letter. */
const lettered: ReadonlySet<string> = new Set(['movs', 'stos', 'lods', 'cmps', 'scas', 'ins', 'outs'])
const letters: Readonly<Record<Size, string>> = { 1: 'b', 2: 'w', 4: 'd', 8: 'q' }

function mnemonic({ form, operandSize, addressSize }: Decoded): string {
  const { name } = form.instruction
  const bySize = sized[name]?.[Math.log2(operandSize) - 1]
  if (bySize !== undefined) return bySize
  if (name === 'jrcxz') return addressSize === 8 ? 'jrcxz' : addressSize === 4 ? 'jecxz' : 'jcxz'
  const wide = operandSize === 8 ? quadword[name.replace(/^v/, '')] : undefined
  if (wide !== undefined) return name.startsWith('v') ? `v${wide}` : wide
  if (name === 'cmpxchg8b' && operandSize === 8) return 'cmpxchg16b'
  if ((name === 'iret' || name === 'retf') && operandSize === 8) return `${name}q`
  return lettered.has(name) ? name + letters[form.operands.some(({ size }) => size === 'b') ? 1 : (name === 'ins' || name === 'outs') && operandSize === 8 ? 4 : operandSize] : name
}

function textOf(decoded: Decoded, pc: bigint): string {
  const { form, operandSize, rex, reg, rm, vvvv, vector, address, immediates, length, repeat, lock } = decoded
  const prefix = (lock ? 'lock ' : '') + (repeat === 'none' ? '' : form.repeat === 'rep' ? 'rep ' : `${repeat} `)
  const name = mnemonic(decoded)
  if (lettered.has(form.instruction.name)) return prefix + name
  const next = pc + BigInt(length)
  let taken = 0
  const operands = form.operands.map(({ kind, size, register }) => {
    if (kind === 'mem' && address && 'otxhfen'.includes(size)) return width(decoded, operandBytes(size, operandSize, vector)) + addressText(address, decoded, next)
    const bytes = vectorKinds.has(kind) ? 8 : bytesOf(size, operandSize)
    switch (kind) {
      case 'vrm':
      case 'mrm':
        if (address) return width(decoded, operandBytes(size, operandSize, vector)) + addressText(address, decoded, next)
        return vectorName(kind, rm, size === 'x' ? vector : 16)
      case 'vreg':
      case 'mreg': return vectorName(kind, reg, size === 'x' ? vector : 16)
      case 'vvvv': return vectorName(kind, vvvv, size === 'x' ? vector : 16)
      case 'vimm': return vectorName(kind, Number((immediates[taken++] ?? 0n) >> 4n) & 15, size === 'x' ? vector : 16)
      case 'vrmreg':
      case 'mrmreg': return vectorName(kind, rm, size === 'x' ? vector : 16)
      case 'stack': return `st(${rm})`
      case 'rmreg': return registerName(rm, bytes, true)
      case 'vvvvreg': return registerName(vvvv, bytes, true)
      case 'reg': return registerName(reg, bytes, rex)
      case 'opreg': return registerName(rm, bytes, rex)
      case 'fixed': return registerName(register, bytes, rex)
      case 'control': return `cr${reg}`
      case 'debug': return `dr${reg}`
      case 'sreg': return segmentNames[reg] ?? ''
      case 'segment': return segmentNames[register] ?? ''
      case 'one': return '1'
      case 'rel': return hex(BigInt.asUintN(operandSize * 8, next + (immediates[taken++] ?? 0n)))
      // An immediate is shown as wide as the operation takes it.
      case 'imm': return hex(BigInt.asUintN(immediateBits(decoded, bytes), immediates[taken++] ?? 0n))
      case 'rm':
      case 'mem':
      case 'offset': {
        if (!address) return registerName(rm, bytes, rex)
        const odd = name === 'lea' ? '' : form.instruction.group === 'far' && kind === 'mem' ? 'far ptr ' : form.operands.some((other) => other.kind === 'sreg') ? 'word ptr ' : name === 'cmpxchg16b' ? 'xmmword ptr ' : name === 'cmpxchg8b' ? 'qword ptr ' : null
        return (odd === null ? width(decoded, bytes) : odd + override(decoded)) + addressText(address, decoded, next)
      }
      case 'si':
      case 'di': return ''
    }
  })
  // A far pointer is written selector first.
  const far = form.instruction.group === 'far' && (name === 'call' || name === 'jmp') && operands.length === 2
  return `${prefix}${name}${operands.length === 0 ? '' : ' '}${far ? operands.reverse().join(':') : operands.join(', ')}`
}

const vectorKinds: ReadonlySet<OperandKind> = new Set([...isVector, ...isMmx, 'stack'])

function vectorName(kind: OperandKind, number: number, bytes: number): string {
  return isMmx.has(kind) ? `mm${number}` : `${bytes === 32 ? 'ymm' : 'xmm'}${number}`
}

/** The width of a memory operand, and its segment where that is not the usual one. */
function width(decoded: Decoded, bytes: number): string {
  return (widths[bytes] ?? '') + override(decoded)
}

function override({ segment, address }: Decoded): string {
  return segment >= 4 || segment !== (address?.onStack === true ? 2 : 3) ? `${segmentNames[segment] ?? ''}:` : ''
}

function immediateBits(decoded: Decoded, bytes: number): number {
  const { form, operandSize } = decoded
  const first = form.operands[0]
  const alone = ['shifts', 'bits', 'decimal'].includes(form.instruction.group) || form.instruction.name === 'enter'
  if (alone || first === undefined || decoded.form.strict || decoded.form.vex) return bytes * 8
  return first.kind === 'imm' && first.size === 'w' ? 16 : bytesOf(first.kind === 'imm' ? 'v' : first.size, operandSize) * 8
}

function addressText({ base, index, scale, displacement, relative }: Address, { addressSize, form, vector }: Decoded, next: bigint): string {
  const terms: string[] = []
  if (base >= 0) terms.push(registerName(base, addressSize, true))
  if (form.vsib) terms.push(`${vectorName('vreg', index, form.opcode & 1 || form.operands[1]?.size === 'd' ? vector : 16)}*${1 << scale}`)
  else if (index >= 0) terms.push(registerName(index, addressSize, true) + (addressSize === 2 ? '' : `*${1 << scale}`))
  const absolute = BigInt.asUintN(addressSize * 8, displacement + (relative ? next : 0n))
  if (terms.length === 0) return `[${relative ? 'rel ' : ''}${hex(absolute)}]`
  const sign = displacement < 0n ? '-' : '+'
  return `[${terms.join('+')}${displacement === 0n ? '' : sign + hex(displacement < 0n ? -displacement : displacement)}]`
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`
}
