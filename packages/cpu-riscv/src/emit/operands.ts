import { type Expr, type Func, i32, i64, type Local, select } from '@machinist/wasm'
import { OP_FIELD, type Form } from '../handlers.ts'
import type { Instruction } from '../isa/instruction.ts'
import type { HartState } from './state.ts'
import type { Helpers } from './stage.ts'

/** Operands of a pre-decoded op: what both interpreters have in common. */
export abstract class OpOperands {
  readonly f: Func
  readonly helpers: Helpers
  readonly inlineFloat: boolean = false
  protected readonly s: HartState
  protected readonly op: Local<'i32'>
  protected readonly instruction: Instruction
  protected readonly form: Form

  constructor(f: Func, helpers: Helpers, s: HartState, op: Local<'i32'>, instruction: Instruction, form: Form) {
    this.f = f
    this.helpers = helpers
    this.s = s
    this.op = op
    this.instruction = instruction
    this.form = form
  }

  protected byte(at: number): Expr<'i32'> {
    return i32.load8U(this.op, at)
  }

  get #rs2At(): number {
    return this.instruction.format === 'R' ? OP_FIELD.rs2 : OP_FIELD.a
  }

  get rs1(): Expr<'i64'> {
    return i64.load(this.byte(OP_FIELD.b), this.s.at('x'))
  }
  get rs2(): Expr<'i64'> {
    return i64.load(this.byte(this.#rs2At), this.s.at('x'))
  }
  get rs1w(): Expr<'i32'> {
    return i32.load(this.byte(OP_FIELD.b), this.s.at('x'))
  }
  get rs2w(): Expr<'i32'> {
    return i32.load(this.byte(this.#rs2At), this.s.at('x'))
  }
  get imm(): Expr<'i64'> {
    return i64.load32S(this.op, OP_FIELD.imm)
  }
  get immw(): Expr<'i32'> {
    return i32.load(this.op, OP_FIELD.imm)
  }
  get zimm(): Expr<'i64'> {
    return i64.extendU(i32.shrU(this.byte(OP_FIELD.b), 3))
  }
  get fs1(): Expr<'i64'> {
    return i64.load(this.byte(OP_FIELD.b), this.s.at('f'))
  }
  get fs2(): Expr<'i64'> {
    return i64.load(this.byte(this.#rs2At), this.s.at('f'))
  }
  get fs3(): Expr<'i64'> {
    return i64.load(this.byte(OP_FIELD.rs3), this.s.at('f'))
  }
  get fs1s(): Expr<'i32'> {
    return this.#unbox(OP_FIELD.b)
  }
  get fs2s(): Expr<'i32'> {
    return this.#unbox(this.#rs2At)
  }
  get fs3s(): Expr<'i32'> {
    return this.#unbox(OP_FIELD.rs3)
  }
  #unbox(at: number): Expr<'i32'> {
    const f = this.s.at('f')
    return select('i32', i32.eq(i32.load(this.byte(at), f + 4), -1), i32.load(this.byte(at), f), 0x7fc0_0000)
  }
  get rm(): Expr<'i32'> {
    const field = this.byte(OP_FIELD.rm)
    return select('i32', i32.eq(field, 7), this.s.get('frm'), field)
  }
  setFd(value: Expr<'i64'>): void {
    this.f.do(i64.store(this.byte(OP_FIELD.a), value, this.s.at('f')))
  }
  setFds(value: Expr<'i32'>): void {
    this.setFd(i64.or(i64.extendU(value), 0xffff_ffff_0000_0000n))
  }
  setRd32(value: Expr<'i32'>): void {
    this.setRd(i64.extendS(value))
  }
  abstract setRd(value: Expr<'i64'>): void
}
