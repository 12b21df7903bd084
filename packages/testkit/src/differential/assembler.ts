import { encode, type Operands } from '@machinist/cpu-riscv/isa'

/** Assembles a short program at a known address. Branches may go forward to labels that come later. */
export class Assembler {
  readonly base: number
  readonly words: number[] = []
  readonly #labels = new Map<string, number>()
  readonly #fixes: { readonly at: number; readonly name: string; readonly operands: Operands; readonly label: string }[] = []

  constructor(base: number) {
    this.base = base
  }

  /** Address of the next instruction. */
  get here(): number {
    return this.base + 4 * this.words.length
  }

  op(name: string, operands: Operands = {}): void {
    this.words.push(encode(name, operands))
  }

  label(name: string): void {
    this.#labels.set(name, this.here)
  }

  /** A branch or JAL to a label. */
  to(label: string, name: string = 'jal', operands: Operands = {}): void {
    this.#fixes.push({ at: this.words.length, name, operands, label })
    this.words.push(0)
  }

  li(rd: number, value: bigint): void {
    this.words.push(...loadImmediate(rd, value))
  }

  address(label: string): number {
    const address = this.#labels.get(label)
    if (address === undefined) throw new RangeError(`no label ${label}`)
    return address
  }

  /** The finished code. */
  finish(): readonly number[] {
    for (const fix of this.#fixes) {
      this.words[fix.at] = encode(fix.name, { ...fix.operands, imm: this.address(fix.label) - (this.base + 4 * fix.at) })
    }
    this.#fixes.length = 0
    return this.words
  }
}

/** Instructions that give `rd` the 64-bit `value` (signed or unsigned), with no other register. */
export function loadImmediate(rd: number, value: bigint): number[] {
  const signed = BigInt.asIntN(64, value)
  const low = Number(BigInt.asIntN(12, signed))
  if (signed === BigInt(low)) return [encode('addi', { rd, rs1: 0, imm: low })]
  if (signed === BigInt.asIntN(32, signed)) {
    const upper = Number(BigInt.asIntN(32, signed - BigInt(low))) | 0
    const words = [encode('lui', { rd, imm: upper & 0xffff_f000 })]
    if (low !== 0) words.push(encode('addiw', { rd, rs1: rd, imm: low }))
    return words
  }
  let rest = (signed - BigInt(low)) >> 12n
  let shift = 12
  while ((rest & 1n) === 0n) {
    rest >>= 1n
    shift++
  }
  const words = [...loadImmediate(rd, rest), encode('slli', { rd, rs1: rd, imm: shift })]
  if (low !== 0) words.push(encode('addi', { rd, rs1: rd, imm: low }))
  return words
}
