import { type Expr, i32, i64, i64x2, i8x16, type Local, select, v128 } from '@machinist/wasm'
import type { Stage } from '../emit/stage.ts'
import type { Half } from '../emit/vector-ops.ts'
import { group, type Instruction } from '../isa/form.ts'

/** What the groups of vector instructions are declared with: one function of 128 bits gives the forms of MMX, SSE and AVX. */

export type Bits = Local<'v128'>
/** An operation of two vectors, within 128 bits. */
export type Two = (a: Bits, b: Bits, s: Stage) => Half
type Meaning = (s: Stage) => void

export const zero = (): Half => v128.const(0n, 0n)
/** A constant whose 64 bits are in both halves. */
export const both = (bits: bigint): Half => v128.const(bits, bits)
export const indices = (s: Stage): readonly (0 | 1)[] => s.vectorSize === 32 ? [0, 1] : [0]
/** The operands of two sources: VEX names the destination apart. */
export const sources = (s: Stage): readonly [number, number] => s.vex ? [1, 2] : [0, 1]
export const imm8 = (s: Stage, operand: number): Local<'i32'> => s.let(i32.wrap(s.read(operand, 1)))

/** Runs the body of an instruction that may be one of MMX: x87 exceptions come first, and what MMX does to the FPU last. */
export const withMmx = (body: Meaning): Meaning => (s) => {
  if (s.mmx) s.checkMmx()
  body(s)
  if (s.mmx) s.enterMmx()
}

/** destination = f(first, second). */
export const two = (f: Two): Meaning => withMmx((s) => {
  const [a, b] = sources(s)
  s.setHalves(0, indices(s).map((i) => s.let(f(s.let(s.half(a, i)), s.let(s.half(b, i)), s))))
})
/** destination = f(first, second, immediate). */
export const twoAndByte = (f: (a: Bits, b: Bits, byte: Local<'i32'>, s: Stage, index: 0 | 1) => Half): Meaning => withMmx((s) => {
  const [a, b] = sources(s)
  const byte = imm8(s, b + 1)
  s.setHalves(0, indices(s).map((i) => s.let(f(s.let(s.half(a, i)), s.let(s.half(b, i)), byte, s, i))))
})
/** destination = f(source). */
export const one = (f: (a: Bits, s: Stage) => Half): Meaning => withMmx((s) => {
  s.setHalves(0, indices(s).map((i) => s.let(f(s.let(s.half(1, i)), s))))
})
export const oneAndByte = (f: (a: Bits, byte: Local<'i32'>, s: Stage, index: 0 | 1) => Half): Meaning => withMmx((s) => {
  const byte = imm8(s, 2)
  s.setHalves(0, indices(s).map((i) => s.let(f(s.let(s.half(1, i)), byte, s, i))))
})

/** Declarations of a file, in the groups that their features name. */
export function family(): {
  readonly instructions: Instruction[]
  define(feature: string, name: string, encodings: readonly string[], semantics: Meaning, words?: { readonly undefinedFlags?: string }): void
  /** `two` as MMX, SSE and AVX have it, in the groups that are given; `name` is with v before it for AVX. */
  both(name: string, opcode: string, f: Two, groups: { readonly mmx?: string; readonly sse: string; readonly avx?: string }, ofMmx?: Two): void
} {
  const instructions: Instruction[] = []
  const define: ReturnType<typeof family>['define'] = (feature, name, encodings, semantics, words) => {
    const declared = group(feature)
    declared.define(name, encodings, semantics, words)
    instructions.push(...declared.instructions)
  }
  return {
    instructions,
    define,
    both(name, opcode, f, { mmx, sse, avx = 'avx2' }, ofMmx = f) {
      if (mmx !== undefined) define(mmx, name, [`NP.${opcode} Pq Qq`], two(ofMmx))
      define(sse, name, [`66.${opcode} Vx Wx`], two(f))
      define(avx, `v${name}`, [`VEX.66.${opcode} Vx Hx Wx`], two(f))
    },
  }
}

export const IOTA: readonly [bigint, bigint] = [0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n]
/** Bytes moved towards the low end by a number from 0 to 32, zeros from above; a number below zero moves them up. */
export function moveDown(a: Half, bytes: Expr<'i32'>): Half {
  return i8x16.swizzle(a, i8x16.add(v128.const(...IOTA), i8x16.splat(bytes)))
}
/** The lower halves of both. */
export function join(a: Half, b: Half): Half {
  return i8x16.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])
}
export const low = (a: Half): Expr<'i64'> => i64x2.extractLane(a, 0)
export const high = (a: Half): Expr<'i64'> => i64x2.extractLane(a, 1)
export const pair = (l: Expr<'i64'>, h: Expr<'i64'>): Half => i64x2.replaceLane(i64x2.splat(l), 1, h)
export const atMost = (value: Local<'i32'>, limit: number): Expr<'i32'> => select('i32', i32.ltU(value, limit), value, limit)
/** The vector where the bit is one, zeros elsewhere. */
export const masked = (condition: Expr<'i32'>, a: Half): Half => v128.and(a, i64x2.splat(i64.extendS(i32.sub(0, condition))))
