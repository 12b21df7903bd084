import { expr, type Expr, Generic, Memory, type Operand, Unary, Binary } from './expr.ts'

/** 128 bits, whose lanes are what an operation takes them for (core specification, 2.4.6). */
type V = Expr<'v128'>
type Unaries<Names extends string> = { readonly [name in Names]: (a: V) => V }
type Binaries<Names extends string> = { readonly [name in Names]: (a: V, b: V) => V }
type Shifts = { readonly [name in 'shl' | 'shrS' | 'shrU']: (a: V, count: Operand<'i32'>) => V }
type Tests<Names extends string> = { readonly [name in Names]: (a: V) => Expr<'i32'> }
type Compare = 'eq' | 'ne' | 'ltS' | 'ltU' | 'gtS' | 'gtU' | 'leS' | 'leU' | 'geS' | 'geU'
type Saturating = 'addSatS' | 'addSatU' | 'subSatS' | 'subSatU'
type Extremes = 'minS' | 'minU' | 'maxS' | 'maxU'
type Extend<From extends string> = `extend${'Low' | 'High'}${From}${'S' | 'U'}`
type Multiply<From extends string> = `extmul${'Low' | 'High'}${From}${'S' | 'U'}`

interface Lanes<L extends 'i32' | 'i64' | 'f32' | 'f64'> {
  splat(a: Operand<L>): V
  replaceLane(a: V, lane: number, value: Operand<L>): V
}
interface Extract<L extends 'i32' | 'i64' | 'f32' | 'f64'> {
  extractLane(a: V, lane: number): Expr<L>
}
interface ExtractSmall {
  extractLaneS(a: V, lane: number): Expr<'i32'>
  extractLaneU(a: V, lane: number): Expr<'i32'>
}

/** Operations on whole vectors, named as in the WebAssembly specification. */
export interface V128Ops extends Unaries<'not'>, Binaries<'and' | 'andnot' | 'or' | 'xor'>, Tests<'anyTrue'> {
  const(low: bigint, high: bigint): V
  /** Bits of `a` where the mask has ones, of `b` elsewhere. */
  bitselect(a: V, b: V, mask: V): V
  load(address: Operand<'i32'>, offset?: number): V
  load32Zero(address: Operand<'i32'>, offset?: number): V
  load64Zero(address: Operand<'i32'>, offset?: number): V
  store(address: Operand<'i32'>, value: V, offset?: number): Expr<'void'>
}
/** Operations on sixteen lanes of 8 bits. */
export interface I8x16Ops extends Lanes<'i32'>, ExtractSmall, Shifts, Unaries<'abs' | 'neg' | 'popcnt'>, Tests<'allTrue' | 'bitmask'>,
  Binaries<Compare | Saturating | Extremes | 'add' | 'sub' | 'avgrU' | 'swizzle' | 'narrowI16x8S' | 'narrowI16x8U'> {
  /** Byte `lanes[i]` of `a` and `b` put together. */
  shuffle(a: V, b: V, lanes: readonly number[]): V
}
/** Operations on eight lanes of 16 bits. */
export interface I16x8Ops extends Lanes<'i32'>, ExtractSmall, Shifts, Unaries<'abs' | 'neg' | 'extaddPairwiseI8x16S' | 'extaddPairwiseI8x16U' | Extend<'I8x16'>>, Tests<'allTrue' | 'bitmask'>,
  Binaries<Compare | Saturating | Extremes | Multiply<'I8x16'> | 'add' | 'sub' | 'mul' | 'avgrU' | 'q15mulrSatS' | 'narrowI32x4S' | 'narrowI32x4U'> {}
/** Operations on four lanes of 32 bits. */
export interface I32x4Ops extends Lanes<'i32'>, Extract<'i32'>, Shifts, Unaries<'abs' | 'neg' | 'extaddPairwiseI16x8S' | 'extaddPairwiseI16x8U' | Extend<'I16x8'>>, Tests<'allTrue' | 'bitmask'>,
  Binaries<Compare | Extremes | Multiply<'I16x8'> | 'add' | 'sub' | 'mul' | 'dotI16x8S'> {}
/** Operations on two lanes of 64 bits. */
export interface I64x2Ops extends Lanes<'i64'>, Extract<'i64'>, Shifts, Unaries<'abs' | 'neg' | Extend<'I32x4'>>, Tests<'allTrue' | 'bitmask'>,
  Binaries<Exclude<Compare, `${string}U`> | Multiply<'I32x4'> | 'add' | 'sub' | 'mul'> {}
type Float = 'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge' | 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pmin' | 'pmax'
type FloatUnary = 'abs' | 'neg' | 'sqrt' | 'ceil' | 'floor' | 'trunc' | 'nearest'
/** Operations on four lanes of binary32. */
export interface F32x4Ops extends Lanes<'f32'>, Extract<'f32'>, Binaries<Float>, Unaries<FloatUnary> {}
/** Operations on two lanes of binary64. */
export interface F64x2Ops extends Lanes<'f64'>, Extract<'f64'>, Binaries<Float>, Unaries<FloatUnary> {}

type Kind = 'unary' | 'binary' | 'ternary' | 'shift' | 'test' | 'splat' | 'extract' | 'replace' | 'load' | 'store' | 'shuffle' | 'const'
/** What an instruction behind the prefix 0xfd is. */
export interface VectorInstruction {
  readonly name: string
  readonly kind: Kind
  readonly operands: number
}
const operands: Readonly<Record<Kind, number>> = { unary: 1, binary: 2, ternary: 3, shift: 2, test: 1, splat: 1, extract: 1, replace: 2, load: 1, store: 2, shuffle: 2, const: 0 }

const instructions = new Map<number, VectorInstruction>()
/** An instruction behind the prefix 0xfd (core specification 2.0, 5.4.8), by its number. */
export function vectorOf(opcode: number): VectorInstruction | null {
  return instructions.get(opcode) ?? null
}

const PREFIX = 0xfd00
const signs = (...names: readonly string[]): string[] => names.flatMap((name) => [`${name}S`, `${name}U`])
const halves = (name: string, from: string): string[] => [`${name}Low${from}S`, `${name}High${from}S`, `${name}Low${from}U`, `${name}High${from}U`]
const compare = ['eq', 'ne', ...signs('lt', 'gt', 'le', 'ge')]
const floatCompare = ['eq', 'ne', 'lt', 'gt', 'le', 'ge']
const shifts = ['shl', 'shrS', 'shrU']
const sums = ['add', 'addSatS', 'addSatU', 'sub', 'subSatS', 'subSatU']
const floats = ['add', 'sub', 'mul', 'div', 'min', 'max', 'pmin', 'pmax']

/** Runs of instructions of one kind whose numbers follow one another: shape, kind, first number, names. `''` stands for a gap. */
const runs: readonly (readonly [string, Kind, number, readonly string[]])[] = [
  ['v128', 'load', 0, ['load']], ['v128', 'store', 11, ['store']], ['v128', 'const', 12, ['const']], ['v128', 'load', 92, ['load32Zero', 'load64Zero']],
  ['i8x16', 'shuffle', 13, ['shuffle']], ['i8x16', 'binary', 14, ['swizzle']],
  ['i8x16', 'splat', 15, ['splat']], ['i16x8', 'splat', 16, ['splat']], ['i32x4', 'splat', 17, ['splat']], ['i64x2', 'splat', 18, ['splat']], ['f32x4', 'splat', 19, ['splat']], ['f64x2', 'splat', 20, ['splat']],
  ['i8x16', 'extract', 21, signs('extractLane')], ['i8x16', 'replace', 23, ['replaceLane']], ['i16x8', 'extract', 24, signs('extractLane')], ['i16x8', 'replace', 26, ['replaceLane']],
  ['i32x4', 'extract', 27, ['extractLane']], ['i32x4', 'replace', 28, ['replaceLane']], ['i64x2', 'extract', 29, ['extractLane']], ['i64x2', 'replace', 30, ['replaceLane']],
  ['f32x4', 'extract', 31, ['extractLane']], ['f32x4', 'replace', 32, ['replaceLane']], ['f64x2', 'extract', 33, ['extractLane']], ['f64x2', 'replace', 34, ['replaceLane']],
  ['i8x16', 'binary', 35, compare], ['i16x8', 'binary', 45, compare], ['i32x4', 'binary', 55, compare], ['f32x4', 'binary', 65, floatCompare], ['f64x2', 'binary', 71, floatCompare],
  ['v128', 'unary', 77, ['not']], ['v128', 'binary', 78, ['and', 'andnot', 'or', 'xor']], ['v128', 'ternary', 82, ['bitselect']], ['v128', 'test', 83, ['anyTrue']],
  ['i8x16', 'unary', 96, ['abs', 'neg', 'popcnt']], ['i8x16', 'test', 99, ['allTrue', 'bitmask']], ['i8x16', 'binary', 101, signs('narrowI16x8')],
  ['f32x4', 'unary', 103, ['ceil', 'floor', 'trunc', 'nearest']], ['i8x16', 'shift', 107, shifts], ['i8x16', 'binary', 110, sums], ['f64x2', 'unary', 116, ['ceil', 'floor']],
  ['i8x16', 'binary', 118, signs('min', 'max')], ['f64x2', 'unary', 122, ['trunc']], ['i8x16', 'binary', 123, ['avgrU']],
  ['i16x8', 'unary', 124, signs('extaddPairwiseI8x16')], ['i32x4', 'unary', 126, signs('extaddPairwiseI16x8')],
  ['i16x8', 'unary', 128, ['abs', 'neg']], ['i16x8', 'binary', 130, ['q15mulrSatS']], ['i16x8', 'test', 131, ['allTrue', 'bitmask']], ['i16x8', 'binary', 133, signs('narrowI32x4')],
  ['i16x8', 'unary', 135, halves('extend', 'I8x16')], ['i16x8', 'shift', 139, shifts], ['i16x8', 'binary', 142, sums], ['f64x2', 'unary', 148, ['nearest']],
  ['i16x8', 'binary', 149, ['mul', ...signs('min', 'max'), '', 'avgrU', ...halves('extmul', 'I8x16')]],
  ['i32x4', 'unary', 160, ['abs', 'neg']], ['i32x4', 'test', 163, ['allTrue', 'bitmask']], ['i32x4', 'unary', 167, halves('extend', 'I16x8')], ['i32x4', 'shift', 171, shifts],
  ['i32x4', 'binary', 174, ['add']], ['i32x4', 'binary', 177, ['sub']], ['i32x4', 'binary', 181, ['mul', ...signs('min', 'max'), 'dotI16x8S', '', ...halves('extmul', 'I16x8')]],
  ['i64x2', 'unary', 192, ['abs', 'neg']], ['i64x2', 'test', 195, ['allTrue', 'bitmask']], ['i64x2', 'unary', 199, halves('extend', 'I32x4')], ['i64x2', 'shift', 203, shifts],
  ['i64x2', 'binary', 206, ['add']], ['i64x2', 'binary', 209, ['sub']], ['i64x2', 'binary', 213, ['mul', 'eq', 'ne', 'ltS', 'gtS', 'leS', 'geS', ...halves('extmul', 'I32x4')]],
  ['f32x4', 'unary', 224, ['abs', 'neg', '', 'sqrt']], ['f32x4', 'binary', 228, floats], ['f64x2', 'unary', 236, ['abs', 'neg', '', 'sqrt']], ['f64x2', 'binary', 240, floats],
]

type Shape = 'v128' | 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2' | 'f32x4' | 'f64x2'
const lane = { v128: 'v128', i8x16: 'i32', i16x8: 'i32', i32x4: 'i32', i64x2: 'i64', f32x4: 'f32', f64x2: 'f64' } as const

function make(shape: Shape, kind: Kind, number: number): unknown {
  const opcode = PREFIX | number
  const type = lane[shape]
  const withLane = (at: number) => (out: { byte(value: number): void; u32(value: number): void }): void => {
    out.byte(PREFIX >> 8)
    out.u32(number)
    out.byte(at)
  }
  switch (kind) {
    case 'unary': return (a: V) => new Unary('v128', opcode, a)
    case 'binary': return (a: V, b: V) => new Binary('v128', opcode, a, b)
    case 'test': return (a: V) => new Unary('i32', opcode, a)
    case 'shift': return (a: V, count: Operand<'i32'>) => new Binary('v128', opcode, a, expr('i32', count))
    case 'splat': return (a: Operand<'i32'>) => new Unary('v128', opcode, expr(type as 'i32', a))
    case 'extract': return (a: V, at: number) => new Generic(type, [a], withLane(at))
    case 'replace': return (a: V, at: number, value: Operand<'i32'>) => new Generic('v128', [a, expr(type as 'i32', value)], withLane(at))
    case 'load': return (address: Operand<'i32'>, offset = 0) => new Memory('v128', opcode, expr('i32', address), null, offset)
    case 'store': return (address: Operand<'i32'>, value: V, offset = 0) => new Memory('void', opcode, expr('i32', address), value, offset)
    case 'ternary': return (a: V, b: V, mask: V) => new Generic('v128', [a, b, mask], (out) => {
      out.byte(PREFIX >> 8)
      out.u32(number)
    })
    case 'shuffle': return (a: V, b: V, lanes: readonly number[]) => new Generic('v128', [a, b], (out) => {
      out.byte(PREFIX >> 8)
      out.u32(number)
      for (let i = 0; i < 16; i++) out.byte((lanes[i] ?? 0) & 31)
    })
    case 'const': return (low: bigint, high: bigint) => new Generic('v128', [], (out) => {
      out.byte(PREFIX >> 8)
      out.u32(number)
      for (const half of [low, high]) for (let i = 0n; i < 64n; i += 8n) out.byte(Number((half >> i) & 255n))
    })
  }
}

const shapes: Record<Shape, Record<string, unknown>> = { v128: {}, i8x16: {}, i16x8: {}, i32x4: {}, i64x2: {}, f32x4: {}, f64x2: {} }
for (const [shape, kind, first, names] of runs) {
  names.forEach((name, i) => {
    if (name === '') return
    shapes[shape as Shape][name] = make(shape as Shape, kind, first + i)
    const spelled = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    instructions.set(first + i, { name: `${shape}.${spelled}`, kind, operands: operands[kind] })
  })
}

export const v128: V128Ops = shapes.v128 as unknown as V128Ops
export const i8x16: I8x16Ops = shapes.i8x16 as unknown as I8x16Ops
export const i16x8: I16x8Ops = shapes.i16x8 as unknown as I16x8Ops
export const i32x4: I32x4Ops = shapes.i32x4 as unknown as I32x4Ops
export const i64x2: I64x2Ops = shapes.i64x2 as unknown as I64x2Ops
export const f32x4: F32x4Ops = shapes.f32x4 as unknown as F32x4Ops
export const f64x2: F64x2Ops = shapes.f64x2 as unknown as F64x2Ops
