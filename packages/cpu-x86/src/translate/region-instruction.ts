import type { RegionStage } from '@machinist/translator'
import { dataEntry, lastTag, tlbLayout } from '@machinist/mmu'
import { call, type Expr, i32, i64, Local } from '@machinist/wasm'
import type { Decoded } from '../decode/decoder.ts'
import type { CoreParts } from '../emit/core.ts'
import { Cr0, Cr4 } from '../emit/control-bits.ts'
import { FlagKind } from '../emit/flags.ts'
import { type Numbers, quickNumbers, quickRelation } from '../emit/float/quick.ts'
import { odd } from '../emit/hot-stage.ts'
import { segmentLayout, SegmentRight } from '../emit/layout.ts'
import type { Segment, Value, Width } from '../emit/stage.ts'
import type { Variant } from '../emit/variant.ts'
import type { Half } from '../emit/vector-ops.ts'
import { VectorStage } from '../emit/vector-stage.ts'
import { STATUS } from '../flags.ts'
import { type FloatClass, floatClass } from '../isa/float-class.ts'
import type { Size } from '../isa/form.ts'
import { isMmx } from '../isa/operand.ts'
import type { RegionFlags } from './region-flags.ts'
import { Kept } from './registers.ts'

const RSP = 4
const [CS, FS] = [1, 4]
/** AH to BH are the second bytes of the first four registers. */
const HIGH_BYTES = 4

/** What regions have no code for; it is executed elsewhere. */
export class Untranslated extends Error {}

function refuse(): never {
  throw new Untranslated()
}

/** There is no decoded op in linear memory. */
class NoOp extends Local<'i32'> {
  override emit(): void {
    refuse()
  }
}
const noOp = new NoOp('i32', 0)

/** What is found out of an instruction when it is written for nobody. */
export interface Conduct {
  /** How it ends. */
  flow: 'next' | 'branch' | 'jump' | 'indirect'
  /** It stores to its memory operand. */
  stores: boolean
  /** It replaces some of the flags. */
  replaces: boolean
}

/** Which general registers are known to be zero in their upper halves, in a block. */
export interface Narrow {
  block: number
  readonly registers: Set<number>
}

/** Of which kinds of registers it was found in a block that they may be used. */
export interface Ready {
  block: number
  readonly kinds: Set<FloatClass>
}

/**
 * Semantics of one instruction in a region of 64-bit code, or of flat 32-bit code: operands are constants and locals, accesses hit the TLB, and whatever is not usual
 * leaves the region before it has had an effect.
 */
export class RegionInstruction extends VectorStage {
  override readonly addressSize: Width
  override readonly stackSize: Width
  readonly #region: RegionStage
  readonly #decoded: Decoded
  readonly #flags: RegionFlags
  readonly #conduct: Conduct
  readonly #ready: Ready
  readonly #narrow: Narrow
  /** Within code under a condition. */
  #conditional = false
  readonly #direct: Value | null
  /** Where the memory operand lies, once it was looked for in the write TLB. */
  #writable: Local<'i32'> | null = null
  #writableBytes = 0

  constructor(region: RegionStage, parts: CoreParts, decoded: Decoded, variant: Variant, flags: RegionFlags, conduct: Conduct, { ready, narrow }: { readonly ready: Ready; readonly narrow: Narrow }) {
    super(region.f, parts, noOp, variant)
    this.#region = region
    this.#decoded = decoded
    this.#flags = flags
    this.#conduct = conduct
    this.#ready = ready
    this.#narrow = narrow
    this.addressSize = decoded.addressSize
    this.stackSize = decoded.mode === 64 ? 8 : 4
    this.#direct = decoded.form.operands[0]?.kind === 'rel' ? this.#at(this.#goal) : null
  }

  override emit(): void {
    this.#flags.enter(this.#region.block)
    if (this.#narrow.block !== this.#region.block) this.#narrow.registers.clear()
    this.#narrow.block = this.#region.block
    this.#checkReady()
    this.begin()
    this.variant.form.instruction.semantics(this)
  }

  /** Nothing in a block changes what is asked. */
  #checkReady(): void {
    const { form } = this.variant
    const kind = floatClass(form)
    if (kind === null) return
    if (kind !== 'sse' || form.operands.some(({ kind }) => isMmx.has(kind))) refuse()
    const ready = this.#ready
    if (ready.block !== this.#region.block) ready.kinds.clear()
    ready.block = this.#region.block
    if (ready.kinds.has(kind)) return
    const has = (field: 'cr0' | 'cr4', mask: number): Expr<'i32'> => i64.ne(i64.and(this.state.get64(field), mask), 0)
    this.#region.escapeIf(i32.or(has('cr0', Cr0.em | Cr0.ts), i32.eqz(has('cr4', Cr4.osfxsr))))
    ready.kinds.add(kind)
  }

  get #wide(): boolean {
    return this.#decoded.mode === 64
  }

  /** Of what is relative to it, from the start of the page: the next instruction, and a direct target. */
  get #behind(): number {
    return this.#region.offset + this.#decoded.length
  }

  get #goal(): number {
    return this.#behind + Number(this.#decoded.immediates[0] ?? 0n)
  }

  #at(offset: number): Value {
    const address = i64.add(this.#region.unit, offset)
    return this.#wide || offset >= 0 && offset < 4096 ? address : i64.and(address, 0xffff_ffff)
  }

  // Operands

  override truncate(value: Value, size: Width): Value {
    if (typeof size === 'number' && value.constant !== undefined) return i64.const(BigInt.asUintN(8 * size, BigInt(value.constant)))
    return super.truncate(value, size)
  }

  override known(operand: number): number | null {
    return this.isImmediate(operand) ? Number(BigInt.asUintN(8, this.#immediateOf(operand))) : super.known(operand)
  }

  override register(number: number, size: Width): Value {
    const value = this.#region.get(number)
    return size === 4 && this.#narrow.registers.has(number) ? value : this.truncate(value, size)
  }

  override setRegister(number: number, value: Value, size: Width): void {
    if (typeof size === 'object') return refuse()
    if (size === 8) this.#narrow.registers.delete(number)
    else if (size === 4 && !this.#conditional) this.#narrow.registers.add(number)
    this.#region.set(number, size >= 4 ? value : i64.or(i64.and(this.#region.get(number), size === 2 ? -0x1_0000 : -0x100), value))
  }

  override high(): Value {
    return i64.and(i64.shrU(this.#region.get(0), 8), 0xff)
  }

  override setHigh(value: Value): void {
    this.#setHigh(0, value)
  }

  #setHigh(number: number, value: Value): void {
    this.#region.set(number, i64.or(i64.and(this.#region.get(number), -0xff01), i64.shl(value, 8)))
  }

  protected override registerOf(): Expr<'i32'> {
    return refuse()
  }

  /** The number of a register that is an operand, and whether it is the second byte of that. */
  #placeOf(operand: number): { readonly number: number; readonly high: boolean } {
    const { kind, size } = this.operand(operand)
    const { reg, rm, vvvv, rex } = this.#decoded
    if (kind === 'vvvvreg') return { number: vvvv, high: false }
    if (kind !== 'reg' && kind !== 'rm' && kind !== 'opreg' && kind !== 'rmreg') return refuse()
    const number = kind === 'reg' ? reg : rm
    const high = size === 'b' && !rex && number >= HIGH_BYTES && number < 2 * HIGH_BYTES
    return high ? { number: number - HIGH_BYTES, high } : { number, high }
  }

  protected override readRegister(operand: number, size: Size): Value {
    const { number, high } = this.#placeOf(operand)
    return high ? i64.and(i64.shrU(this.#region.get(number), 8), 0xff) : this.register(number, size)
  }

  protected override writeRegister(operand: number, value: Value, size: Size): void {
    const { number, high } = this.#placeOf(operand)
    if (high) this.#setHigh(number, value)
    else this.setRegister(number, value, size)
  }

  #immediateOf(operand: number): bigint {
    const before = this.variant.form.operands.slice(0, operand).filter(({ kind }) => kind === 'imm' || kind === 'vimm').length
    return this.#decoded.immediates[before] ?? 0n
  }

  protected override immediate(operand: number): Value {
    return i64.const(this.#immediateOf(operand))
  }

  // Vectors

  #vector(operand: number): number {
    const { kind } = this.operand(operand)
    const { reg, rm } = this.#decoded
    if (kind !== 'vreg' && kind !== 'vrm' && kind !== 'vrmreg') return refuse()
    return Kept.vectors + (kind === 'vreg' ? reg : rm)
  }

  override half(operand: number, index: 0 | 1 = 0): Half {
    return this.isMemory(operand) ? super.half(operand, index) : this.#region.get(this.#vector(operand), 'v128')
  }

  override setHalves(operand: number, halves: readonly Half[]): void {
    if (this.isMemory(operand)) super.setHalves(operand, halves)
    else this.#region.set(this.#vector(operand), halves[0] ?? refuse())
  }

  override setHalf(operand: number, _index: 0 | 1, value: Half): void {
    this.#region.set(this.#vector(operand), value)
  }

  override firstVector(): Half {
    return this.#region.get(Kept.vectors, 'v128')
  }

  override setFirstVector(value: Half): void {
    this.#region.set(Kept.vectors, value)
  }

  override numbers(numbers: Numbers, operands: readonly (readonly Local<'v128'>[])[], exact: (operands: readonly Local<'v128'>[]) => Half): readonly Half[] {
    this.#region.settle()
    return operands.map((of) => quickNumbers(this.f, this.state.float, numbers, of, () => this.#raising(() => this.f.let(exact(of)))))
  }

  override relation(format: Numbers['format'], operands: readonly [Local<'v128'>, Local<'v128'>], exact: () => Expr<'i32'>): Expr<'i32'> {
    this.#region.settle()
    return quickRelation(this.f, format, operands, () => this.#raising(() => this.f.let(exact())))
  }

  #raising<T>(exact: () => T): T {
    this.beginSimd()
    const result = exact()
    this.endSimd()
    return result
  }

  /** As a rule there is nothing to raise. What is raised may be raised twice. */
  override endSimd(): void {
    this.#region.settle()
    this.f.if(this.state.float.get32('exceptions'), () => this.f.if(call(this.float.sse.raise), () => this.raise()))
  }

  // Memory

  protected override effective(): Value {
    const { address, form } = this.#decoded
    if (!address || form.vsib) return refuse()
    const { base, index, scale, displacement, relative } = address
    const region = this.#region
    if (relative) return this.truncate(i64.add(region.unit, BigInt(this.#behind) + displacement), this.addressSize)
    if (index < 0 && base >= 0 && displacement === 0n) return this.register(base, this.addressSize)
    const scaled = index < 0 ? i64.const(0) : i64.shl(region.get(index), scale)
    const sum = base < 0 ? scaled : i64.add(region.get(base), scaled)
    return this.truncate(sum.constant === undefined ? i64.add(sum, displacement) : i64.const(displacement), this.addressSize)
  }

  protected override place(offset: Value, bytes: number, { segment, right, align = 1 }: { segment: Segment; right: 'read' | 'write'; align?: number }): Local<'i32'> {
    const { f } = this
    const own = segment === 'operand' && this.variant.memory && offset === this.offset()
    if (own && right === 'write') this.#conduct.stores = true
    if (own && this.#writable && bytes <= this.#writableBytes) return this.#writable
    const linear = f.let(this.#linear(offset, segment))
    if (align > 1) this.#region.escapeIf(i32.and(i32.wrap(linear), align - 1))
    const bank = this.#region.constants['tlb'] ?? refuse()
    const entry = f.let(dataEntry(bank, linear))
    // Whoever may write may read.
    const write = right === 'write' || own && this.#conduct.stores
    const array = write ? tlbLayout.write : tlbLayout.read
    this.#region.escapeIf(i64.ne(i64.load(entry, array), lastTag(linear, bytes)))
    const place = f.let(i32.add(i32.wrap(linear), i32.load(entry, array + tlbLayout.dataOffset)))
    if (own && write) {
      this.#writable = place
      this.#writableBytes = bytes
    }
    return place
  }

  #linear(offset: Value, segment: Segment): Value {
    if (segment !== 'operand') return offset
    const number = this.#decoded.segment
    // Whether CS may be read is another matter, and written it may not be.
    if (number === CS && !this.#wide) refuse()
    if (number < FS) return offset
    const at = this.state.segment(number)
    const linear = i64.add(offset, i64.load(at, segmentLayout.base))
    if (this.#wide) return linear
    const whole = i64.eq(i64.load(at, segmentLayout.low), BigInt.asIntN(64, 0xffff_ffff_0000_0000n))
    const both = SegmentRight.read | SegmentRight.write
    this.#region.escapeIf(i32.or(i32.eqz(whole), i32.ne(i32.and(i32.load(at, segmentLayout.rights), both), both)))
    return i64.and(linear, 0xffff_ffff)
  }

  protected override commit(): void {}

  override aligned(offset: Value, bytes: number): void {
    this.#region.escapeIf(i64.ne(i64.and(this.#linear(offset, 'operand'), bytes - 1), 0))
  }

  override linear(): Value {
    return refuse()
  }

  override popOffset(): Value {
    const { base = -1 } = this.#decoded.address ?? {}
    return base === RSP ? this.truncate(i64.add(this.offset(), this.operandSize), this.addressSize) : this.offset()
  }

  // Control

  protected override nextPc(): Value {
    return this.#at(this.#behind)
  }

  override target(): Value {
    // Those of 16 bits are elsewhere.
    return this.operandSize === 2 && !this.#wide ? refuse() : this.#direct ?? refuse()
  }

  override checkTarget(target: Value): void {
    if (!this.#wide || target === this.#direct && this.#goal >= 0 && this.#goal < 4096) return
    this.#region.escapeIf(odd(target))
  }

  override jump(target: Value): void {
    this.jumped = true
    this.#conduct.flow = target === this.#direct ? 'jump' : 'indirect'
    if (target === this.#direct) this.#region.jump()
    else this.#region.indirect(target)
  }

  override branch(condition: Expr<'i32'>): void {
    this.jumped = true
    this.#conduct.flow = 'branch'
    this.#region.branch(condition)
  }

  override when(condition: Expr<'i32'>, then: () => void, otherwise?: () => void): void {
    const flags = this.#flags
    this.#region.settle()
    const before = flags.known
    const writable = this.#writable
    let changed = false
    const conditional = this.#conditional
    const arm = (body: () => void) => (): void => {
      flags.known = before
      this.#conditional = true
      body()
      this.#conditional = conditional
      changed ||= flags.known !== before
      this.#writable = writable
    }
    super.when(condition, arm(then), otherwise && arm(otherwise))
    flags.known = before
    if (changed) flags.forget()
  }

  override faultIf(condition: Expr<'i32'>): void {
    this.#region.escapeIf(condition)
  }

  protected override raise(): void {
    this.#region.escapeIf(i32.const(1))
  }

  override trap(): void {
    this.raise()
  }

  override interrupt(): void {
    refuse()
  }

  override try(): void {
    refuse()
  }

  override leaves(): void {
    refuse()
  }

  protected override chunk(): Expr<'i32'> {
    return refuse()
  }

  override iterate(body: () => void): void {
    if (this.variant.repeat !== 'none') refuse()
    body()
  }

  // Flags

  override carry(): Expr<'i32'> {
    return this.#flags.carry(this.#region)
  }

  override keptCarry(): Expr<'i32'> {
    return this.#region.needed(Kept.how) ? this.carry() : i32.const(0)
  }

  override flags(): Expr<'i32'> {
    return this.#flags.flags(this.#region)
  }

  override condition(code: number): Expr<'i32'> {
    return this.#flags.condition(this.#region, code) ?? super.condition(code)
  }

  override setArithmetic(kind: 'add' | 'sub', operands: readonly [Value, Value], result: Value, size: Size, carry: Value | null): void {
    const plain = kind === 'add' ? FlagKind.add : FlagKind.subtract
    this.#flags.write(this.#region, {
      kind, size, carry: carry !== null, number: carry ? i32.add(i32.wrap(carry), plain) : plain, source: this.toTop(operands[1], size), operands, result,
    })
  }

  override setLogic(result: Value, size: Size): void {
    this.#flags.write(this.#region, { kind: 'logic', size, carry: false, number: FlagKind.add, source: i64.const(0), result })
  }

  override setStep(kind: 'inc' | 'dec', carry: Value, result: Value, size: Size): void {
    this.#flags.write(this.#region, { kind: 'step', size, carry: false, number: kind === 'inc' ? FlagKind.increment : FlagKind.decrement, source: carry, result })
  }

  override setGiven(bits: Expr<'i32'>, result: Value, size: Size): void {
    this.#flags.write(this.#region, { kind: 'given', size, carry: false, number: FlagKind.given, source: i64.extendU(bits), result })
  }

  override setFlags(mask: number, bits: Expr<'i32'>): void {
    if (mask !== STATUS) this.#flags.replace(this.#region, mask, bits)
    else this.#flags.write(this.#region, { kind: 'plain', size: 8, carry: false, number: FlagKind.plain, source: i64.const(0), result: i64.extendU(i32.and(bits, mask)) })
  }

  // What may have to be looked at between instructions.

  override field(): Value {
    return refuse()
  }

  override setField(): void {
    refuse()
  }

  override setSystem(): void {
    refuse()
  }

  override allFlags(): Expr<'i32'> {
    return refuse()
  }

  override setAllFlags(): void {
    refuse()
  }
}
