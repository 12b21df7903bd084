import { call, type Expr, type Func, i32, i64, type Local, select, type ValueType } from '@machinist/wasm'
import { STATUS } from '../flags.ts'
import type { Size } from '../isa/form.ts'
import type { CoreParts } from './core.ts'
import { FlagKind } from './flags.ts'
import type { Helpers } from './helpers.ts'
import { isNarrow, type Numbers, type State } from './layout.ts'
import type { SharedFunctions } from './system/functions.ts'
import { SystemFlag } from './system/code.ts'
import { allFlags, setAllFlags } from './system/flags.ts'
import type { Value, Width } from './stage.ts'

/** Bits of RFLAGS that are neither status nor DF and that POPF changes at any CPL (SDM volume 2, POPF). */
const POPPED = SystemFlag.trap | SystemFlag.nested | SystemFlag.alignment | SystemFlag.id

/** The part of a stage that is the same wherever operands are: values and lazy flags in the state. */
export abstract class FlagStage {
  abstract readonly operandSize: Size
  readonly f: Func
  readonly helpers: Helpers
  protected readonly parts: CoreParts
  protected readonly state: State
  readonly shared: SharedFunctions

  constructor(f: Func, parts: CoreParts) {
    this.f = f
    this.parts = parts
    this.helpers = parts.shared
    this.state = parts.state
    this.shared = parts.shared
  }

  let<T extends ValueType>(value: Expr<T>): Local<T> {
    return this.f.let(value)
  }

  select(condition: Expr<'i32'>, a: Value, b: Value): Value {
    return select('i64', condition, a, b)
  }

  truncate(value: Value, size: Width): Value {
    if (typeof size === 'object') return i64.and(value, size.mask)
    return size === 8 ? value : i64.and(value, 2 ** (8 * size) - 1)
  }

  signed(value: Value, size: Size): Value {
    return size === 8 ? value : size === 4 ? i64.extend32S(value) : size === 2 ? i64.extend16S(value) : i64.extend8S(value)
  }

  keptCarry(): Expr<'i32'> {
    return this.carry()
  }

  carry(): Expr<'i32'> {
    return call(this.parts.shared.carry)
  }

  flags(): Expr<'i32'> {
    return call(this.parts.shared.status)
  }

  condition(code: number): Expr<'i32'> {
    const flags = this.let(this.flags())
    const bit = (place: number): Expr<'i32'> => i32.and(i32.shrU(flags, place), 1)
    const less = (): Expr<'i32'> => i32.xor(bit(7), bit(11))
    const tests = [() => bit(11), () => bit(0), () => bit(6), () => i32.or(bit(0), bit(6)), () => bit(7), () => bit(2), less, () => i32.or(less(), bit(6))]
    const test = tests[code >> 1]?.() ?? i32.const(0)
    return (code & 1) === 0 ? test : i32.xor(test, 1)
  }

  setArithmetic(kind: 'add' | 'sub', [, source]: readonly [Value, Value], result: Value, size: Size, carry: Value | null): void {
    const plain = kind === 'add' ? FlagKind.add : FlagKind.subtract
    // With a carry-in of one the kind is the next.
    this.setLazy(carry ? i32.add(i32.wrap(carry), plain) : i32.const(plain), this.toTop(source, size), result, size)
  }

  setLogic(result: Value, size: Size): void {
    this.setLazy(i32.const(FlagKind.add), i64.const(0), result, size)
  }

  setStep(kind: 'inc' | 'dec', carry: Value, result: Value, size: Size): void {
    this.setLazy(i32.const(kind === 'inc' ? FlagKind.increment : FlagKind.decrement), carry, result, size)
  }

  setFlags(mask: number, bits: Expr<'i32'>): void {
    const kept = i32.and(this.flags(), STATUS & ~mask)
    this.setPlain(this.let(i32.or(mask === STATUS ? i32.const(0) : kept, i32.and(bits, mask))))
  }

  setGiven(bits: Expr<'i32'>, result: Value, size: Size): void {
    this.setLazy(i32.const(FlagKind.given), i64.extendU(bits), result, size)
  }

  protected setPlain(value: Expr<'i32'>): void {
    this.f.do(this.state.set32('flagKind', FlagKind.plain))
    this.f.do(this.state.set64('flagResult', i64.extendU(value)))
  }

  signZeroParity(result: Value, size: Size): Expr<'i32'> {
    return call(this.parts.shared.signZeroParity, this.toTop(result, size), 64 - 8 * size)
  }

  field(name: Numbers): Value {
    return isNarrow(name) ? i64.extendU(this.state.get32(name)) : this.state.get64(name)
  }

  setField(name: Numbers, value: Value): void {
    this.f.do(isNarrow(name) ? this.state.set32(name, i32.wrap(value)) : this.state.set64(name, value))
  }

  setDirection(value: 0 | 1): void {
    this.f.do(this.state.set32('direction', value))
  }

  setSystem(mask: number, bits: number): void {
    this.f.do(this.state.set32('system', i32.or(i32.and(this.state.get32('system'), ~mask), bits)))
  }

  allFlags(): Expr<'i32'> {
    return allFlags(this.state, { status: this.parts.shared.status })
  }

  setAllFlags(value: Expr<'i32'>): void {
    const cpl = this.let(this.state.get32('cpl'))
    const iopl = i32.and(i32.shrU(this.state.get32('system'), 12), 3)
    const interrupt = select('i32', i32.leU(cpl, iopl), SystemFlag.interrupt, 0)
    const level = select('i32', cpl, 0, SystemFlag.iopl)
    // RF is cleared.
    const changed = i32.or(i32.or(interrupt, level), POPPED | SystemFlag.resume)
    setAllFlags(this.f, this.state, i32.and(value, ~SystemFlag.resume), this.operandSize === 2 ? i32.and(changed, 0xffff) : changed)
  }

  protected toTop(value: Value, size: Size): Value {
    return i64.shl(value, 64 - 8 * size)
  }

  /** Keeps what a writer did: see flags.ts. `source` is shifted to the top where its kind wants that. */
  protected setLazy(kind: Expr<'i32'>, source: Value, result: Value, size: Size): void {
    this.f.do(this.state.set64('flagSource', source))
    this.f.do(this.state.set64('flagResult', this.toTop(result, size)))
    this.f.do(this.state.set32('flagShift', i32.const(64 - 8 * size)))
    this.f.do(this.state.set32('flagKind', kind))
  }
}
