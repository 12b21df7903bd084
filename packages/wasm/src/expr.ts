import type { Bytes } from './bytes.ts'
import { builderError } from './errors.ts'

/** The value types of WebAssembly that Machinist uses; `'void'` is the type of an instruction that leaves nothing. */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
export type Type = ValueType | 'void'

/** Binary encoding of each value type (WebAssembly core specification, 5.3.1). */
export const typeCode: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/**
 * An expression: a tree that knows its type and writes itself in stack order. A tree that is used twice is
 * computed twice; bind it with `Func.let` to compute it once.
 *
 * Fields are only declared: a translator makes these by the hundred thousand, and defining them first costs more
 * than the rest.
 */
export abstract class Expr<T extends Type = Type> {
  declare readonly type: T
  constructor(type: T) {
    this.type = type
  }

  abstract emit(out: Bytes): void
  /** The value, if it is a known constant integer. */
  get constant(): number | bigint | undefined {
    return undefined
  }
}

export class Const<T extends ValueType> extends Expr<T> {
  declare readonly value: number | bigint
  constructor(type: T, value: number | bigint) {
    super(type)
    this.value = value
  }

  emit(out: Bytes): void {
    switch (this.type) {
      case 'i32':
        out.byte(0x41)
        out.s32(Number(this.value))
        break
      case 'i64':
        out.byte(0x42)
        out.s64(this.value)
        break
      case 'f32':
        out.byte(0x43)
        out.f32(Number(this.value))
        break
      case 'f64':
        out.byte(0x44)
        out.f64(Number(this.value))
        break
      case 'v128':
        throw builderError('constant', 'a vector is no number', 'Use v128.const')
    }
  }

  override get constant(): number | bigint | undefined {
    return this.type === 'i32' || this.type === 'i64' ? this.value : undefined
  }
}

/** A local variable; as an expression, its value. */
export class Local<T extends ValueType = ValueType> extends Expr<T> {
  declare readonly index: number
  constructor(type: T, index: number) {
    super(type)
    this.index = index
  }

  emit(out: Bytes): void {
    out.byte(0x20)
    out.u32(this.index)
  }
}

/** A mutable or imported global; as an expression, its value. */
export class Global<T extends ValueType = ValueType> extends Expr<T> {
  declare readonly index: number
  constructor(type: T, index: number) {
    super(type)
    this.index = index
  }

  emit(out: Bytes): void {
    out.byte(0x23)
    out.u32(this.index)
  }
}

/** An opcode behind a prefix (0xfc saturating truncations, 0xfd vectors) is the prefix and a number: 0xfd00 + 110. */
function writeOpcode(out: Bytes, opcode: number): void {
  if (opcode <= 0xff) {
    out.byte(opcode)
    return
  }
  out.byte(opcode >> 8)
  out.u32(opcode & 0xff)
}

export class Unary<T extends Type> extends Expr<T> {
  declare readonly opcode: number
  declare readonly operand: Expr
  constructor(type: T, opcode: number, operand: Expr) {
    super(type)
    this.opcode = opcode
    this.operand = operand
  }

  emit(out: Bytes): void {
    this.operand.emit(out)
    writeOpcode(out, this.opcode)
  }
}

export class Binary<T extends Type> extends Expr<T> {
  declare readonly opcode: number
  declare readonly left: Expr
  declare readonly right: Expr
  constructor(type: T, opcode: number, left: Expr, right: Expr) {
    super(type)
    this.opcode = opcode
    this.left = left
    this.right = right
  }

  emit(out: Bytes): void {
    this.left.emit(out)
    this.right.emit(out)
    writeOpcode(out, this.opcode)
  }
}

/** A load or store. Alignment is always declared as 1, which costs nothing on the machines we run on. */
export class Memory<T extends Type> extends Expr<T> {
  declare readonly opcode: number
  declare readonly address: Expr<'i32'>
  declare readonly value: Expr | null
  declare readonly offset: number
  constructor(type: T, opcode: number, address: Expr<'i32'>, value: Expr | null, offset: number) {
    super(type)
    this.opcode = opcode
    this.address = address
    this.value = value
    this.offset = offset
  }

  emit(out: Bytes): void {
    this.address.emit(out)
    this.value?.emit(out)
    writeOpcode(out, this.opcode)
    out.byte(0)
    out.u32(this.offset)
  }
}

/** An instruction with operands and a literal suffix: calls, select, memory.fill, atomics. */
export class Generic<T extends Type> extends Expr<T> {
  declare readonly operands: readonly Expr[]
  declare readonly suffix: (out: Bytes) => void
  constructor(type: T, operands: readonly Expr[], suffix: (out: Bytes) => void) {
    super(type)
    this.operands = operands
    this.suffix = suffix
  }

  emit(out: Bytes): void {
    for (const operand of this.operands) operand.emit(out)
    this.suffix(out)
  }
}

/** What an operation accepts: an expression of the type, or a literal. */
export type Operand<T extends ValueType> = Expr<T> | number | (T extends 'i64' ? bigint : never)

/** An operand as an expression. */
export function expr<T extends ValueType>(type: T, operand: Expr<T> | number | bigint): Expr<T> {
  return operand instanceof Expr ? operand : new Const(type, operand)
}
