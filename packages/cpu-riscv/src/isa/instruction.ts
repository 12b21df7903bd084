import type { Stage } from '../emit/stage.ts'
import { parsePattern, type Pattern } from './pattern.ts'

/**
 * One instruction: its encoding, its assembly operands and its semantics, each written once. The interpreter, the
 * precise stepper, the decoder, the disassembler and the generators of tests all read this.
 */
export interface Instruction extends Pattern {
  readonly name: string
  /** Operands as assembly shows them; see `disassemble`. */
  readonly operands: string
  readonly extension: string
  /**
   * `pure`: the only effect is a value in integer register rd, so that with rd = x0 it does nothing.
   * `effect`: it does something else too, such as a load that may trap or a jump.
   * `system`: it may change what the following instructions mean (privilege, translation, counters), or needs the
   * hart's state; engines run it in the precise stepper only.
   */
  readonly kind: 'pure' | 'effect' | 'system'
  readonly semantics: (s: Stage) => void
}

/** Declares the instructions of one extension. */
export function extension(name: string): {
  readonly instructions: Instruction[]
  pure(name: string, pattern: string, operands: string, semantics: (s: Stage) => void): void
  effect(name: string, pattern: string, operands: string, semantics: (s: Stage) => void): void
  system(name: string, pattern: string, operands: string, semantics: (s: Stage) => void): void
} {
  const instructions: Instruction[] = []
  const adder =
    (kind: Instruction['kind']) =>
    (mnemonic: string, pattern: string, operands: string, semantics: (s: Stage) => void): void => {
      instructions.push({ ...parsePattern(pattern), name: mnemonic, operands, extension: name, kind, semantics })
    }
  return { instructions, pure: adder('pure'), effect: adder('effect'), system: adder('system') }
}
