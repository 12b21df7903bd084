import { csrIndex } from './emit/csr/order.ts'
import { handlerOf, OP_FIELD, variantOf } from './handlers.ts'
import { decode, type Decoded, emptyDecoded, instructions } from './isa/decoder.ts'

/** What {@link OpWriter.write} tells of the instruction: its length, plus {@link ENDS_BLOCK} where control does not simply go on. */
export const LENGTH = 7
export const ENDS_BLOCK = 8

/** A remembered word: the word, the op for a target outside the page, the op for one inside, and what is told of it. */
const FIELDS = 6
const REMEMBERED = 1 << 14

const blockEnds: ReadonlySet<string> = new Set(['jal', 'jalr', 'mret', 'sret', 'illegal', 'ecall', 'ebreak'])
/** Instructions by number: those after which control does not simply go on. */
const ends: readonly boolean[] = instructions.map(({ format, name }) => format === 'B' || blockEnds.has(name))

/** Those with a target that may be in their own page. */
const targets: readonly boolean[] = instructions.map(({ format }) => format === 'B' || format === 'J')
/** Those whose first register is rs2. */
const stores: readonly boolean[] = instructions.map(({ format }) => format === 'S' || format === 'B')
/** What is in the second half of their ops. */
const kinds: readonly ('registers' | 'rounding' | 'csr' | 'immediate')[] = instructions.map(({ format, fields }) =>
  format === 'R' ? 'registers' : format === 'CSR' ? 'csr' : fields.has('rm') ? 'rounding' : 'immediate')

/** Makes pre-decoded ops of instructions, and remembers the last few thousand different ones. */
export class OpWriter {
  readonly #memory = new Int32Array(REMEMBERED * FIELDS)
  readonly #decoded: Decoded = emptyDecoded()

  /**
   * Writes the op of the instruction in `word` (16 bits, or 32, as its first bits say) at `at`.
   *
   * @param offset - of the instruction in its page; −1 when the op stands alone, and cannot be linked to others
   */
  write(data: DataView, at: number, word: number, offset: number): number {
    const memory = this.#memory
    const entry = (Math.imul(word, 0x9e37_79b1) >>> 18) * FIELDS
    if (memory[entry] !== (word | 0) || memory[entry + 5] === 0) this.#remember(word, entry)
    const immediate = memory[entry + 2] ?? 0
    const info = memory[entry + 5] ?? 0
    const near = (info & HAS_TARGET) !== 0 && offset >= 0 && ((offset + immediate) & ~4095) === 0
    data.setInt32(at + 4, (near ? memory[entry + 4] : immediate) ?? 0, true)
    // The handler last, so that an op is either whole or not there.
    data.setInt32(at, (near ? memory[entry + 3] : memory[entry + 1]) ?? 0, true)
    return info & (LENGTH | ENDS_BLOCK)
  }

  // What a machine executes at first is all met here, by code that V8 has not compiled yet: numbers in numbers, and nothing twice.
  #remember(word: number, entry: number): void {
    const memory = this.#memory
    const d = decode(word, this.#decoded)
    const hasTarget = targets[d.number] === true
    memory[entry] = word | 0
    memory[entry + 1] = firstHalf(d, false)
    memory[entry + 2] = secondHalf(d, d.imm)
    if (hasTarget) {
      memory[entry + 3] = firstHalf(d, true)
      memory[entry + 4] = secondHalf(d, d.imm * 4)
    }
    memory[entry + 5] = d.length | (ends[d.number] === true ? ENDS_BLOCK : 0) | (hasTarget ? HAS_TARGET : 0)
  }
}

/** Handler and the first two registers; `linked`: the target is in the same page, at a distance in ops. */
function firstHalf(d: Decoded, linked: boolean): number {
  const a = stores[d.number] === true ? d.rs2 : d.rd
  return handlerOf(variantOf(d, linked), d.length) | ((a * 8) << (8 * OP_FIELD.a)) | ((d.rs1 * 8) << (8 * OP_FIELD.b))
}

function secondHalf(d: Decoded, immediate: number): number {
  switch (kinds[d.number]) {
    case 'registers':
      return (d.rs2 * 8) | ((d.rs3 * 8) << (8 * (OP_FIELD.rs3 - OP_FIELD.imm))) | (d.rm << (8 * (OP_FIELD.rm - OP_FIELD.imm)))
    case 'rounding':
      return (immediate & 0xff00_ffff) | (d.rm << (8 * (OP_FIELD.rm - OP_FIELD.imm)))
    case 'csr':
      return csrIndex(immediate)
    default:
      return immediate
  }
}

const HAS_TARGET = 16
