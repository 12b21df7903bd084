import { csrIndex } from './emit/csr/order.ts'
import { handlerOf, OP_FIELD, variantOf } from './handlers.ts'
import { decode, type Decoded, emptyDecoded, instructions } from './isa/decoder.ts'

/** What {@link writeOp} tells of the instruction: its length, plus {@link ENDS_BLOCK} where control does not simply go on. */
export const LENGTH = 7
export const ENDS_BLOCK = 8
/** The same, of an instruction with a target that may be in its own page. */
export const HAS_TARGET = 16

const blockEnds: ReadonlySet<string> = new Set(['jal', 'jalr', 'mret', 'sret', 'illegal', 'ecall', 'ebreak'])

/** What is told of an instruction. */
export function infoOf({ number, length }: Decoded): number {
  const { format, name } = instructions[number] ?? { format: 'R', name: '' }
  return length | (format === 'B' || blockEnds.has(name) ? ENDS_BLOCK : 0) | (format === 'B' || format === 'J' ? HAS_TARGET : 0)
}

const decoded: Decoded = emptyDecoded()

/**
 * Writes the op of the instruction in `word` (16 bits, or 32, as its first bits say) at `at`. Generated code does this itself for all that it has rules for
 * (`core/rules.ts`).
 *
 * @param offset - of the instruction in its page; −1 when the op stands alone, and cannot be linked to others
 */
export function writeOp(data: DataView, at: number, word: number, offset: number): number {
  const d = decode(word, decoded)
  const info = infoOf(d)
  const near = (info & HAS_TARGET) !== 0 && offset >= 0 && ((offset + d.imm) & ~4095) === 0
  data.setInt32(at + 4, secondHalf(d, near ? d.imm * 4 : d.imm), true)
  // The handler last, so that an op is either whole or not there.
  data.setInt32(at, handlerOf(variantOf(d, near), d.length) | registers(d), true)
  return info & (LENGTH | ENDS_BLOCK)
}

/** The first two registers, where they stand in the first half; the first of a store or branch is rs2. */
export function registers(d: Decoded): number {
  const { format } = instructions[d.number] ?? { format: 'R' }
  const a = format === 'S' || format === 'B' ? d.rs2 : d.rd
  return ((a * 8) << (8 * OP_FIELD.a)) | ((d.rs1 * 8) << (8 * OP_FIELD.b))
}

/** What is in the second half of an op. */
export function secondHalf(d: Decoded, immediate: number): number {
  const { format, fields } = instructions[d.number] ?? { format: 'I', fields: new Set() }
  if (format === 'R') return (d.rs2 * 8) | ((d.rs3 * 8) << (8 * (OP_FIELD.rs3 - OP_FIELD.imm))) | (d.rm << (8 * (OP_FIELD.rm - OP_FIELD.imm)))
  if (format === 'CSR') return csrIndex(immediate)
  return fields.has('rm') ? (immediate & 0xff00_ffff) | (d.rm << (8 * (OP_FIELD.rm - OP_FIELD.imm))) : immediate
}
