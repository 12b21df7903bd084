import { PAGE_SIZE } from '@machinist/memory'
import type { Flow, Frontend, Instruction, RegisterSpec } from '@machinist/translator'
import type { HartState } from '../emit/state.ts'
import { decode, type Decoded, emptyDecoded, instructions, isCompressed } from '../isa/decoder.ts'
import { Csr } from '../csr-numbers.ts'
import type { Imports } from './imports.ts'
import { floatRegister, integerRegister, RegionInstruction } from './region-stage.ts'

/** Registers of a hart as the translator numbers them: x1 to x31, then f0 to f31. */
export function registerSpecs(s: HartState): readonly RegisterSpec[] {
  const spec = (address: number): RegisterSpec => ({ type: 'i64', address })
  return [
    ...Array.from({ length: 31 }, (_, i) => spec(s.at('x') + 8 * (i + 1))),
    ...Array.from({ length: 32 }, (_, i) => spec(s.at('f') + 8 * i)),
  ]
}

/** RISC-V code of one page, as the translator wants it. */
export class RiscvFrontend implements Frontend {
  readonly registers: readonly RegisterSpec[]
  readonly unitSize: number = PAGE_SIZE
  readonly #source: () => DataView
  #code: DataView | null = null
  readonly #reached: (offset: number) => boolean
  readonly #state: HartState
  readonly #imports: Imports
  /** Blocks in which floating point has been found to be ready. */
  readonly #floatChecked = new Set<number>()

  /**
   * @param code - the page's bytes, asked for at the first use
   * @param reached - whether the instruction at an offset was ever executed: others are left out
   */
  constructor(code: () => DataView, reached: (offset: number) => boolean, registers: readonly RegisterSpec[], state: HartState, imports: Imports) {
    this.#source = code
    this.#reached = reached
    this.registers = registers
    this.#state = state
    this.#imports = imports
  }

  decode(offset: number): Instruction | null {
    if (!this.#reached(offset)) return null
    const code = (this.#code ??= this.#source())
    const half = code.getUint16(offset, true)
    if (!isCompressed(half) && offset + 4 > PAGE_SIZE) return null
    const d = decode(isCompressed(half) ? half : code.getUint32(offset, true), emptyDecoded())
    const instruction = instructions[d.number]
    if (!instruction) return null
    const { reads, writes } = operandsOf(d)
    return {
      offset,
      length: d.length,
      flow: flowOf(d, offset),
      reads,
      writes,
      emit: (stage) => new RegionInstruction(stage, d, instruction, this.#state, this.#imports, this.#floatChecked).emit(),
    }
  }
}

function flowOf(d: Decoded, offset: number): Flow {
  const instruction = instructions[d.number]
  if (!instruction) return { kind: 'leave' }
  if (instruction.format === 'CSR' && !changesTranslation(d.imm)) return { kind: 'next' }
  if (instruction.kind === 'system') return { kind: 'leave' }
  if (instruction.format === 'B') return { kind: 'branch', target: offset + d.imm }
  if (instruction.name === 'jal') return { kind: 'jump', target: offset + d.imm, returns: d.rd !== 0 }
  if (instruction.name === 'jalr') return { kind: 'indirect', returns: d.rd !== 0 }
  return { kind: 'next' }
}

/** Whether writing this CSR may change what the next instruction is fetched as. */
function changesTranslation(csr: number): boolean {
  return csr === Csr.satp || (csr >= Csr.pmpcfg0 && csr < Csr.pmpaddr0 + 64)
}

/** The names of each instruction's operands, by number. */
const operandNames: readonly (readonly string[])[] = instructions.map(({ operands }) => operands.match(/[a-z]+[0-9]?/g) ?? [])

/** Which registers an instruction reads and writes follows from its operands. */
function operandsOf(d: Decoded): { reads: readonly number[]; writes: readonly number[] } {
  const reads: number[] = []
  const writes: number[] = []
  const add = (list: number[], register: number | null): void => {
    if (register !== null && !list.includes(register)) list.push(register)
  }
  for (const name of operandNames[d.number] ?? []) {
    if (name === 'rd') add(writes, integerRegister(d.rd))
    else if (name === 'rs1') add(reads, integerRegister(d.rs1))
    else if (name === 'rs2') add(reads, integerRegister(d.rs2))
    else if (name === 'fd') add(writes, floatRegister(d.rd))
    else if (name === 'fs1') add(reads, floatRegister(d.rs1))
    else if (name === 'fs2') add(reads, floatRegister(d.rs2))
    else if (name === 'fs3') add(reads, floatRegister(d.rs3))
  }
  return { reads, writes }
}
