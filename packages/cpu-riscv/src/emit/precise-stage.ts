import { Access } from '@machinist/mmu'
import { call, type Expr, type Func, i32, i64, type Label, type Local } from '@machinist/wasm'
import { Cause, Mode } from '../cause.ts'
import { Leave } from '@machinist/cpu-core'
import { OP_FIELD, type Form } from '../handlers.ts'
import type { Instruction } from '../isa/instruction.ts'
import { Envcfg, Status } from '../status.ts'
import { bit, type Emit } from './context.ts'
import type { CsrFunctions } from './csr/index.ts'
import { type MemoryFunctions, raise } from './memory.ts'
import { OpOperands } from './operands.ts'
import { type CacheOperation, type LoadKind, loadBytes, type Stage } from './stage.ts'
import type { TranslationFunctions } from './translation.ts'
import type { TrapFunctions } from './trap.ts'

export interface PreciseParts {
  readonly e: Emit
  readonly memory: MemoryFunctions
  readonly csrs: CsrFunctions
  readonly traps: TrapFunctions
  readonly translation: TranslationFunctions
}

/**
 * Instructions as the precise stepper executes them: every access is a call that translates, checks and may trap,
 * and every instruction of the table works. The fast engines come here for whatever they do not do themselves.
 */
export class PreciseStage extends OpOperands implements Stage {
  readonly #parts: PreciseParts
  readonly #pc: Local<'i64'>
  readonly #length: Local<'i32'>
  /** To here on an exception; and to here when `pc` is already right. */
  readonly #trapped: Label
  readonly #done: Label
  /** The op's two words, read before anything happens: the instruction may overwrite itself, and then its op is gone. */
  #words: readonly [Local<'i32'>, Local<'i32'>] | null = null

  constructor(
    f: Func,
    parts: PreciseParts,
    place: { op: Local<'i32'>; pc: Local<'i64'>; length: Local<'i32'>; trapped: Label; done: Label },
    instruction: Instruction,
    form: Form,
  ) {
    super(f, parts.e.helpers, parts.e.s, place.op, instruction, form)
    this.#parts = parts
    this.#pc = place.pc
    this.#length = place.length
    this.#trapped = place.trapped
    this.#done = place.done
  }

  protected override byte(at: number): Expr<'i32'> {
    return i32.and(i32.shrU(this.#word(at), 8 * (at % 4)), 0xff)
  }

  override get imm(): Expr<'i64'> {
    return i64.extendS(this.immw)
  }
  override get immw(): Expr<'i32'> {
    return this.#word(OP_FIELD.imm)
  }

  #word(at: number): Local<'i32'> {
    const word = this.#words?.[at < OP_FIELD.imm ? 0 : 1]
    if (!word) throw new RangeError('an operand is used outside the emission of its instruction')
    return word
  }

  get pc(): Expr<'i64'> {
    return this.#pc
  }

  get #nextPc(): Expr<'i64'> {
    return i64.add(this.#pc, i64.extendU(this.#length))
  }

  /** Runs the semantics; leaves `pc` at the next instruction. */
  emit(): void {
    const { f, op } = this
    f.scope(() => {
      this.#words = [f.let(i32.load(op)), f.let(i32.load(op, OP_FIELD.imm))]
      this.#emit()
    })
  }

  #emit(): void {
    const { extension, name } = this.instruction
    if (extension === 'f' || extension === 'd') {
      const changes = !/^(fs[wd]|fmv\.x\.[wd]|fclass\.[sd])$/.test(name)
      this.f.if(i64.eqz(i64.and(this.s.get('mstatus'), Status.FS)), () => this.#illegal())
      if (this.instruction.fields.has('rm')) {
        this.f.if(i32.gtU(this.rm, 4), () => this.#illegal())
      }
      this.instruction.semantics(this)
      if (changes) {
        this.f.do(this.s.set('mstatus', i64.or(this.s.get('mstatus'), Status.FS | Status.SD)))
        this.f.do(call(this.#parts.csrs.updateFloat))
      }
    } else this.instruction.semantics(this)
    this.f.do(this.s.set('pc', this.#nextPc))
  }

  setRd(value: Expr<'i64'>): void {
    this.f.do(i64.store(this.byte(OP_FIELD.a), value, this.s.at('x')))
    this.f.do(i64.store(0, 0, this.s.at('x')))
  }

  #checked(): void {
    this.f.brIf(this.#trapped, this.#parts.e.pendingCause)
  }

  load(kind: LoadKind, address: Expr<'i64'>): Expr<'i64'> {
    const value = this.f.let(call(this.#parts.memory.load, address, loadBytes[kind]))
    this.#checked()
    if (kind === 's8') return i64.extend8S(value)
    if (kind === 's16') return i64.extend16S(value)
    if (kind === 's32') return i64.extend32S(value)
    return value
  }

  store(bytes: 1 | 2 | 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): void {
    this.f.do(call(this.#parts.memory.store, address, bytes, value))
    this.#checked()
  }

  #atomicAddress(bytes: 4 | 8, address: Expr<'i64'>, access: number, cause: number): Local<'i32'> {
    const at = this.f.let(call(this.#parts.memory.atomic, address, bytes, access, cause))
    this.#checked()
    return at
  }

  #atomicLoad(bytes: 4 | 8, at: Expr<'i32'>): Expr<'i64'> {
    return bytes === 4 ? i64.load32S(at) : i64.load(at)
  }

  loadReserved(bytes: 4 | 8, address: Expr<'i64'>): Expr<'i64'> {
    const at = this.#atomicAddress(bytes, address, Access.read, Cause.loadMisaligned)
    const value = this.f.let(this.#atomicLoad(bytes, at))
    this.f.do(this.s.set('reservation', at))
    this.f.do(this.s.set('reservedValue', value))
    return value
  }

  storeConditional(bytes: 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): Expr<'i32'> {
    const { f, s } = this
    const at = this.#atomicAddress(bytes, address, Access.write, Cause.storeMisaligned)
    const failed = f.let(i32.const(1))
    f.if(i32.and(i32.eq(s.get('reservation'), at), i64.eq(this.#atomicLoad(bytes, at), s.get('reservedValue'))), () => {
      f.set(failed, 0)
      f.do(call(this.#parts.memory.atomicStore, address, bytes, value))
    })
    f.do(s.set('reservation', 0))
    return failed
  }

  readModifyWrite(bytes: 4 | 8, address: Expr<'i64'>, combine: (old: Local<'i64'>) => Expr<'i64'>): Expr<'i64'> {
    const at = this.#atomicAddress(bytes, address, Access.write, Cause.storeMisaligned)
    const old = this.f.let(this.#atomicLoad(bytes, at))
    this.f.do(call(this.#parts.memory.atomicStore, address, bytes, combine(old)))
    return old
  }

  #displacement(): Expr<'i64'> {
    // Linked forms count in ops, four bytes of op for each byte of code.
    const linked = this.form !== 'plain' && this.form !== 'rd0'
    return linked ? i64.shrS(this.imm, 2) : this.imm
  }

  branch(condition: Expr<'i32'>): void {
    this.f.if(condition, () => {
      this.f.do(this.s.set('pc', i64.add(this.#pc, this.#displacement())))
      this.f.br(this.#done)
    })
  }

  jumpAndLink(): void {
    this.setRd(this.#nextPc)
    this.f.do(this.s.set('pc', i64.add(this.#pc, this.#displacement())))
    this.f.br(this.#done)
  }

  jumpAndLinkRegister(target: Expr<'i64'>): void {
    const to = this.f.let(target)
    this.setRd(this.#nextPc)
    this.f.do(this.s.set('pc', to))
    this.f.br(this.#done)
  }

  nothing(): void {}

  raise(cause: number, value: Expr<'i64'>): void {
    raise(this.#parts.e, this.f, cause, value)
    this.f.br(this.#trapped)
  }

  /** An illegal-instruction exception; `xtval` gets the bits, read again. */
  #illegal(): void {
    const { fetchHalf } = this.#parts.memory
    const bits = this.f.let(i64.extendU(call(fetchHalf, this.#pc)))
    this.f.if(i32.eq(this.#length, 4), () => {
      this.f.set(bits, i64.or(bits, i64.shl(i64.extendU(call(fetchHalf, i64.add(this.#pc, 2))), 16)))
    })
    this.raise(Cause.illegalInstruction, bits)
  }

  csr(operand: Expr<'i64'>, combine: (old: Local<'i64'>, operand: Local<'i64'>) => Expr<'i64'>, kind: 'write' | 'modify'): void {
    const { f } = this
    const { csrs } = this.#parts
    const index = f.let(this.immw)
    // CSRRS and CSRRC with x0 (or immediate 0) do not write at all.
    const writes = f.let(kind === 'write' ? i32.const(1) : i32.ne(this.byte(OP_FIELD.b), 0))
    f.if(call(csrs.denied, index, writes), () => this.#illegal())
    const given = f.let(operand)
    const old = f.let(call(csrs.read, index))
    f.if(writes, () => {
      const base = f.let(kind === 'write' ? old : call(csrs.modify, index))
      f.do(call(csrs.write, index, combine(base, given)))
    })
    this.setRd(old)
  }

  environmentCall(): void {
    const { f, s } = this
    const mode = f.let(s.get('mode'))
    f.if(i32.and(i32.eq(mode, Mode.supervisor), s.get('builtinSbi')), () => {
      f.do(s.set('pc', this.#nextPc))
      f.do(call(this.#parts.e.host.sbi))
      f.br(this.#done)
    })
    raise(this.#parts.e, f, i32.add(mode, Cause.ecallFromU), i64.const(0))
    f.br(this.#trapped)
  }

  /** Illegal in U-mode, and in S-mode when `trap` (a bit of mstatus) is set. */
  #privileged(trap: bigint | null): void {
    const { f, s } = this
    const mode = s.get('mode')
    const trapped = trap === null ? i32.const(0) : i32.and(i32.eq(mode, Mode.supervisor), bit(s.get('mstatus'), trap))
    f.if(i32.or(i32.eqz(mode), trapped), () => this.#illegal())
  }

  supervisorReturn(): void {
    this.#privileged(Status.TSR)
    this.f.do(call(this.#parts.traps.sret))
    this.f.br(this.#done)
  }

  machineReturn(): void {
    this.f.if(i32.ne(this.s.get('mode'), Mode.machine), () => this.#illegal())
    this.f.do(call(this.#parts.traps.mret))
    this.f.br(this.#done)
  }

  waitForInterrupt(): void {
    const { f, s } = this
    this.#privileged(Status.TW)
    f.if(i64.eqz(i64.and(this.#parts.traps.pending(f), s.get('mie'))), () => {
      f.do(s.set('waiting', 1))
      f.do(s.set('leave', Leave.halt))
    })
  }

  fenceVma(): void {
    this.#privileged(Status.TVM)
    this.f.do(
      call(this.#parts.translation.fence, this.rs1, i32.ne(this.byte(OP_FIELD.b), 0), this.rs2, i32.ne(this.byte(OP_FIELD.rs2), 0)),
    )
  }

  supervisorOnly(): void {
    this.#privileged(null)
  }

  cacheBlock(operation: CacheOperation): void {
    const { f, s } = this
    const { e, memory } = this.#parts
    const enable = { inval: Envcfg.CBIE, clean: Envcfg.CBCFE, flush: Envcfg.CBCFE, zero: Envcfg.CBZE }[operation]
    const mode = s.get('mode')
    const off = (name: 'menvcfg' | 'senvcfg'): Expr<'i32'> => i32.eqz(bit(s.get(name), enable))
    f.if(i32.and(i32.ltU(mode, Mode.machine), off('menvcfg')), () => this.#illegal())
    f.if(i32.and(i32.eqz(mode), off('senvcfg')), () => this.#illegal())
    const block = f.let(i64.and(this.rs1, -64))
    if (operation === 'zero') {
      for (let i = 0; i < 64; i += 8) this.store(8, i64.add(block, i), i64.const(0))
      return
    }
    // There is no cache; what is left is the check that the block may be read. Faults are those of a store.
    f.drop(call(memory.load, block, 1))
    f.if(e.pendingCause, () => {
      f.setGlobal(e.pendingCause, i32.add(e.pendingCause, 2))
      f.setGlobal(e.pendingValue, this.rs1)
      f.br(this.#trapped)
    })
  }

  yieldHart(): void {
    const { f, s } = this
    f.if(i32.and(i32.ne(s.get('others'), 0), i32.eqz(s.get('leave'))), () => f.do(s.set('leave', Leave.yield)))
  }
}
