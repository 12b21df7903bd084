import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, i32, i64, type Local } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { Vector } from '../vector.ts'
import type { CoreParts } from './core.ts'
import { opLayout, segmentLayout, SegmentRight } from './layout.ts'
import { OperandStage } from './operands.ts'
import type { Segment, Value } from './stage.ts'
import type { Variant } from './variant.ts'

const RSP = 4
const [ES, SS] = [0, 2]

/** Memory by segment and offset, and the stack. */
export abstract class MemoryStage extends OperandStage {
  readonly #offset: Local<'i64'> | null

  constructor(f: Func, parts: CoreParts, op: Local<'i32'>, variant: Variant) {
    super(f, parts, op, variant)
    this.#offset = variant.memory ? f.let(this.#effective()) : null
  }

  #effective(): Value {
    const at = (field: 'base' | 'index'): Value => i64.load(i32.load(this.op, opLayout[field]))
    const scaled = i64.shl(at('index'), i64.extendU(i32.load(this.op, opLayout.scale)))
    return this.truncate(i64.add(i64.add(at('base'), scaled), i64.load(this.op, opLayout.displacement)), this.addressSize)
  }

  offset(): Value {
    if (!this.#offset) throw new RangeError(`${this.variant.form.instruction.name} has no memory operand`)
    return this.#offset
  }

  protected string(kind: 'si' | 'di'): Value {
    return this.register(kind === 'si' ? 6 : 7, this.addressSize)
  }

  load(offset: Value, size: Size, segment: Segment = 'operand'): Local<'i64'> {
    return this.f.let(this.loadAt(this.place(offset, size, { segment, right: 'read' }), size))
  }

  store(offset: Value, value: Value, size: Size, segment: Segment = 'operand'): void {
    const bound = this.f.let(value)
    const place = this.place(offset, size, { segment, right: 'write' })
    this.f.do(size === 4 ? i64.store32(place, bound) : size === 8 ? i64.store(place, bound) : size === 2 ? i64.store16(place, bound) : i64.store8(place, bound))
    this.commit(place)
  }

  /** Ends a store: what is not in one piece of RAM was stored in a buffer. */
  protected commit(place: Local<'i32'>): void {
    this.f.if(i32.eq(place, this.state.field('bounce')), () => this.f.do(call(this.parts.shared.commit)))
  }

  writable(offset: Value, bytes: number, segment: Segment = 'operand'): void {
    this.place(offset, bytes, { segment, right: 'write' })
  }

  aligned(offset: Value, bytes: number): void {
    this.faultIf(i64.ne(i64.and(this.linear(this.#segmentAt('operand'), offset), bytes - 1), 0), Vector.generalProtection)
  }

  /** The address of a segment register in the state. */
  #segmentAt(segment: Segment): Expr<'i32'> {
    if (segment === 'operand') return i32.load(this.op, opLayout.segment)
    return i32.const(this.mode === 64 ? this.state.field('zero') : this.state.segment(segment === 'stack' ? SS : ES))
  }

  protected linear(register: Expr<'i32'>, offset: Value): Value {
    return this.truncate(i64.add(i64.load(register, segmentLayout.base), offset), this.mode === 64 ? 8 : 4)
  }

  /** Where in linear memory a guest's bytes lie; or a fault. */
  protected place(offset: Value, bytes: number, { segment, right, align = 1 }: { segment: Segment; right: 'read' | 'write'; align?: number }): Local<'i32'> {
    const register = this.f.let(this.#segmentAt(segment))
    // #SS is one less than #GP.
    const vector = i32.sub(Vector.generalProtection, segment === 'operand' ? i32.load(this.op, opLayout.inStack) : segment === 'stack' ? 1 : 0)
    const bound = this.f.let(offset)
    const address = this.f.let(this.linear(register, bound))
    // AMD's processors look at this first.
    if (align > 1) this.f.if(i32.wrap(i64.and(address, align - 1)), () => this.raise(i32.const(Vector.generalProtection)))
    if (this.mode !== 64) {
      // Limit and type (SDM volume 3, 6.3 and 6.4).
      const low = i64.ltU(bound, i64.load32U(register, segmentLayout.low))
      const high = i64.gtU(i64.add(bound, bytes - 1), i64.load32U(register, segmentLayout.high))
      const barred = i32.eqz(i32.and(i32.load(register, segmentLayout.rights), SegmentRight[right]))
      this.f.if(i32.or(i32.or(low, high), barred), () => this.raise(vector))
    }
    // All of an operand must be canonical.
    if (this.mode === 64) this.f.if(i32.or(this.unusual(address), this.unusual(i64.add(address, bytes - 1))), () => this.raise(vector))
    const place = this.f.let(call(this.parts.shared.place, address, bytes, Access[right], 0))
    this.f.if(i32.eqz(place), () => this.f.return(1))
    return place
  }

  /** Whether an address is not canonical (SDM volume 1, 3.3.7.1). */
  protected unusual(address: Value): Expr<'i32'> {
    return call(this.parts.shared.unusual, address)
  }

  #fromTop(distance: number): Value {
    return this.truncate(i64.add(this.register(RSP, this.stackSize), distance), this.stackSize)
  }

  push(value: Value): void {
    this.storeStack(-this.operandSize, value)
    this.release(-this.operandSize)
  }

  top(): Value {
    return this.loadStack(0)
  }

  release(bytes: number, more?: Value): void {
    this.setRegister(RSP, this.truncate(more ? i64.add(this.#fromTop(bytes), more) : this.#fromTop(bytes), this.stackSize), this.stackSize)
  }

  loadStack(distance: number): Value {
    return this.load(this.#fromTop(distance), this.operandSize, 'stack')
  }

  storeStack(distance: number, value: Value): void {
    this.store(this.#fromTop(distance), value, this.operandSize, 'stack')
  }

  popOffset(): Value {
    const onTop = i32.eq(i32.load(this.op, opLayout.base), this.state.register(RSP))
    return this.truncate(i64.add(this.offset(), i64.mul(i64.extendU(onTop), this.operandSize)), this.addressSize)
  }

  stringOffset(register: number): Value {
    return this.register(register, this.addressSize)
  }
}
