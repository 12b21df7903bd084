import type { Address } from '../decode/modrm.ts'
import { type Decoded, MAX_LENGTH, decode } from '../decode/decoder.ts'
import type { Mode, Size } from './form.ts'
import { registerName, segmentNames } from './names.ts'
import { bytesOf } from './operand.ts'

/** One disassembled instruction. */
export interface Disassembled {
  /** In Intel's syntax; bytes that are no instruction read as `(bad)`. */
  readonly text: string
  /** Bytes it takes; 1 of bytes that are none. */
  readonly length: number
}

const widths: Readonly<Record<Size, string>> = { 1: 'byte', 2: 'word', 4: 'dword', 8: 'qword' }

/** The instruction at the start of `bytes`, which stands at address `pc`. */
export function disassemble(bytes: Uint8Array, mode: Mode, pc: bigint = 0n): Disassembled {
  const decoded = decode(bytes.subarray(0, MAX_LENGTH), mode)
  if (typeof decoded === 'string') return { text: '(bad)', length: 1 }
  return { text: textOf(decoded, pc), length: decoded.length }
}

const sized: Readonly<Record<string, readonly [string, string, string]>> = { cbw: ['cbw', 'cwde', 'cdqe'], cwd: ['cwd', 'cdq', 'cqo'] }
/** Instructions whose operands are implied, and whose size is a letter. */
const lettered: ReadonlySet<string> = new Set(['movs', 'stos', 'lods', 'cmps', 'scas'])
const letters: Readonly<Record<Size, string>> = { 1: 'b', 2: 'w', 4: 'd', 8: 'q' }

function mnemonic({ form, operandSize, addressSize }: Decoded): string {
  const { name } = form.instruction
  const bySize = sized[name]?.[Math.log2(operandSize) - 1]
  if (bySize !== undefined) return bySize
  if (name === 'jrcxz') return addressSize === 8 ? 'jrcxz' : addressSize === 4 ? 'jecxz' : 'jcxz'
  if (name === 'cmpxchg8b' && operandSize === 8) return 'cmpxchg16b'
  if ((name === 'iret' || name === 'retf') && operandSize === 8) return `${name}q`
  return lettered.has(name) ? name + letters[form.operands[0]?.size === 'b' ? 1 : operandSize] : name
}

function textOf(decoded: Decoded, pc: bigint): string {
  const { form, operandSize, rex, reg, rm, address, segment, immediates, length, repeat, lock } = decoded
  const prefix = (lock ? 'lock ' : '') + (repeat === 'none' ? '' : form.repeat === 'rep' ? 'rep ' : `${repeat} `)
  const name = mnemonic(decoded)
  if (lettered.has(form.instruction.name)) return prefix + name
  const next = pc + BigInt(length)
  let taken = 0
  const operands = form.operands.map(({ kind, size, register }) => {
    const bytes = bytesOf(size, operandSize)
    switch (kind) {
      case 'reg': return registerName(reg, bytes, rex)
      case 'opreg': return registerName(rm, bytes, rex)
      case 'fixed': return registerName(register, bytes, rex)
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
        const width = name === 'lea' ? '' : form.instruction.group === 'far' && kind === 'mem' ? 'far ptr ' : form.operands.some((other) => other.kind === 'sreg') ? 'word ptr ' : name === 'cmpxchg16b' ? 'xmmword ptr ' : name === 'cmpxchg8b' ? 'qword ptr ' : `${widths[bytes]} ptr `
        return width + (segment >= 4 || segment !== (address.onStack ? 2 : 3) ? `${segmentNames[segment] ?? ''}:` : '') + addressText(address, decoded, next)
      }
      case 'si':
      case 'di': return ''
    }
  })
  // A far pointer is written selector first.
  const far = form.instruction.group === 'far' && (name === 'call' || name === 'jmp') && operands.length === 2
  return `${prefix}${name}${operands.length === 0 ? '' : ' '}${far ? operands.reverse().join(':') : operands.join(', ')}`
}

function immediateBits({ form, operandSize }: Decoded, bytes: number): number {
  const first = form.operands[0]
  const alone = ['shifts', 'bits', 'decimal'].includes(form.instruction.group) || form.instruction.name === 'enter'
  if (alone || first === undefined) return bytes * 8
  return first.kind === 'imm' && first.size === 'w' ? 16 : bytesOf(first.kind === 'imm' ? 'v' : first.size, operandSize) * 8
}

function addressText({ base, index, scale, displacement, relative }: Address, { addressSize }: Decoded, next: bigint): string {
  const terms: string[] = []
  if (base >= 0) terms.push(registerName(base, addressSize, true))
  if (index >= 0) terms.push(registerName(index, addressSize, true) + (addressSize === 2 ? '' : `*${1 << scale}`))
  const absolute = BigInt.asUintN(addressSize * 8, displacement + (relative ? next : 0n))
  if (terms.length === 0) return `[${relative ? 'rel ' : ''}${hex(absolute)}]`
  const sign = displacement < 0n ? '-' : '+'
  return `[${terms.join('+')}${displacement === 0n ? '' : sign + hex(displacement < 0n ? -displacement : displacement)}]`
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`
}
