import { dataEntry, lastTag, tlbLayout } from '@machinist/mmu'
import { type Expr, type Func, i32, i64, type Label, type Local, select } from '@machinist/wasm'
import { OP_FIELD, OP_SIZE, OPS_BYTES, PAGE_TAIL, type Form } from '../handlers.ts'
import type { Instruction } from '../isa/instruction.ts'
import { loadAs, storeAs } from './access.ts'
import type { Emit } from './context.ts'
import { zeroDenied } from './csr/index.ts'
import { OpOperands } from './operands.ts'
import { type CacheOperation, type LoadKind, loadBytes, type Stage } from './stage.ts'

/** Locals and labels of the interpreter's one function. */
export interface FastPlace {
  /** Address of the current op, and what to add to a quarter of it to get the pc. */
  readonly op: Local<'i32'>
  readonly bias: Local<'i64'>
  readonly budget: Local<'i32'>
  /** Ops of the current page. */
  readonly ops: Local<'i32'>
  readonly tlb: Local<'i32'>
  /** Where to go, for `jump`. */
  readonly target: Local<'i64'>
  /** The access that missed the TLB, for `miss`: address, and bytes times two plus one for a write. */
  readonly va: Local<'i64'>
  readonly missKind: Local<'i32'>
  readonly entry: Local<'i32'>
  /** The next instruction, whose op is `op`. */
  readonly next: Label
  /** The instruction at `target`. */
  readonly jump: Label
  /** The TLB has no entry for `va`; the instruction has not begun. */
  readonly miss: Label
  /** The precise stepper must execute the instruction; it has not begun. */
  readonly escape: Label
}

/**
 * Instructions as the interpreter executes them: accesses hit the TLB or leave, with no call in the usual case,
 * and everything unusual is left to the precise stepper before it has had any effect.
 */
export class FastStage extends OpOperands implements Stage {
  readonly #place: FastPlace
  readonly #length: 2 | 4

  constructor(f: Func, e: Emit, place: FastPlace, instruction: Instruction, form: Form, length: 2 | 4) {
    super(f, e.helpers, e.s, place.op, instruction, form)
    this.#place = place
    this.#length = length
  }

  /** Bytes from this op to the next. */
  get #advance(): number {
    return (this.#length / 2) * OP_SIZE
  }

  get pc(): Expr<'i64'> {
    return i64.add(this.#place.bias, i64.extendU(i32.shrU(this.op, 2)))
  }

  emit(): void {
    const { f } = this
    const { extension } = this.instruction
    if (extension === 'f' || extension === 'd') f.brIf(this.#place.escape, i32.eqz(this.s.get('floatReady')))
    this.instruction.semantics(this)
    f.set(this.op, i32.add(this.op, this.#advance))
    f.br(this.#place.next)
  }

  setRd(value: Expr<'i64'>): void {
    if (this.form === 'rd0' || this.form === 'nearRd0') {
      // What the value was loaded from has been checked already; but computing it may raise floating-point flags.
      const { extension } = this.instruction
      if (extension === 'f' || extension === 'd') this.f.drop(value)
      return
    }
    this.f.do(i64.store(this.byte(OP_FIELD.a), value, this.s.at('x')))
  }

  /** Leaves for `miss` unless the TLB has the page; returns the address in the arena. */
  #hit(address: Expr<'i64'>, bytes: number, write: boolean): Expr<'i32'> {
    const { f } = this
    const { va, entry, tlb, missKind, miss } = this.#place
    const array = write ? tlbLayout.write : tlbLayout.read
    f.set(va, address)
    f.set(entry, dataEntry(tlb, va))
    f.if(i64.ne(i64.load(entry, array), lastTag(va, bytes)), () => {
      f.set(missKind, bytes * 2 + (write ? 1 : 0))
      f.br(miss)
    })
    return i32.add(i32.wrap(va), i32.load(entry, array + tlbLayout.dataOffset))
  }

  load(kind: LoadKind, address: Expr<'i64'>): Expr<'i64'> {
    return loadAs(kind, this.#hit(address, loadBytes[kind], false))
  }

  store(bytes: 1 | 2 | 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): void {
    const at = this.#hit(address, bytes, true)
    storeAs(this.f, bytes, at, value)
  }

  #aligned(bytes: 4 | 8, address: Expr<'i64'>, write: boolean): Local<'i32'> {
    this.f.brIf(this.#place.escape, i32.and(i32.wrap(address), bytes - 1))
    return this.f.let(this.#hit(address, bytes, write))
  }

  loadReserved(bytes: 4 | 8, address: Expr<'i64'>): Expr<'i64'> {
    const { f, s } = this
    const at = this.#aligned(bytes, address, false)
    const value = f.let(bytes === 4 ? i64.load32S(at) : i64.load(at))
    f.do(s.set('reservation', at))
    f.do(s.set('reservedValue', value))
    this.#later(at, value)
    return value
  }

  storeConditional(bytes: 4 | 8, address: Expr<'i64'>, value: Expr<'i64'>): Expr<'i32'> {
    const { f, s } = this
    const at = this.#aligned(bytes, address, true)
    const failed = f.let(i32.const(1))
    const present = bytes === 4 ? i64.load32S(at) : i64.load(at)
    f.if(i32.and(i32.eq(s.get('reservation'), at), i64.eq(present, s.get('reservedValue'))), () => {
      f.set(failed, 0)
      storeAs(this.f, bytes, at, value)
    })
    f.do(s.set('reservation', 0))
    this.#later(at, failed)
    return failed
  }

  readModifyWrite(bytes: 4 | 8, address: Expr<'i64'>, combine: (old: Local<'i64'>) => Expr<'i64'>): Expr<'i64'> {
    const { f } = this
    const at = this.#aligned(bytes, address, true)
    const old = f.let(bytes === 4 ? i64.load32S(at) : i64.load(at))
    storeAs(this.f, bytes, at, combine(old))
    this.#later(at, old)
    return old
  }

  /** Locals to give back once the instruction's code is complete. */
  readonly #borrowed: Local[] = []
  #later(...locals: Local[]): void {
    this.#borrowed.push(...locals)
  }
  release(): void {
    for (const local of this.#borrowed) this.f.free(local)
  }

  branch(condition: Expr<'i32'>): void {
    const { f } = this
    const { op, budget, next, jump, target } = this.#place
    switch (this.form) {
      case 'forward':
        f.set(op, i32.add(op, select('i32', condition, i32.load(op, OP_FIELD.imm), this.#advance)))
        f.br(next)
        break
      case 'backward':
        f.if(condition, () => {
          f.set(op, i32.add(op, i32.load(op, OP_FIELD.imm)))
          markArrival(f, this.#place.ops, op)
          f.brIf(next, i32.gtS(budget, 0))
          f.set(target, this.pc)
          f.br(jump)
        })
        break
      default:
        f.if(condition, () => {
          f.set(target, i64.add(this.pc, this.imm))
          f.br(jump)
        })
    }
  }

  jumpAndLink(): void {
    const { f } = this
    const { op, budget, next, jump, target } = this.#place
    if (this.form === 'near' || this.form === 'nearRd0') {
      this.setRd(i64.add(this.pc, this.#length))
      f.set(op, i32.add(op, i32.load(op, OP_FIELD.imm)))
      f.brIf(next, i32.gtS(budget, 0))
      f.set(target, this.pc)
    } else {
      f.set(target, i64.add(this.pc, this.imm))
      this.setRd(i64.add(this.pc, this.#length))
    }
    f.br(jump)
  }

  jumpAndLinkRegister(to: Expr<'i64'>): void {
    const { f } = this
    f.set(this.#place.target, to)
    this.setRd(i64.add(this.pc, this.#length))
    f.br(this.#place.jump)
  }

  nothing(): void {}

  raise(): void {
    this.f.br(this.#place.escape)
  }

  // System instructions never come here: their handlers are `escape` itself.
  csr(): void {
    this.raise()
  }
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
    const { f, s } = this
    if (operation !== 'zero') return this.raise()
    f.brIf(this.#place.escape, zeroDenied(s))
    const at = f.let(this.#hit(i64.and(this.rs1, -64), 64, true))
    for (let i = 0; i < 64; i += 8) f.do(i64.store(at, 0, i))
    this.#later(at)
  }
  yieldHart(): void {
    this.f.brIf(this.#place.escape, this.s.get('others'))
  }
}

/** Marks that control has arrived at `op` by a jump: a place where translated code will want to be entered. */
export function markArrival(f: Func, ops: Local<'i32'>, op: Local<'i32'>): void {
  f.do(i32.store8(i32.add(ops, i32.shrU(i32.sub(op, ops), 3)), 1, OPS_BYTES + PAGE_TAIL.marks))
}
