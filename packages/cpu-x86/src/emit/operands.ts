import { type Expr, type Func, i32, i64, type Local } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { bytesOf, mayBeMemory, type Operand } from '../isa/operand.ts'
import type { CoreParts } from './core.ts'
import { FlagStage } from './flag-stage.ts'
import { opLayout } from './layout.ts'
import type { Value, Width } from './stage.ts'
import type { Variant } from './variant.ts'

/** What a decoded op in linear memory says, and the general registers. */
export abstract class OperandStage extends FlagStage {
  readonly operandSize: Size
  readonly addressSize: Width
  readonly stackSize: Width
  protected readonly variant: Variant
  protected readonly op: Local<'i32'>

  constructor(f: Func, parts: CoreParts, op: Local<'i32'>, variant: Variant) {
    super(f, parts)
    this.variant = variant
    this.op = op
    this.operandSize = variant.operandSize
    this.addressSize = { mask: i64.load(op, opLayout.addressMask) }
    this.stackSize = { mask: i64.load(op, opLayout.stackMask) }
  }

  size(operand: number): Size {
    return bytesOf(this.operand(operand).size, this.operandSize)
  }

  isMemory(operand: number): boolean {
    const { kind } = this.operand(operand)
    return kind === 'mem' || kind === 'offset' || mayBeMemory.has(kind) && this.variant.memory
  }

  isImmediate(operand: number): boolean {
    return this.operand(operand).kind === 'imm'
  }

  known(operand: number): number | null {
    return this.operand(operand).kind === 'one' ? 1 : null
  }

  register(number: number, size: Width): Value {
    const at = i32.const(this.state.register(number))
    return typeof size === 'object' ? this.truncate(this.loadAt(at, 8), size) : this.loadAt(at, size)
  }

  setRegister(number: number, value: Value, size: Width): void {
    const at = i32.const(this.state.register(number))
    if (typeof size === 'number') {
      this.storeAt(at, value, size)
      return
    }
    const bound = this.f.let(value)
    this.f.if(i64.eq(size.mask, 0xffff), () => this.storeAt(at, bound, 2), () => this.storeAt(at, bound, 8))
  }

  high(): Value {
    return i64.load8U(this.state.register(0), 1)
  }

  setHigh(value: Value): void {
    this.f.do(i64.store8(this.state.register(0), value, 1))
  }

  protected operand(operand: number): Operand {
    const found = this.variant.form.operands[operand]
    if (!found) throw new RangeError(`${this.variant.form.instruction.name} has no operand ${operand}`)
    return found
  }

  protected immediate(operand: number): Value {
    const before = this.variant.form.operands.slice(0, operand).filter(({ kind }) => kind === 'imm' || kind === 'vimm').length
    return i64.load(this.op, opLayout.immediates + 8 * before)
  }

  protected registerOf(operand: number): Expr<'i32'> {
    return i32.load(this.op, opLayout.operands + 4 * operand)
  }

  /** An operand that is a register by a field of the op. */
  protected readRegister(operand: number, size: Size): Value {
    return this.loadAt(this.registerOf(operand), size)
  }

  protected writeRegister(operand: number, value: Value, size: Size): void {
    this.storeAt(this.registerOf(operand), value, size)
  }

  protected loadAt(address: Expr<'i32'>, size: Size): Value {
    return size === 1 ? i64.load8U(address) : size === 2 ? i64.load16U(address) : size === 4 ? i64.load32U(address) : i64.load(address)
  }

  /** 32 bits clear the upper half; fewer leave the rest (SDM volume 1, 3.4.1.1). */
  protected storeAt(address: Expr<'i32'>, value: Value, size: Size): void {
    this.f.do(size === 1 ? i64.store8(address, value) : size === 2 ? i64.store16(address, value) : i64.store(address, value))
  }

  /** The address of the instruction behind this one. */
  protected nextPc(): Value {
    return this.state.get64('next')
  }

  protected raise(vector: Expr<'i32'>, error: Expr<'i32'> | number = 0): void {
    this.f.do(this.state.set32('fault', i32.add(vector, 1)))
    this.f.do(this.state.set32('error', error))
    this.f.return(1)
  }

  faultIf(condition: Expr<'i32'>, vector: number, error: Expr<'i32'> | number = 0): void {
    this.f.if(condition, () => this.raise(i32.const(vector), error))
  }
}
