import { csrIndex } from './emit/csr/order.ts'
import { handlerOf, OP_FIELD, variantOf } from './handlers.ts'
import { decode, type Decoded, emptyDecoded, instructions, isCompressed } from './isa/decoder.ts'

/** What {@link OpWriter.write} tells of the instruction: its length, plus {@link ENDS_BLOCK} where control does not simply go on. */
export const LENGTH = 7
export const ENDS_BLOCK = 8

/** A remembered word: the word, the op for a target outside the page, the op for one inside, and what is told of it. */
const FIELDS = 6
const REMEMBERED = 1 << 14

const blockEnds: ReadonlySet<string> = new Set(['jal', 'jalr', 'mret', 'sret', 'illegal', 'ecall', 'ebreak'])
/** Instructions by number: those after which control does not simply go on. */
const ends: readonly boolean[] = instructions.map(({ format, name }) => format === 'B' || blockEnds.has(name))

/** Makes pre-decoded ops of instructions, and remembers the last few thousand different ones. */
export class OpWriter {
  readonly #memory = new Int32Array(REMEMBERED * FIELDS)
  readonly #scratch = new DataView(new ArrayBuffer(8))
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

  #remember(word: number, entry: number): void {
    const memory = this.#memory
    const d = decode(word, this.#decoded)
    const instruction = instructions[d.number]
    const hasTarget = instruction?.format === 'B' || instruction?.format === 'J'
    memory[entry] = word | 0
    for (const near of [false, true]) {
      this.#encode(near && hasTarget)
      memory[entry + (near ? 3 : 1)] = this.#scratch.getInt32(0, true)
      memory[entry + (near ? 4 : 2)] = this.#scratch.getInt32(4, true)
    }
    memory[entry + 5] = (isCompressed(word) ? 2 : 4) | (ends[d.number] === true ? ENDS_BLOCK : 0) | (hasTarget ? HAS_TARGET : 0)
  }

  /** The op of the decoded instruction; `linked`: its target is in the same page, at a distance in ops. */
  #encode(linked: boolean): void {
    const data = this.#scratch
    const d = this.#decoded
    const instruction = instructions[d.number]
    if (!instruction) return
    const store = instruction.format === 'S' || instruction.format === 'B'
    data.setUint8(OP_FIELD.a, (store ? d.rs2 : d.rd) * 8)
    data.setUint8(OP_FIELD.b, d.rs1 * 8)
    if (instruction.format === 'R') {
      data.setUint8(OP_FIELD.rs2, d.rs2 * 8)
      data.setUint8(OP_FIELD.rs3, d.rs3 * 8)
      data.setUint8(OP_FIELD.rm, d.rm)
      data.setUint8(OP_FIELD.rm + 1, 0)
    } else {
      const imm = instruction.format === 'CSR' ? csrIndex(d.imm) : linked ? d.imm * 4 : d.imm
      data.setInt32(OP_FIELD.imm, imm, true)
      if (instruction.fields.has('rm')) data.setUint8(OP_FIELD.rm, d.rm)
    }
    data.setUint16(0, handlerOf(variantOf(d, linked), d.length), true)
  }
}

const HAS_TARGET = 16
