import type { Expr, Local } from '@machinist/wasm'
import type { FloatFunctions } from './float/functions.ts'
import type { Numbers } from './float/quick.ts'
import type { VectorSize } from '../isa/operand.ts'

/** Half of a YMM register, a whole XMM register, or an MMX register in the lower half. */
export type Half = Expr<'v128'>

/**
 * What semantics of vectors are written in, beside the rest of a stage. They are about 128 bits at a time: an instruction of 256 bits does the
 * same twice, and one of MMX once, of which the lower half counts. So a stage for regions may keep halves in locals of type v128.
 */
export interface VectorOps {
  /** Bytes of the vectors: 16 or, with VEX, 32. */
  readonly vectorSize: VectorSize
  /** Whether it is encoded with VEX: then it clears what lies above its destination. */
  readonly vex: boolean
  /** Half of an operand, zero above its size. Memory is read at once. */
  half(operand: number, index?: 0 | 1): Half
  /** A register is written, of MMX the lower half; or memory, of the operand's size. */
  setHalves(operand: number, halves: readonly Half[]): void
  /** One half of a vector register alone: what an instruction has done when it faults on the way. */
  setHalf(operand: number, index: 0 | 1, value: Half): void
  /** Arithmetic of numbers. Before it exceptions are cleared; what it raised becomes the instruction's at the end, which may be #XM. */
  readonly float: FloatFunctions
  /** Halves computed of the numbers in halves of operands, by `exact`, whose exceptions become the instruction's; or otherwise, where that comes to the same. */
  numbers(numbers: Numbers, operands: readonly (readonly Local<'v128'>[])[], exact: (operands: readonly Local<'v128'>[]) => Half): readonly Half[]
  /** How the lowest numbers of two operands compare: a relation (float/sse.ts), which `exact` gives, as in `numbers`. */
  relation(format: Numbers['format'], operands: readonly [Local<'v128'>, Local<'v128'>], exact: () => Expr<'i32'>): Expr<'i32'>
  beginSimd(): void
  endSimd(): void
  /** XMM0, which some instructions have as an operand that is in no encoding. */
  firstVector(): Half
  setFirstVector(value: Half): void
  /** Bytes of an operand that is a vector, or of the memory that stands in its place. */
  vectorBytes(operand: number): number
  /** Of VSIB: base and displacement, the scale as a shift, and halves of the index. */
  vectorAddress(): { readonly base: Expr<'i64'>; readonly scale: Expr<'i64'>; readonly index: (half: 0 | 1) => Half }
  /** Whether two of destination, mask and index of VSIB are one register. */
  sameVectors(destination: number, mask: number): Expr<'i32'>
  /** Whether an operand is an MMX register. */
  readonly mmx: boolean
  /** What an MMX instruction does first: raises an x87 exception that is pending. And last: all registers are valid, TOP is zero (SDM volume 1, 9.5.1 and 9.6.2). */
  checkMmx(): void
  enterMmx(): void
  /** What an x87 instruction that waits does first: raises #MF when an exception is pending, and clears those under way. */
  beginX87(): void
  /** ST(i)'s number. */
  stackNumber(operand: number): Expr<'i32'>
  /** A source of 80 bits. */
  setSource(significand: Expr<'i64'>, exponent: Expr<'i64'>): void
  /** Raises what a missing operand does. */
  missing(): void
  moveTop(by: -1 | 1): void
  /** Empties ST(number). */
  free(number: Expr<'i32'>): void
  getX87(field: 'control' | 'status' | 'tags' | 'opcode'): Expr<'i32'>
  setX87(values: { readonly control?: Expr<'i32'>; readonly status?: Expr<'i32'>; readonly tags?: Expr<'i32'>; readonly opcode?: Expr<'i32'> }): void
  /** The addresses of the last instruction and of its operand. */
  x87Pointer(name: 'instruction' | 'operand'): Expr<'i64'>
  setX87Pointer(name: 'instruction' | 'operand', value: Expr<'i64'>): void
  /** The image of FXSAVE and XSAVE: some bytes of it from and to the memory operand, at the same offset in both, and numbers in it. */
  storeImage(from: number, bytes: number): void
  loadImage(from: number, bytes: number): void
  setImage(offset: number, value: Half): void
  inImage32(offset: number): Expr<'i32'>
  inImage64(offset: number): Expr<'i64'>
  mxcsr(): Expr<'i32'>
  setMxcsr(value: Expr<'i32'>): void
}
