import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { bytesOf, mayBeMemory, type Operand } from '../isa/operand.ts'
import type { Size } from '../isa/form.ts'
import { Vector } from '../vector.ts'
import { FlagStage } from './flag-stage.ts'
import { opLayout, segmentLayout, SegmentRight, stateLayout } from './layout.ts'
import type { CoreParts } from './core.ts'
import type { Segment, Stage, Value } from './stage.ts'
import { EventKind } from './system/interrupts.ts'
import type { Variant } from './variant.ts'
import type { VectorOps } from './vector-ops.ts'

const RCX = 1
const RSP = 4
const [ES, CS, SS] = [0, 1, 2]

/** Semantics over a decoded op in linear memory: the stepper's. Its functions return whether something was raised. */
export abstract class OpStage extends FlagStage implements Omit<Stage, keyof VectorOps> {
  readonly operandSize: Size
  readonly addressSize: 2 | 4 | 8
  readonly stackSize: 2 | 4 | 8
  protected readonly variant: Variant
  readonly #op: Local<'i32'>
  readonly #offset: Local<'i64'> | null
  protected jumped = false

  constructor(f: Func, parts: CoreParts, op: Local<'i32'>, variant: Variant) {
    super(f, parts)
    this.variant = variant
    this.#op = op
    this.operandSize = variant.operandSize
    this.addressSize = variant.addressSize
    this.stackSize = parts.stackSize
    this.#offset = variant.memory ? f.let(this.#effective()) : null
  }

  emit(this: this & Stage): void {
    this.variant.form.instruction.semantics(this)
    if (!this.jumped) this.f.do(this.state.set64('rip', this.#next()))
    this.f.return(0)
  }

  when(condition: Expr<'i32'>, then: () => void, otherwise?: () => void): void {
    this.f.if(condition, then, otherwise)
  }

  nothing(): void {}

  // Operands

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

  read(operand: number, size: Size = this.size(operand)): Value {
    const { kind, register } = this.operand(operand)
    if (this.isMemory(operand)) return this.load(this.offset(), size)
    switch (kind) {
      case 'imm': return this.truncate(this.#immediate(operand), size)
      case 'one': return i64.const(1)
      case 'fixed': return this.register(register, size)
      case 'segment': return i64.load16U(this.state.segment(register), segmentLayout.selector)
      case 'sreg': return i64.load16U(this.registerOf(operand), segmentLayout.selector)
      case 'si':
      case 'di': return this.load(this.#string(kind), size, kind === 'di' ? 'extra' : 'operand')
      default: return this.#loadAt(this.registerOf(operand), size)
    }
  }

  write(operand: number, value: Value): void {
    const { kind, register } = this.operand(operand)
    const size = this.size(operand)
    if (this.isMemory(operand)) this.store(this.offset(), value, size)
    else if (kind === 'fixed') this.setRegister(register, value, size)
    else if (kind === 'segment') this.setSegment(register, value)
    else if (kind === 'sreg') this.#loadSegment(i32.divU(i32.sub(this.registerOf(operand), this.state.segment(0)), segmentLayout.size), value)
    else if (kind === 'si' || kind === 'di') this.store(this.#string(kind), value, size, kind === 'di' ? 'extra' : 'operand')
    else this.#storeAt(this.registerOf(operand), value, size)
  }

  register(number: number, size: Size): Value {
    return this.#loadAt(i32.const(this.state.register(number)), size)
  }

  setRegister(number: number, value: Value, size: Size): void {
    this.#storeAt(i32.const(this.state.register(number)), value, size)
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

  #immediate(operand: number): Value {
    const before = this.variant.form.operands.slice(0, operand).filter(({ kind }) => kind === 'imm' || kind === 'vimm').length
    return i64.load(this.#op, opLayout.immediates + 8 * before)
  }

  protected registerOf(operand: number): Expr<'i32'> {
    return i32.load(this.#op, opLayout.operands + 4 * operand)
  }

  #loadAt(address: Expr<'i32'>, size: Size): Value {
    return size === 1 ? i64.load8U(address) : size === 2 ? i64.load16U(address) : size === 4 ? i64.load32U(address) : i64.load(address)
  }

  /** 32 bits clear the upper half; fewer leave the rest (SDM volume 1, 3.4.1.1). */
  #storeAt(address: Expr<'i32'>, value: Value, size: Size): void {
    this.f.do(size === 1 ? i64.store8(address, value) : size === 2 ? i64.store16(address, value) : i64.store(address, value))
  }

  // Memory

  #effective(): Value {
    const at = (field: 'base' | 'index'): Value => i64.load(i32.load(this.#op, opLayout[field]))
    const scaled = i64.shl(at('index'), i64.extendU(i32.load(this.#op, opLayout.scale)))
    return this.truncate(i64.add(i64.add(at('base'), scaled), i64.load(this.#op, opLayout.displacement)), this.addressSize)
  }

  offset(): Value {
    if (!this.#offset) throw new RangeError(`${this.variant.form.instruction.name} has no memory operand`)
    return this.#offset
  }

  #string(kind: 'si' | 'di'): Value {
    return this.register(kind === 'si' ? 6 : 7, this.addressSize)
  }

  load(offset: Value, size: Size, segment: Segment = 'operand'): Local<'i64'> {
    return this.f.let(this.#loadAt(this.place(offset, size, { segment, right: 'read' }), size))
  }

  store(offset: Value, value: Value, size: Size, segment: Segment = 'operand'): void {
    const bound = this.f.let(value)
    const place = this.place(offset, size, { segment, right: 'write' })
    this.f.do(size === 4 ? i64.store32(place, bound) : size === 8 ? i64.store(place, bound) : size === 2 ? i64.store16(place, bound) : i64.store8(place, bound))
    this.commit(place)
  }

  /** Ends a store: what is not in one piece of RAM was stored in a buffer. */
  protected commit(place: Local<'i32'>): void {
    this.f.if(i32.eq(place, this.state.at + stateLayout.bounce), () => this.f.do(call(this.parts.shared.commit)))
  }

  writable(offset: Value, bytes: number, segment: Segment = 'operand'): void {
    this.place(offset, bytes, { segment, right: 'write' })
  }

  aligned(offset: Value, bytes: number): void {
    this.faultIf(i64.ne(i64.and(this.#linear(this.#register('operand'), offset), bytes - 1), 0), Vector.generalProtection)
  }

  /** The address of a segment register in the state. */
  #register(segment: Segment): Expr<'i32'> {
    if (segment === 'operand') return i32.load(this.#op, opLayout.segment)
    return i32.const(this.mode === 64 ? this.state.at + stateLayout.zero : this.state.segment(segment === 'stack' ? SS : ES))
  }

  #linear(register: Expr<'i32'>, offset: Value): Value {
    return this.truncate(i64.add(i64.load(register, segmentLayout.base), offset), this.mode === 64 ? 8 : 4)
  }

  /** Where in linear memory a guest's bytes lie; or a fault. */
  protected place(offset: Value, bytes: number, { segment, right, align = 1 }: { segment: Segment; right: 'read' | 'write'; align?: number }): Local<'i32'> {
    const register = this.f.let(this.#register(segment))
    // #SS is one less than #GP.
    const vector = i32.sub(Vector.generalProtection, segment === 'operand' ? i32.load(this.#op, opLayout.inStack) : segment === 'stack' ? 1 : 0)
    const bound = this.f.let(offset)
    const address = this.f.let(this.#linear(register, bound))
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
    if (this.mode === 64) this.f.if(i32.or(this.#unusual(address), this.#unusual(i64.add(address, bytes - 1))), () => this.raise(vector))
    const place = this.f.let(call(this.parts.shared.place, address, bytes, Access[right], 0))
    this.f.if(i32.eqz(place), () => this.f.return(1))
    return place
  }

  /** Whether an address is not canonical (SDM volume 1, 3.3.7.1). */
  #unusual(address: Value): Expr<'i32'> {
    return call(this.parts.shared.unusual, address)
  }

  // The stack

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
    const onTop = i32.eq(i32.load(this.#op, opLayout.base), this.state.register(RSP))
    return this.truncate(i64.add(this.offset(), i64.mul(i64.extendU(onTop), this.operandSize)), this.addressSize)
  }

  // Control

  #next(): Value {
    return i64.load(this.#op, opLayout.next)
  }

  next64(): Value {
    return this.#next()
  }

  stringOffset(register: number): Value {
    return this.register(register, this.addressSize)
  }

  next(): Value {
    return this.truncate(this.#next(), this.operandSize)
  }

  target(): Value {
    return this.truncate(i64.add(this.#next(), i64.load(this.#op, opLayout.immediates)), this.operandSize)
  }

  setSegment(number: number, selector: Value): void {
    this.#loadSegment(i32.const(number), selector)
  }

  popSegment(number: number): void {
    this.try(call(this.parts.shared.popSegment, number, this.operandSize))
  }

  #loadSegment(number: Expr<'i32'>, selector: Value): void {
    this.try(call(this.parts.shared.loadSegment, number, i32.wrap(selector)))
  }

  leaves(): void {
    this.jumped = true
  }

  stateAt(register: number): Expr<'i32'> {
    return i32.const(this.state.segment(register))
  }

  numberOf(operand: number): Expr<'i32'> {
    return this.registerOf(operand)
  }

  try(faulted: Expr<'i32'>): void {
    this.f.if(faulted, () => this.f.return(1))
  }

  far(calls: boolean, selector: Value, offset: Value): void {
    this.jumped = true
    this.try(call(this.parts.shared.far, calls ? 1 : 0, i32.wrap(selector), offset, this.operandSize, this.#next()))
  }

  farReturn(release: Value): void {
    this.jumped = true
    this.try(call(this.parts.shared.farReturn, this.operandSize, release))
  }

  interruptReturn(): void {
    this.jumped = true
    this.try(call(this.parts.shared.interruptReturn, this.operandSize, this.#next()))
  }

  checkTarget(target: Value): void {
    const bad = this.mode === 64 ? this.#unusual(target) : i64.gtU(target, i64.load32U(this.state.segment(CS), segmentLayout.high))
    this.faultIf(bad, Vector.generalProtection)
  }

  jump(target: Value): void {
    this.jumped = true
    this.f.do(this.state.set64('rip', target))
  }

  branch(condition: Expr<'i32'>, target: Value): void {
    this.jump(select('i64', condition, target, this.#next()))
  }

  iterate(body: () => void, goesOn?: (equal: boolean) => Expr<'i32'>): void {
    const { repeat } = this.variant
    if (repeat === 'none') {
      body()
      return
    }
    const left = this.let(this.register(RCX, this.addressSize))
    this.when(i64.eqz(left), () => this.jump(this.#next()), () => {
      body()
      this.f.set(left, this.truncate(i64.sub(left, 1), this.addressSize))
      this.setRegister(RCX, left, this.addressSize)
      const more = i64.ne(left, 0)
      this.branch(goesOn ? i32.and(more, goesOn(repeat === 'repe')) : more, i64.load(this.#op, opLayout.pc))
    })
  }

  advance(register: number, bytes: Size): void {
    const step = i64.extendS(select('i32', this.state.get32('direction'), -bytes, bytes))
    this.setRegister(register, this.truncate(i64.add(this.register(register, this.addressSize), step), this.addressSize), this.addressSize)
  }

  protected raise(vector: Expr<'i32'>, error: Expr<'i32'> | number = 0): void {
    this.f.do(this.state.set32('fault', i32.add(vector, 1)))
    this.f.do(this.state.set32('error', error))
    this.f.return(1)
  }

  fault(vector: number): void {
    this.jumped = true
    this.raise(i32.const(vector))
  }

  fails(vector: number): void {
    this.raise(i32.const(vector))
  }

  faultIf(condition: Expr<'i32'>, vector: number, error: Expr<'i32'> | number = 0): void {
    this.f.if(condition, () => this.raise(i32.const(vector), error))
  }

  trap(vector: number): void {
    this.#event(i64.const(vector), EventKind.software)
  }

  interrupt(vector: Value): void {
    this.#event(vector, EventKind.software | EventKind.intN)
  }

  #event(vector: Value, kind: number): void {
    this.f.do(this.state.set64('rip', this.#next()))
    this.f.do(this.state.set32('event', kind))
    this.raise(i32.wrap(vector))
  }
}
