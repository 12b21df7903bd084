import { Binary, Const, expr, type Expr, Generic, Memory, type Operand, Unary, type ValueType } from './expr.ts'

type Un<From extends ValueType, To extends ValueType> = (a: Operand<From>) => Expr<To>
type Bin<T extends ValueType, To extends ValueType = T> = (a: Operand<T>, b: Operand<T>) => Expr<To>
type Load<T extends ValueType> = (address: Operand<'i32'>, offset?: number) => Expr<T>
type Store<T extends ValueType> = (address: Operand<'i32'>, value: Operand<T>, offset?: number) => Expr<'void'>

function un<From extends ValueType, To extends ValueType>(from: From, to: To, opcode: number): Un<From, To> {
  return (a) => new Unary(to, opcode, expr(from, a))
}
function bin<T extends ValueType, To extends ValueType>(type: T, to: To, opcode: number): Bin<T, To> {
  return (a, b) => new Binary(to, opcode, expr(type, a), expr(type, b))
}
/** A binary operation for which a right operand of zero changes nothing. */
function binZero<T extends 'i32' | 'i64'>(type: T, opcode: number): Bin<T> {
  return (a, b) => {
    const left = expr(type, a)
    const right = expr(type, b)
    return Number(right.constant ?? 1) === 0 ? left : new Binary(type, opcode, left, right)
  }
}
/** A binary operation for which an operand of zero changes nothing, on either side. */
function sum<T extends 'i32' | 'i64'>(type: T, opcode: number): Bin<T> {
  const general = binZero(type, opcode)
  return (a, b) => {
    const left = expr(type, a)
    return Number(left.constant ?? 1) === 0 ? expr(type, b) : general(left, b)
  }
}
function load<T extends ValueType>(type: T, opcode: number): Load<T> {
  return (address, offset = 0) => new Memory(type, opcode, expr('i32', address), null, offset)
}
function store<T extends ValueType>(type: T, opcode: number): Store<T> {
  return (address, value, offset = 0) => new Memory('void', opcode, expr('i32', address), expr(type, value), offset)
}

/** Operations of both integer types, named as in the WebAssembly specification. */
export interface IntegerOps<T extends 'i32' | 'i64'> {
  const(value: number | bigint): Expr<T>
  eqz: Un<T, 'i32'>
  eq: Bin<T, 'i32'>
  ne: Bin<T, 'i32'>
  ltS: Bin<T, 'i32'>
  ltU: Bin<T, 'i32'>
  gtS: Bin<T, 'i32'>
  gtU: Bin<T, 'i32'>
  leS: Bin<T, 'i32'>
  leU: Bin<T, 'i32'>
  geS: Bin<T, 'i32'>
  geU: Bin<T, 'i32'>
  clz: Un<T, T>
  ctz: Un<T, T>
  popcnt: Un<T, T>
  add: Bin<T>
  sub: Bin<T>
  mul: Bin<T>
  divS: Bin<T>
  divU: Bin<T>
  remS: Bin<T>
  remU: Bin<T>
  and: Bin<T>
  or: Bin<T>
  xor: Bin<T>
  shl: Bin<T>
  shrS: Bin<T>
  shrU: Bin<T>
  rotl: Bin<T>
  rotr: Bin<T>
  extend8S: Un<T, T>
  extend16S: Un<T, T>
  load: Load<T>
  load8S: Load<T>
  load8U: Load<T>
  load16S: Load<T>
  load16U: Load<T>
  store: Store<T>
  store8: Store<T>
  store16: Store<T>
}

export interface I32Ops extends IntegerOps<'i32'> {
  wrap: Un<'i64', 'i32'>
  truncF32S: Un<'f32', 'i32'>
  truncF64S: Un<'f64', 'i32'>
  reinterpret: Un<'f32', 'i32'>
}

export interface I64Ops extends IntegerOps<'i64'> {
  extendS: Un<'i32', 'i64'>
  extendU: Un<'i32', 'i64'>
  extend32S: Un<'i64', 'i64'>
  load32S: Load<'i64'>
  load32U: Load<'i64'>
  store32: Store<'i64'>
  truncSatF64S: Un<'f64', 'i64'>
  truncSatF64U: Un<'f64', 'i64'>
  truncSatF32S: Un<'f32', 'i64'>
  truncSatF32U: Un<'f32', 'i64'>
  reinterpret: Un<'f64', 'i64'>
}

export interface FloatOps<T extends 'f32' | 'f64'> {
  const(value: number): Expr<T>
  eq: Bin<T, 'i32'>
  ne: Bin<T, 'i32'>
  lt: Bin<T, 'i32'>
  gt: Bin<T, 'i32'>
  le: Bin<T, 'i32'>
  ge: Bin<T, 'i32'>
  abs: Un<T, T>
  neg: Un<T, T>
  ceil: Un<T, T>
  floor: Un<T, T>
  trunc: Un<T, T>
  nearest: Un<T, T>
  sqrt: Un<T, T>
  add: Bin<T>
  sub: Bin<T>
  mul: Bin<T>
  div: Bin<T>
  min: Bin<T>
  max: Bin<T>
  copysign: Bin<T>
  load: Load<T>
  store: Store<T>
  convertI32S: Un<'i32', T>
  convertI32U: Un<'i32', T>
  convertI64S: Un<'i64', T>
  convertI64U: Un<'i64', T>
}

export interface F32Ops extends FloatOps<'f32'> {
  demote: Un<'f64', 'f32'>
  reinterpret: Un<'i32', 'f32'>
}

export interface F64Ops extends FloatOps<'f64'> {
  promote: Un<'f32', 'f64'>
  reinterpret: Un<'i64', 'f64'>
}

export const i32: I32Ops = {
  const: (value) => new Const('i32', value),
  eqz: un('i32', 'i32', 0x45),
  eq: bin('i32', 'i32', 0x46),
  ne: bin('i32', 'i32', 0x47),
  ltS: bin('i32', 'i32', 0x48),
  ltU: bin('i32', 'i32', 0x49),
  gtS: bin('i32', 'i32', 0x4a),
  gtU: bin('i32', 'i32', 0x4b),
  leS: bin('i32', 'i32', 0x4c),
  leU: bin('i32', 'i32', 0x4d),
  geS: bin('i32', 'i32', 0x4e),
  geU: bin('i32', 'i32', 0x4f),
  clz: un('i32', 'i32', 0x67),
  ctz: un('i32', 'i32', 0x68),
  popcnt: un('i32', 'i32', 0x69),
  add: sum('i32', 0x6a),
  sub: binZero('i32', 0x6b),
  mul: bin('i32', 'i32', 0x6c),
  divS: bin('i32', 'i32', 0x6d),
  divU: bin('i32', 'i32', 0x6e),
  remS: bin('i32', 'i32', 0x6f),
  remU: bin('i32', 'i32', 0x70),
  and: bin('i32', 'i32', 0x71),
  or: sum('i32', 0x72),
  xor: sum('i32', 0x73),
  shl: binZero('i32', 0x74),
  shrS: binZero('i32', 0x75),
  shrU: binZero('i32', 0x76),
  rotl: binZero('i32', 0x77),
  rotr: binZero('i32', 0x78),
  extend8S: un('i32', 'i32', 0xc0),
  extend16S: un('i32', 'i32', 0xc1),
  load: load('i32', 0x28),
  load8S: load('i32', 0x2c),
  load8U: load('i32', 0x2d),
  load16S: load('i32', 0x2e),
  load16U: load('i32', 0x2f),
  store: store('i32', 0x36),
  store8: store('i32', 0x3a),
  store16: store('i32', 0x3b),
  wrap: un('i64', 'i32', 0xa7),
  truncF32S: un('f32', 'i32', 0xfc00),
  truncF64S: un('f64', 'i32', 0xfc02),
  reinterpret: un('f32', 'i32', 0xbc),
}

export const i64: I64Ops = {
  const: (value) => new Const('i64', value),
  eqz: un('i64', 'i32', 0x50),
  eq: bin('i64', 'i32', 0x51),
  ne: bin('i64', 'i32', 0x52),
  ltS: bin('i64', 'i32', 0x53),
  ltU: bin('i64', 'i32', 0x54),
  gtS: bin('i64', 'i32', 0x55),
  gtU: bin('i64', 'i32', 0x56),
  leS: bin('i64', 'i32', 0x57),
  leU: bin('i64', 'i32', 0x58),
  geS: bin('i64', 'i32', 0x59),
  geU: bin('i64', 'i32', 0x5a),
  clz: un('i64', 'i64', 0x79),
  ctz: un('i64', 'i64', 0x7a),
  popcnt: un('i64', 'i64', 0x7b),
  add: sum('i64', 0x7c),
  sub: binZero('i64', 0x7d),
  mul: bin('i64', 'i64', 0x7e),
  divS: bin('i64', 'i64', 0x7f),
  divU: bin('i64', 'i64', 0x80),
  remS: bin('i64', 'i64', 0x81),
  remU: bin('i64', 'i64', 0x82),
  and: bin('i64', 'i64', 0x83),
  or: sum('i64', 0x84),
  xor: sum('i64', 0x85),
  shl: binZero('i64', 0x86),
  shrS: binZero('i64', 0x87),
  shrU: binZero('i64', 0x88),
  rotl: binZero('i64', 0x89),
  rotr: binZero('i64', 0x8a),
  extend8S: un('i64', 'i64', 0xc2),
  extend16S: un('i64', 'i64', 0xc3),
  extend32S: un('i64', 'i64', 0xc4),
  load: load('i64', 0x29),
  load8S: load('i64', 0x30),
  load8U: load('i64', 0x31),
  load16S: load('i64', 0x32),
  load16U: load('i64', 0x33),
  load32S: load('i64', 0x34),
  load32U: load('i64', 0x35),
  store: store('i64', 0x37),
  store8: store('i64', 0x3c),
  store16: store('i64', 0x3d),
  store32: store('i64', 0x3e),
  extendS: un('i32', 'i64', 0xac),
  extendU: un('i32', 'i64', 0xad),
  truncSatF32S: un('f32', 'i64', 0xfc04),
  truncSatF32U: un('f32', 'i64', 0xfc05),
  truncSatF64S: un('f64', 'i64', 0xfc06),
  truncSatF64U: un('f64', 'i64', 0xfc07),
  reinterpret: un('f64', 'i64', 0xbd),
}

export const f32: F32Ops = {
  const: (value) => new Const('f32', value),
  eq: bin('f32', 'i32', 0x5b),
  ne: bin('f32', 'i32', 0x5c),
  lt: bin('f32', 'i32', 0x5d),
  gt: bin('f32', 'i32', 0x5e),
  le: bin('f32', 'i32', 0x5f),
  ge: bin('f32', 'i32', 0x60),
  abs: un('f32', 'f32', 0x8b),
  neg: un('f32', 'f32', 0x8c),
  ceil: un('f32', 'f32', 0x8d),
  floor: un('f32', 'f32', 0x8e),
  trunc: un('f32', 'f32', 0x8f),
  nearest: un('f32', 'f32', 0x90),
  sqrt: un('f32', 'f32', 0x91),
  add: bin('f32', 'f32', 0x92),
  sub: bin('f32', 'f32', 0x93),
  mul: bin('f32', 'f32', 0x94),
  div: bin('f32', 'f32', 0x95),
  min: bin('f32', 'f32', 0x96),
  max: bin('f32', 'f32', 0x97),
  copysign: bin('f32', 'f32', 0x98),
  load: load('f32', 0x2a),
  store: store('f32', 0x38),
  convertI32S: un('i32', 'f32', 0xb2),
  convertI32U: un('i32', 'f32', 0xb3),
  convertI64S: un('i64', 'f32', 0xb4),
  convertI64U: un('i64', 'f32', 0xb5),
  demote: un('f64', 'f32', 0xb6),
  reinterpret: un('i32', 'f32', 0xbe),
}

export const f64: F64Ops = {
  const: (value) => new Const('f64', value),
  eq: bin('f64', 'i32', 0x61),
  ne: bin('f64', 'i32', 0x62),
  lt: bin('f64', 'i32', 0x63),
  gt: bin('f64', 'i32', 0x64),
  le: bin('f64', 'i32', 0x65),
  ge: bin('f64', 'i32', 0x66),
  abs: un('f64', 'f64', 0x99),
  neg: un('f64', 'f64', 0x9a),
  ceil: un('f64', 'f64', 0x9b),
  floor: un('f64', 'f64', 0x9c),
  trunc: un('f64', 'f64', 0x9d),
  nearest: un('f64', 'f64', 0x9e),
  sqrt: un('f64', 'f64', 0x9f),
  add: bin('f64', 'f64', 0xa0),
  sub: bin('f64', 'f64', 0xa1),
  mul: bin('f64', 'f64', 0xa2),
  div: bin('f64', 'f64', 0xa3),
  min: bin('f64', 'f64', 0xa4),
  max: bin('f64', 'f64', 0xa5),
  copysign: bin('f64', 'f64', 0xa6),
  load: load('f64', 0x2b),
  store: store('f64', 0x39),
  convertI32S: un('i32', 'f64', 0xb7),
  convertI32U: un('i32', 'f64', 0xb8),
  convertI64S: un('i64', 'f64', 0xb9),
  convertI64U: un('i64', 'f64', 0xba),
  promote: un('f32', 'f64', 0xbb),
  reinterpret: un('i64', 'f64', 0xbf),
}

/** `condition ? a : b`, both computed. */
export function select<T extends ValueType>(type: T, condition: Operand<'i32'>, a: Operand<T>, b: Operand<T>): Expr<T> {
  return new Generic(type, [expr(type, a), expr(type, b), expr('i32', condition)], (out) => out.byte(0x1b))
}

/** Fills `length` bytes from `address` with the low byte of `value`. */
export function memoryFill(address: Operand<'i32'>, value: Operand<'i32'>, length: Operand<'i32'>): Expr<'void'> {
  return new Generic('void', [expr('i32', address), expr('i32', value), expr('i32', length)], (out) => {
    out.byte(0xfc)
    out.byte(0x0b)
    out.byte(0)
  })
}

/** Copies `length` bytes; the ranges may overlap. */
export function memoryCopy(to: Operand<'i32'>, from: Operand<'i32'>, length: Operand<'i32'>): Expr<'void'> {
  return new Generic('void', [expr('i32', to), expr('i32', from), expr('i32', length)], (out) => {
    out.byte(0xfc)
    out.byte(0x0a)
    out.byte(0)
    out.byte(0)
  })
}
