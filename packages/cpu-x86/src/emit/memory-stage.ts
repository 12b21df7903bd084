import { Access } from '@machinist/mmu'
import { call, type Expr, i32, i64, type Local } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { Vector } from '../vector.ts'
import { opLayout } from './layout.ts'
import { OperandStage } from './operands.ts'
import type { Segment, Value } from './stage.ts'

const RSP = 4
const [ES, SS] = [0, 2]

/** Memory by segment and offset, and the stack. */
export abstract class MemoryStage extends OperandStage {
  #offset: Local<'i64'> | null = null
  #checksAlignment = true

  /** Before the semantics: an address is what it is before anything changes. */
  protected begin(): void {
    if (this.variant.memory) this.#offset = this.f.let(this.effective())
  }

  protected effective(): Value {
    const at = (field: 'base' | 'index'): Value => i64.load(i32.load(this.op, opLayout[field]))
    const scaled = i64.shl(at('index'), i64.extendU(i32.load(this.op, opLayout.scale)))
    return this.truncate(i64.add(i64.add(at('base'), scaled), i64.load(this.op, opLayout.displacement)), this.addressSize)
  }

  offset(): Value {
    if (!this.#offset) throw new RangeError(`${this.variant.form.instruction.name} has no memory operand`)
    return this.#offset
  }

  linear(): Value {
    return call(this.parts.shared.linear, this.#segmentAt('operand'), this.offset())
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

  anyAlignment(body: () => void): void {
    this.#checksAlignment = false
    body()
    this.#checksAlignment = true
  }

  aligned(offset: Value, bytes: number): void {
    this.faultIf(i64.ne(i64.and(call(this.parts.shared.linear, this.#segmentAt('operand'), offset), bytes - 1), 0), Vector.generalProtection)
  }

  /** The address of a segment register in the state. */
  #segmentAt(segment: Segment): Expr<'i32'> {
    if (segment === 'operand') return i32.load(this.op, opLayout.segment)
    return i32.const(this.state.segment(segment === 'stack' ? SS : ES))
  }

  /** Where in linear memory a guest's bytes lie; or a fault. */
  protected place(offset: Value, bytes: number, { segment, right, align = 1 }: { segment: Segment; right: 'read' | 'write'; align?: number }): Local<'i32'> {
    const bound = this.f.let(offset)
    // AMD's processors look at this first.
    if (align > 1) this.aligned(bound, align)
    if (!this.#checksAlignment) this.f.do(this.state.set32('unaligned', 1))
    const place = this.f.let(call(this.parts.shared.placeIn, this.#segmentAt(segment), bound, bytes, Access[right]))
    if (!this.#checksAlignment) this.f.do(this.state.set32('unaligned', 0))
    this.f.if(i32.eqz(place), () => this.f.return(1))
    return place
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
