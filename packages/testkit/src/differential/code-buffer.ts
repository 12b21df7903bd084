import { encode, type Operands } from '@machinist/cpu-riscv/isa'
import { loadImmediate } from './assembler.ts'
import type { Random } from '../random.ts'

/** Most bytes of one sequence. */
export const MAX_CODE = 1400

/** The code of a sequence as it grows, in units: what a minimiser may drop as a whole. */
export class CodeBuffer {
  readonly halves: Uint16Array = new Uint16Array(MAX_CODE / 2 + 64)
  length = 0
  /** Index of the first half-word of each unit. */
  readonly units: number[] = []
  /** Registers that hold an address of the scratch pages, as far as is known; of those, the ones that are multiples of 8. */
  addresses = 0
  aligned = 0
  /** Registers that the current loop needs. */
  reserved = 0
  /** Number of the unit up to which something may have been jumped over. */
  #skippable = 0
  readonly #branches: { readonly at: number; readonly unit: number; readonly kind: Target }[] = []

  get bytes(): number {
    return 2 * this.length
  }

  get full(): boolean {
    return this.bytes > MAX_CODE - 160
  }

  half(value: number): void {
    this.halves[this.length++] = value
  }

  word(value: number): void {
    this.half(value & 0xffff)
    this.half(value >>> 16)
  }

  op(name: string, operands: Operands): void {
    this.word(encode(name, operands))
    if (operands.rd !== undefined) this.written(operands.rd)
  }

  li(rd: number, lo: number, hi: number): void {
    for (const word of loadImmediate(rd, BigInt(hi) << 32n | BigInt(lo))) this.word(word)
    this.written(rd)
  }

  /** Register `rd` no longer holds an address. */
  written(rd: number): void {
    this.addresses &= ~(1 << rd)
    this.aligned &= ~(1 << rd)
  }

  holdsAddress(rd: number, aligned: boolean): void {
    if (rd === 0) return
    this.addresses |= 1 << rd
    if (aligned) this.aligned |= 1 << rd
  }

  /** Adds what `add` does as one unit. */
  unit(add: () => void): void {
    const { addresses, aligned } = this
    this.units.push(this.length)
    const conditional = this.units.length <= this.#skippable
    add()
    // What may not have happened gives nobody an address; what it destroyed may be gone.
    if (!conditional) return
    this.addresses &= addresses
    this.aligned &= aligned
  }

  /** A branch or jump over the next `units` units; its target is filled in later. Registers are in `word`. */
  forward(kind: Target, word: number, units: number): void {
    this.#branches.push({ at: this.length, unit: this.units.length + units - 1, kind })
    this.#skippable = Math.max(this.#skippable, this.units.length + units)
    if (kind === 'short branch' || kind === 'short jump') this.half(word)
    else this.word(word)
  }

  /** Fills in the targets, once the sequence ends here. */
  resolve(): void {
    for (const { at, unit, kind } of this.#branches) {
      const offset = ((this.units[unit] ?? this.length) - at) * 2
      if (kind === 'short branch' || kind === 'short jump') {
        // Too far for a short one: then straight on.
        const reach = kind === 'short branch' ? 254 : 2046
        this.halves[at] = (this.halves[at] ?? 0) & (kind === 'short branch' ? 0xe383 : 0xe003) | shortImmediate(kind, offset > reach ? 2 : offset)
        continue
      }
      const word = ((this.halves[at] ?? 0) | (this.halves[at + 1] ?? 0) << 16) | immediate(kind, offset)
      this.halves[at] = word & 0xffff
      this.halves[at + 1] = word >>> 16
    }
    this.#branches.length = 0
  }
}

type Target = 'branch' | 'jal' | 'address' | 'short branch' | 'short jump'

/** Offsets of C.BEQZ, C.BNEZ and C.J, all forward. */
function shortImmediate(kind: 'short branch' | 'short jump', offset: number): number {
  const bit = (from: number, to: number): number => (offset >> from & 1) << to
  const common = bit(1, 3) | bit(2, 4) | bit(5, 2)
  return kind === 'short branch'
    ? common | bit(3, 10) | bit(4, 11) | bit(6, 5) | bit(7, 6)
    : common | bit(3, 5) | bit(4, 11) | bit(6, 7) | bit(7, 6) | bit(8, 9) | bit(9, 10) | bit(10, 8)
}

/** `address`: an ADDI that completes an AUIPC just before it. */
function immediate(kind: 'branch' | 'jal' | 'address', offset: number): number {
  if (kind === 'branch') return encode('beq', { imm: offset }) & ~0x7f
  if (kind === 'jal') return encode('jal', { imm: offset }) & ~0xfff
  return ((offset + 4) & 0xfff) << 20
}

/** One of the registers in `mask`, or −1. */
export function pickRegister(random: Random, mask: number): number {
  if (mask === 0) return -1
  const start = random.below(32)
  for (let i = 0; i < 32; i++) if (mask >>> ((start + i) & 31) & 1) return (start + i) & 31
  return -1
}
