import { dataEntry, lastTag, tlbLayout } from '@machinist/mmu'
import { call, type Expr, type Func, i32, i64, type Label, type Local } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { isVector } from '../isa/operand.ts'
import { quickCondition } from './conditions.ts'
import type { CoreParts } from './core.ts'
import { FlagKind } from './flags.ts'
import { hasWideImmediate } from './hot-variants.ts'
import { segmentLayout } from './layout.ts'
import { denseLayout, densePage, INDEX_BITS, PLACE_BITS } from './op-format.ts'
import type { Segment, Value, Width } from './stage.ts'
import { withStatus } from './system/flags.ts'
import type { Variant } from './variant.ts'
import { VectorStage } from './vector-stage.ts'

/** Locals and labels of `run`. */
export interface HotPlace {
  readonly op: Local<'i32'>
  /** The page of ops, and the linear address of the page that it is of. */
  readonly ops: Local<'i32'>
  readonly page: Local<'i64'>
  readonly budget: Local<'i32'>
  readonly tlb: Local<'i32'>
  /** What addresses are cut to. */
  readonly mask: Local<'i64'>
  /** Where to go, for `jump`. */
  readonly target: Local<'i64'>
  /** What the last writer of flags did: see flags.ts. */
  readonly kind: Local<'i32'>
  readonly shift: Local<'i32'>
  readonly source: Local<'i64'>
  readonly result: Local<'i64'>
  readonly next: Label
  readonly jump: Label
  /** `step` is to execute the instruction, which has had no effect. */
  readonly escape: Label
}

/** From one vector register to the next. */
const VECTOR_BYTES = 32

/** Whether an address may be one that is not canonical. */
export function odd(linear: Value): Expr<'i32'> {
  return i64.ne(i64.shrU(i64.add(linear, 2 ** 47), 48), 0)
}

/**
 * Semantics of 64-bit code, and of flat 32-bit code, in a page of ops, within `run`: flags are in locals, accesses hit the TLB, and whatever is not usual escapes to `step`,
 * before it has had an effect.
 */
export class HotStage extends VectorStage {
  override readonly addressSize: Width = 8
  override readonly stackSize: Width
  readonly #place: HotPlace
  readonly #direct: Value | null
  /** Flags are those of a subtraction; this is the second instruction of an op. */
  #known = false
  #isSecond = false

  constructor(f: Func, parts: CoreParts, place: HotPlace, variant: Variant) {
    super(f, parts, place.op, variant)
    this.#place = place
    this.stackSize = variant.form.size64 !== null && variant.operandSize === 4 ? 4 : 8
    this.#direct = variant.form.operands[0]?.kind === 'rel' ? i64.and(i64.add(place.page, this.#displacement()), place.mask) : null
  }

  override emit(): void {
    this.checkAvailable()
    this.begin()
    this.variant.form.instruction.semantics(this)
    if (!this.jumped) this.#goOn()
  }

  /** This, and a conditional jump in the same op, which has its flags as known. */
  emitBoth(second: HotStage): void {
    this.begin()
    this.variant.form.instruction.semantics(this)
    second.#known = this.#known
    second.#isSecond = true
    second.emit()
  }

  #goOn(): void {
    this.f.set(this.op, i32.add(this.op, (this.#isSecond ? 2 : 1) * denseLayout.size))
    this.f.br(this.#place.next)
  }

  // Operands

  #displacement(): Value {
    return i64.load32S(this.op, denseLayout.displacement)
  }

  protected override registerOf(operand: number): Expr<'i32'> {
    const { kind } = this.operand(operand)
    const field = i32.load8U(this.op, kind === 'reg' || kind === 'vreg' || kind === 'sreg' ? denseLayout.reg : denseLayout.rm)
    if (kind === 'sreg') return i32.add(i32.mul(field, segmentLayout.size), this.state.segment(0))
    return isVector.has(kind) ? i32.add(i32.shl(field, Math.log2(VECTOR_BYTES)), this.state.float.vector(0)) : field
  }

  protected override readRegister(operand: number, size: Size): Value {
    const [at, offset] = [this.registerOf(operand), this.state.field('registers')]
    return size === 1 ? i64.load8U(at, offset) : size === 2 ? i64.load16U(at, offset) : size === 4 ? i64.load32U(at, offset) : i64.load(at, offset)
  }

  protected override writeRegister(operand: number, value: Value, size: Size): void {
    const [at, offset] = [this.registerOf(operand), this.state.field('registers')]
    this.f.do(size === 1 ? i64.store8(at, value, offset) : size === 2 ? i64.store16(at, value, offset) : i64.store(at, value, offset))
  }

  protected override immediate(): Value {
    const { form, operandSize } = this.variant
    return hasWideImmediate(form, operandSize) ? i64.load(this.op, denseLayout.displacement) : i64.load32S(this.op, denseLayout.immediate)
  }

  protected override effective(): Value {
    const registers = this.state.field('registers')
    const index = this.f.let(i32.load8U(this.op, denseLayout.index))
    const base = i64.load(i32.shl(i32.load8U(this.op, denseLayout.base), 3), registers)
    const scaled = i64.shl(i64.load(i32.shl(i32.and(index, 2 ** INDEX_BITS - 1), 3), registers), i64.extendU(i32.shrU(index, INDEX_BITS)))
    return i64.and(i64.add(i64.add(base, scaled), this.#displacement()), this.#place.mask)
  }

  // Memory

  protected override place(offset: Value, bytes: number, { right, align = 1 }: { segment: Segment; right: 'read' | 'write'; align?: number }): Local<'i32'> {
    const { f } = this
    const linear = f.let(offset)
    if (align > 1) f.brIf(this.#place.escape, i32.and(i32.wrap(linear), align - 1))
    const entry = f.let(dataEntry(this.#place.tlb, linear))
    const array = right === 'write' ? tlbLayout.write : tlbLayout.read
    f.brIf(this.#place.escape, i64.ne(i64.load(entry, array), lastTag(linear, bytes)))
    return f.let(i32.add(i32.wrap(linear), i32.load(entry, array + tlbLayout.dataOffset)))
  }

  protected override commit(): void {}

  // Control

  protected override nextPc(): Value {
    const place = this.f.let(i32.load16U(this.op, denseLayout.place))
    return i64.add(this.#place.page, i64.extendU(i32.add(i32.and(place, 2 ** PLACE_BITS - 1), i32.shrU(place, PLACE_BITS))))
  }

  override target(): Value {
    if (!this.#direct) throw new RangeError(`${this.variant.form.instruction.name} has no target of its own`)
    return this.#direct
  }

  override checkTarget(target: Value): void {
    const { f } = this
    const leaves = (): void => f.brIf(this.#place.escape, odd(target))
    if (target === this.#direct) f.if(i32.geU(i32.load(this.op, denseLayout.displacement), 4096), leaves)
    else leaves()
  }

  override jump(target: Value): void {
    this.jumped = true
    if (target === this.#direct) {
      this.#go()
      return
    }
    this.f.set(this.#place.target, target)
    this.f.br(this.#place.jump)
  }

  override branch(condition: Expr<'i32'>): void {
    const { budget } = this.#place
    this.jumped = true
    if (this.#isSecond) this.f.set(budget, i32.sub(budget, 1))
    this.f.if(condition, () => this.#go())
    this.#goOn()
  }

  /** To the target of the op, which is in this page as a rule. */
  #go(): void {
    goTo(this.f, this.#place)
  }

  override faultIf(condition: Expr<'i32'>): void {
    this.f.brIf(this.#place.escape, condition)
  }

  override try(): void {
    throw new RangeError(`${this.variant.form.instruction.name} is no instruction of run`)
  }

  protected override raise(): void {
    this.f.br(this.#place.escape)
  }

  // Flags

  #written(): readonly [Local<'i32'>, Local<'i32'>, Local<'i64'>, Local<'i64'>] {
    const { kind, shift, source, result } = this.#place
    return [kind, shift, source, result]
  }

  override carry(): Expr<'i32'> {
    return call(this.shared.carryOf, ...this.#written())
  }

  override flags(): Expr<'i32'> {
    return call(this.shared.statusOf, ...this.#written())
  }

  override allFlags(): Expr<'i32'> {
    return withStatus(this.state, this.flags())
  }

  /** What logic sets is what a subtraction of zero does. */
  override setLogic(result: Value, size: Size): void {
    super.setLogic(result, size)
    this.#known = true
  }

  override setArithmetic(kind: 'add' | 'sub', operands: readonly [Value, Value], result: Value, size: Size, carry: Value | null): void {
    super.setArithmetic(kind, operands, result, size, carry)
    if (kind === 'sub' && carry === null) this.#known = true
  }

  protected override setLazy(kind: Expr<'i32'>, source: Value, result: Value, size: Size): void {
    const { f } = this
    f.set(this.#place.source, source)
    f.set(this.#place.result, this.toTop(result, size))
    f.set(this.#place.shift, 64 - 8 * size)
    f.set(this.#place.kind, kind)
  }

  protected override setPlain(value: Expr<'i32'>): void {
    this.f.set(this.#place.kind, FlagKind.plain)
    this.f.set(this.#place.result, i64.extendU(value))
  }

  override condition(code: number): Expr<'i32'> {
    const { f } = this
    const { kind, source, result } = this.#place
    const quick = quickCondition(code >> 1, source, result)
    if (!quick) return super.condition(code)
    const turn = (test: Expr<'i32'>): Expr<'i32'> => (code & 1) === 0 ? test : i32.eqz(test)
    if (this.#known) return turn(quick.value)
    const usable = quick.always ? i32.ne(kind, FlagKind.plain) : i32.eq(kind, FlagKind.subtract)
    return f.choose('i32', usable, () => turn(quick.value), () => super.condition(code))
  }
}

/** To the target of an op, from the start of its page; or to `jump`, when that is not there or the budget is used up. */
export function goTo(f: Func, { op, ops, page, budget, mask, target, next, jump }: HotPlace): void {
  const to = f.let(i32.load(op, denseLayout.displacement))
  f.if(i32.ltU(to, 4096), () => {
    const number = f.let(i32.load16U(i32.add(ops, i32.shl(to, 1)), densePage.map))
    f.if(number, () => {
      f.set(op, i32.add(ops, i32.shl(number, Math.log2(denseLayout.size))))
      f.brIf(next, i32.gtS(budget, 0))
    })
  })
  f.set(target, i64.and(i64.add(page, i64.extendS(to)), mask))
  f.br(jump)
}
