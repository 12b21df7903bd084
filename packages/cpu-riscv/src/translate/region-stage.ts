import { dataEntry, lastTag, tlbLayout } from '@machinist/mmu'
import type { RegionStage } from '@machinist/translator'
import { call, type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { Csr } from '../csr-numbers.ts'
import { loadAs, storeAs } from '../emit/access.ts'
import { plainSupervisor, readSstatus, zeroDenied } from '../emit/csr/index.ts'
import type { HartState } from '../emit/state.ts'
import { type CacheOperation, type Helpers, type LoadKind, loadBytes, type Stage } from '../emit/stage.ts'
import type { Decoded } from '../isa/decoder.ts'
import type { Instruction } from '../isa/instruction.ts'
import type { Imports } from './imports.ts'

/** The translator's number of an integer register; null for x0. */
export function integerRegister(x: number): number | null {
  return x === 0 ? null : x - 1
}

/** The translator's number of a floating-point register. */
export function floatRegister(f: number): number {
  return 31 + f
}

/**
 * An instruction as translated code executes it: operands are constants and locals, accesses hit the TLB or leave
 * the region, and everything unusual leaves it before it has had any effect.
 */
export class RegionInstruction implements Stage {
  readonly f: Func
  readonly helpers: Helpers
  readonly inlineFloat: boolean = true
  readonly #region: RegionStage
  readonly #d: Decoded
  readonly #instruction: Instruction
  readonly #s: HartState
  readonly #floatChecked: Set<number>
  readonly #imports: Imports

  constructor(region: RegionStage, d: Decoded, instruction: Instruction, s: HartState, imports: Imports, floatChecked: Set<number>) {
    this.f = region.f
    this.helpers = imports.helpers
    this.#imports = imports
    this.#region = region
    this.#d = d
    this.#instruction = instruction
    this.#s = s
    this.#floatChecked = floatChecked
  }

  emit(): void {
    const { extension, format } = this.#instruction
    if (format === 'CSR') {
      this.#instruction.semantics(this)
      return
    }
    if (extension === 'f' || extension === 'd') this.#needFloat()
    // A value in x0 is thrown away, and what only computes one does nothing.
    if (this.#instruction.kind === 'pure' && this.#d.rd === 0) return
    this.#instruction.semantics(this)
  }

  /** Translated code rounds to nearest unless the instruction says otherwise: `floatReady` is 1 + frm. */
  #needFloat(): void {
    // Nothing in a block can undo it: CSRs are written elsewhere.
    if (this.#floatChecked.has(this.#region.block)) return
    this.#floatChecked.add(this.#region.block)
    this.#region.escapeIf(i32.ne(this.#s.get('floatReady'), 1))
  }

  #x(number: number): Expr<'i64'> {
    const register = integerRegister(number)
    return register === null ? i64.const(0) : this.#region.get(register)
  }

  get pc(): Expr<'i64'> {
    return i64.add(this.#region.unit, this.#region.offset)
  }
  get rs1(): Expr<'i64'> {
    return this.#x(this.#d.rs1)
  }
  get rs2(): Expr<'i64'> {
    return this.#x(this.#d.rs2)
  }
  get rs1w(): Expr<'i32'> {
    return this.#d.rs1 === 0 ? i32.const(0) : i32.wrap(this.rs1)
  }
  get rs2w(): Expr<'i32'> {
    return this.#d.rs2 === 0 ? i32.const(0) : i32.wrap(this.rs2)
  }
  get imm(): Expr<'i64'> {
    return i64.const(this.#d.imm)
  }
  get immw(): Expr<'i32'> {
    return i32.const(this.#d.imm)
  }
  get zimm(): Expr<'i64'> {
    return i64.const(this.#d.rs1)
  }
  setRd(value: Expr<'i64'>): void {
    const register = integerRegister(this.#d.rd)
    if (register !== null) this.#region.set(register, value)
    // What computes the value may raise floating-point flags.
    else this.f.drop(value)
  }
  setRd32(value: Expr<'i32'>): void {
    this.setRd(i64.extendS(value))
  }

  get fs1(): Expr<'i64'> {
    return this.#region.get(floatRegister(this.#d.rs1))
  }
  get fs2(): Expr<'i64'> {
    return this.#region.get(floatRegister(this.#d.rs2))
  }
  get fs3(): Expr<'i64'> {
    return this.#region.get(floatRegister(this.#d.rs3))
  }
  get fs1s(): Expr<'i32'> {
    return unbox(this.fs1)
  }
  get fs2s(): Expr<'i32'> {
    return unbox(this.fs2)
  }
  get fs3s(): Expr<'i32'> {
    return unbox(this.fs3)
  }
  get rm(): Expr<'i32'> {
    return i32.const(this.#d.rm === 7 ? 0 : this.#d.rm)
  }
  setFd(value: Expr<'i64'>): void {
    this.#region.set(floatRegister(this.#d.rd), value)
  }
  setFds(value: Expr<'i32'>): void {
    this.setFd(i64.or(i64.extendU(value), 0xffff_ffff_0000_0000n))
  }

  /** Leaves unless the TLB has the page; returns the address in the arena. */
  #hit(address: Expr<'i64'>, bytes: number, write: boolean): Expr<'i32'> {
    const { f } = this
    const array = write ? tlbLayout.write : tlbLayout.read
    const bank = this.#region.constants['tlb']
    if (!bank) throw new RangeError('the region has no TLB')
    const va = f.let(address)
    const entry = f.let(dataEntry(bank, va))
    this.#region.missIf(i64.ne(i64.load(entry, array), lastTag(va, bytes)), va, bytes * 2 + (write ? 1 : 0))
    return i32.add(i32.wrap(va), i32.load(entry, array + tlbLayout.dataOffset))
  }

  load(kind: LoadKind, address: Expr<'i64'>): Expr<'i64'> {
    return loadAs(kind, this.#hit(address, loadBytes[kind], false))
  }

  store(bytes: 1 | 2 | 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): void {
    storeAs(this.f, bytes, this.#hit(address, bytes, true), value)
  }

  #aligned(bytes: 4 | 8, address: Expr<'i64'>, write: boolean): Local<'i32'> {
    this.#region.escapeIf(i32.and(i32.wrap(address), bytes - 1))
    return this.f.let(this.#hit(address, bytes, write))
  }

  loadReserved(bytes: 4 | 8, address: Expr<'i64'>): Expr<'i64'> {
    const { f } = this
    const at = this.#aligned(bytes, address, false)
    const value = f.let(bytes === 4 ? i64.load32S(at) : i64.load(at))
    f.do(this.#s.set('reservation', at))
    f.do(this.#s.set('reservedValue', value))
    return value
  }

  storeConditional(bytes: 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): Expr<'i32'> {
    const { f } = this
    const at = this.#aligned(bytes, address, true)
    const failed = f.let(i32.const(1))
    const present = bytes === 4 ? i64.load32S(at) : i64.load(at)
    f.if(i32.and(i32.eq(this.#s.get('reservation'), at), i64.eq(present, this.#s.get('reservedValue'))), () => {
      f.set(failed, 0)
      storeAs(this.f, bytes, at, value)
    })
    f.do(this.#s.set('reservation', 0))
    return failed
  }

  readModifyWrite(bytes: 4 | 8, address: Expr<'i64'>, combine: (old: Local<'i64'>) => Expr<'i64'>): Expr<'i64'> {
    const at = this.#aligned(bytes, address, true)
    const old = this.f.let(bytes === 4 ? i64.load32S(at) : i64.load(at))
    storeAs(this.f, bytes, at, combine(old))
    return old
  }

  branch(condition: Expr<'i32'>): void {
    this.#region.branch(condition)
  }

  jumpAndLink(): void {
    this.#link()
    this.#region.jump()
  }

  jumpAndLinkRegister(target: Expr<'i64'>): void {
    const to = this.f.let(target)
    this.#link()
    this.#region.indirect(to)
  }

  /** Nobody wants the address behind a plain jump. */
  #link(): void {
    if (this.#d.rd !== 0) this.setRd(i64.add(this.#region.unit, this.#region.offset + this.#d.length))
  }

  nothing(): void {}

  raise(): void {
    this.#region.escapeIf(i32.const(1))
  }

  csr(operand: Expr<'i64'>, combine: (old: Local<'i64'>, operand: Local<'i64'>) => Expr<'i64'>, kind: 'write' | 'modify'): void {
    const { f } = this
    const s = this.#s
    const plain = plainSupervisor.get(this.#d.imm)
    const writes = kind === 'write' || this.#d.rs1 !== 0
    if (!plain && this.#d.imm !== Csr.sstatus) {
      this.#region.outside((pc, budget) => call(this.#imports.outside, pc, budget))
      // FS and frm may have changed.
      this.#floatChecked.delete(this.#region.block)
      return
    }
    this.#region.escapeIf(i32.eqz(s.get('mode')))
    const given = f.let(operand)
    const old = f.let(plain ? s.get(plain.field) : readSstatus(s))
    const value = combine(old, given)
    if (plain) {
      if (writes) f.do(s.set(plain.field, plain.mask === -1n ? value : i64.and(value, plain.mask)))
      this.setRd(old)
    } else if (!writes) this.setRd(old)
    else {
      const stays = f.let(call(this.#imports.writeSstatus, value))
      this.setRd(old)
      this.#region.leaveBehindIf(i32.eqz(stays))
      this.#floatChecked.delete(this.#region.block)
    }
  }
  // Other system instructions are executed elsewhere, and never written here.
  environmentCall(): void {
    this.raise()
  }
  supervisorReturn(): void {
    this.raise()
  }
  machineReturn(): void {
    this.raise()
  }
  waitForInterrupt(): void {
    this.raise()
  }
  fenceVma(): void {
    this.raise()
  }
  supervisorOnly(): void {
    this.raise()
  }
  cacheBlock(operation: CacheOperation): void {
    const { f } = this
    if (operation !== 'zero') return this.raise()
    this.#region.escapeIf(zeroDenied(this.#s))
    const at = f.let(this.#hit(i64.and(this.rs1, -64), 64, true))
    for (let i = 0; i < 64; i += 8) f.do(i64.store(at, 0, i))
  }
  yieldHart(): void {
    this.#region.escapeIf(i32.ne(this.#s.get('others'), 0))
  }
}

/** A single-precision value out of its NaN box; anything else reads as the canonical NaN. */
function unbox(value: Expr<'i64'>): Expr<'i32'> {
  return select('i32', i64.geU(value, 0xffff_ffff_0000_0000n), i32.wrap(value), 0x7fc0_0000)
}
