import { call, type Expr, i32, i64, i64x2, type Local, select, v128 } from '@machinist/wasm'
import { isMmx, isVector, operandBytes, type VectorSize } from '../isa/operand.ts'
import { floatClass } from '../isa/float-class.ts'
import { Vector } from '../vector.ts'
import { Cr0, Cr4, Xcr0 } from './control-bits.ts'
import type { FloatFunctions } from './float/functions.ts'
import { C1, raise, scratch } from './float/extended.ts'
import type { Numbers } from './float/quick.ts'
import { Exception } from './float/sse.ts'
import { STACK_FAULT } from './float/x87-stack.ts'
import { opLayout } from './layout.ts'
import { OpStage } from './op-stage.ts'
import { SystemFlag } from './system/code.ts'
import type { Stage } from './stage.ts'
import type { Half } from './vector-ops.ts'

const TOP = 7 << 11
const SUMMARY = 1 << 7

/** An OpStage with vector registers. */
export class VectorStage extends OpStage implements Stage {
  /** Where the memory operand lies, once it was read. */
  #source: Local<'i32'> | null = null

  override emit(this: this & Stage): void {
    // In real-address and virtual-8086 mode there is no VEX (SDM volume 2, 2.3.11).
    if (this.vex) this.faultIf(i32.or(i64.eqz(i64.and(this.state.get64('cr0'), Cr0.pe)), i32.ne(i32.and(this.state.get32('system'), SystemFlag.vm), 0)), Vector.invalidOpcode)
    this.checkAvailable()
    super.emit()
  }

  /** #UD and #NM of what has floating-point or vector registers (SDM volume 3, tables 2-2 and 14-1). */
  protected checkAvailable(): void {
    const kind = floatClass(this.variant.form)
    if (kind === null) return
    const [cr0, cr4, xcr0] = (['cr0', 'cr4', 'xcr0'] as const).map((name) => this.state.get64(name)) as [Expr<'i64'>, Expr<'i64'>, Expr<'i64'>]
    const has = (value: Expr<'i64'>, mask: number): Expr<'i32'> => i64.ne(i64.and(value, mask), 0)
    if (kind === 'wait') this.faultIf(i64.eq(i64.and(cr0, Cr0.mp | Cr0.ts), Cr0.mp | Cr0.ts), Vector.deviceNotAvailable)
    else if (kind === 'x87') this.faultIf(has(cr0, Cr0.em | Cr0.ts), Vector.deviceNotAvailable)
    else {
      if (kind === 'avx') this.faultIf(i32.or(i32.eqz(has(cr4, Cr4.osxsave)), i64.ne(i64.and(xcr0, Xcr0.sse | Xcr0.avx), Xcr0.sse | Xcr0.avx)), Vector.invalidOpcode)
      else this.faultIf(kind === 'sse' ? i32.or(has(cr0, Cr0.em), i32.eqz(has(cr4, Cr4.osfxsr))) : has(cr0, Cr0.em), Vector.invalidOpcode)
      this.faultIf(has(cr0, Cr0.ts), Vector.deviceNotAvailable)
    }
  }

  get vectorSize(): VectorSize {
    return this.variant.vector
  }

  get vex(): boolean {
    return this.variant.form.vex !== null
  }

  vectorBytes(operand: number): number {
    const { kind, size } = this.operand(operand)
    return isMmx.has(kind) && size !== 'd' ? 8 : operandBytes(size, this.operandSize, this.vectorSize)
  }

  half(operand: number, index: 0 | 1 = 0): Half {
    const { size } = this.operand(operand)
    if (!this.isMemory(operand)) {
      const address = this.registerOf(operand)
      return isMmx.has(this.operand(operand).kind) ? v128.load64Zero(address) : v128.load(address, 16 * index)
    }
    const bytes = operandBytes(size, this.operandSize, this.vectorSize)
    const offset = this.offset()
    if (bytes >= 16) {
      // All of an operand is looked for at once.
      this.#source ??= this.place(offset, bytes, { segment: 'operand', right: 'read', align: this.#alignment(0) })
      return this.f.let(v128.load(this.#source, 16 * index))
    }
    if (bytes === 8) return this.f.let(v128.load64Zero(this.place(offset, 8, { segment: 'operand', right: 'read' })))
    if (bytes === 4) return this.f.let(v128.load32Zero(this.place(offset, 4, { segment: 'operand', right: 'read' })))
    const value = this.load(offset, bytes === 2 ? 2 : 1)
    return this.f.let(i64x2.replaceLane(v128.const(0n, 0n), 0, value))
  }

  setHalves(operand: number, halves: readonly Half[]): void {
    const { kind } = this.operand(operand)
    const bound = halves.map((half) => this.f.let(half))
    const [low, high] = bound
    if (!low) throw new RangeError('nothing to write')
    if (this.isMemory(operand)) {
      const bytes = this.vectorBytes(operand)
      if (bytes === 32) this.place(this.offset(), 32, { segment: 'operand', right: 'write', align: this.#alignment(0) })
      bound.slice(0, Math.ceil(bytes / 16)).forEach((half, index) => this.#store(half, Math.min(bytes, 16), index as 0 | 1))
      return
    }
    const address = this.registerOf(operand)
    if (isVector.has(kind)) {
      this.f.do(v128.store(address, low))
      if (this.vex) this.f.do(v128.store(address, high ?? v128.const(0n, 0n), 16))
      return
    }
    this.f.do(i64.store(address, i64x2.extractLane(low, 0)))
    // What stands above an MMX register reads as a NaN or an infinity.
    this.f.do(i64.store16(address, i64.const(0xffff), 8))
  }

  setHalf(operand: number, index: 0 | 1, value: Half): void {
    this.f.do(v128.store(this.registerOf(operand), value, 16 * index))
  }

  #store(half: Half, bytes: number, index: 0 | 1): void {
    const offset = index === 0 ? this.offset() : i64.add(this.offset(), 16)
    if (bytes === 16) {
      const place = this.place(offset, 16, { segment: 'operand', right: 'write', align: this.#alignment(index) })
      this.f.do(v128.store(place, half))
      this.commit(place)
    } else this.store(offset, this.#low(half, bytes), bytes === 8 ? 8 : bytes === 4 ? 4 : bytes === 2 ? 2 : 1)
  }

  #low(half: Half, bytes: number): Expr<'i64'> {
    const low = i64x2.extractLane(half, 0)
    return bytes === 8 ? low : i64.and(low, 2 ** (8 * bytes) - 1)
  }

  /** What an address must be a multiple of. */
  #alignment(index: 0 | 1): number {
    return this.variant.form.aligned && index === 0 ? this.vectorSize : 1
  }

  firstVector(): Half {
    return v128.load(this.state.float.vector(0))
  }

  vectorAddress(): { readonly base: Expr<'i64'>; readonly scale: Expr<'i64'>; readonly index: (half: 0 | 1) => Half } {
    const base = i64.add(i64.load(i32.load(this.op, opLayout.base)), i64.load(this.op, opLayout.displacement))
    return { base: this.f.let(base), scale: this.f.let(i64.extendU(i32.load(this.op, opLayout.scale))), index: (half) => v128.load(i32.load(this.op, opLayout.index), 16 * half) }
  }

  sameVectors(destination: number, mask: number): Expr<'i32'> {
    const [a, b, c] = [this.registerOf(destination), this.registerOf(mask), i32.load(this.op, opLayout.index)] as const
    return i32.or(i32.or(i32.eq(a, b), i32.eq(a, c)), i32.eq(b, c))
  }

  setFirstVector(value: Half): void {
    const address = this.state.float.vector(0)
    this.f.do(v128.store(address, value))
    if (this.vex) this.f.do(v128.store(address, v128.const(0n, 0n), 16))
  }

  get float(): FloatFunctions {
    return this.parts.float
  }

  numbers(_numbers: Numbers, operands: readonly (readonly Local<'v128'>[])[], exact: (operands: readonly Local<'v128'>[]) => Half): readonly Half[] {
    this.beginSimd()
    const results = operands.map((of) => this.f.let(exact(of)))
    this.endSimd()
    return results
  }

  relation(_format: Numbers['format'], _operands: readonly [Local<'v128'>, Local<'v128'>], exact: () => Expr<'i32'>): Expr<'i32'> {
    this.beginSimd()
    const found = this.f.let(exact())
    this.endSimd()
    return found
  }

  beginSimd(): void {
    this.f.do(this.state.float.set32('exceptions', 0))
  }

  endSimd(): void {
    // Without CR4.OSXMMEXCPT it is #UD (SDM volume 1, 11.5.1).
    const told = i64.ne(i64.and(this.state.get64('cr4'), Cr4.osxmmexcpt), 0)
    this.f.if(call(this.float.sse.raise), () => this.raise(select('i32', told, Vector.simd, Vector.invalidOpcode)))
  }

  get mmx(): boolean {
    return this.variant.form.operands.some(({ kind }) => isMmx.has(kind))
  }

  checkMmx(): void {
    this.faultIf(i32.and(this.state.float.get32('status'), SUMMARY), Vector.floatingPoint)
  }

  enterMmx(): void {
    const { float } = this.state
    this.f.do(float.set32('status', i32.and(float.get32('status'), ~TOP)))
    this.f.do(float.set32('tags', 0xff))
  }

  // The x87 FPU

  beginX87(): void {
    this.checkMmx()
    this.beginSimd()
  }

  stackNumber(operand: number): Expr<'i32'> {
    return this.registerOf(operand)
  }

  setSource(significand: Expr<'i64'>, exponent: Expr<'i64'>): void {
    const at = scratch(this.state.float, 1)
    this.f.do(i64.store(at, significand))
    this.f.do(i64.store16(at, exponent, 8))
  }

  missing(): void {
    raise(this.f, this.state.float, STACK_FAULT | Exception.invalid)
  }

  moveTop(by: -1 | 1): void {
    const { float } = this.state
    const status = this.f.let(float.get32('status'))
    const unit = 1 << 11
    this.f.do(float.set32('status', i32.or(i32.and(status, ~(TOP | C1)), i32.and(i32.add(status, by * unit), TOP))))
  }

  free(number: Expr<'i32'>): void {
    const { float } = this.state
    const place = i32.and(i32.add(i32.shrU(float.get32('status'), 11), number), 7)
    this.f.do(float.set32('tags', i32.and(float.get32('tags'), i32.xor(i32.shl(1, place), -1))))
    this.f.do(float.set32('status', i32.and(float.get32('status'), ~C1)))
  }

  getX87(field: 'control' | 'status' | 'tags' | 'opcode'): Expr<'i32'> {
    return this.state.float.get32(field)
  }

  setX87(values: { readonly control?: Expr<'i32'>; readonly status?: Expr<'i32'>; readonly tags?: Expr<'i32'>; readonly opcode?: Expr<'i32'> }): void {
    for (const field of ['control', 'status', 'tags', 'opcode'] as const) {
      const value = values[field]
      if (value) this.f.do(this.state.float.set32(field, value))
    }
  }

  x87Pointer(name: 'instruction' | 'operand'): Expr<'i64'> {
    return this.state.float.get64(name)
  }

  setX87Pointer(name: 'instruction' | 'operand', value: Expr<'i64'>): void {
    this.f.do(this.state.float.set64(name, value))
  }

  // Images of the registers

  /** Moves bytes between image and memory, eight or sixteen at a time. */
  #transfer(from: number, bytes: number, body: (place: Local<'i32'>, at: Local<'i32'>, wide: boolean) => void, right: 'read' | 'write'): void {
    const wide = (from | bytes) % 16 === 0
    const at = this.f.let(i32.const(from))
    this.f.loop((again) => {
      body(this.place(this.truncate(i64.add(this.offset(), i64.extendU(at)), this.addressSize), wide ? 16 : 8, { segment: 'operand', right }), at, wide)
      this.f.set(at, i32.add(at, wide ? 16 : 8))
      this.f.brIf(again, i32.ltU(at, from + bytes))
    })
  }

  storeImage(from: number, bytes: number): void {
    const image = this.state.float.field('image')
    this.#transfer(from, bytes, (place, at, wide) => {
      this.f.do(wide ? v128.store(place, v128.load(at, image)) : i64.store(place, i64.load(at, image)))
      this.commit(place)
    }, 'write')
  }

  loadImage(from: number, bytes: number): void {
    const image = this.state.float.field('image')
    this.#transfer(from, bytes, (place, at, wide) => this.f.do(wide ? v128.store(at, v128.load(place), image) : i64.store(at, i64.load(place), image)), 'read')
  }

  setImage(offset: number, value: Half): void {
    this.f.do(v128.store(this.state.float.field('image') + offset, value))
  }

  inImage32(offset: number): Expr<'i32'> {
    return i32.load(this.state.float.field('image') + offset)
  }

  inImage64(offset: number): Expr<'i64'> {
    return i64.load(this.state.float.field('image') + offset)
  }

  mxcsr(): Expr<'i32'> {
    return this.state.float.get32('mxcsr')
  }

  setMxcsr(value: Expr<'i32'>): void {
    this.f.do(this.state.float.set32('mxcsr', value))
  }
}
