import { call, type Expr, i32, i64, select } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { opLayout } from './layout.ts'
import { MemoryStage } from './memory-stage.ts'
import type { Repetition, Value } from './stage.ts'
import { EventKind } from './system/interrupts.ts'

const RCX = 1

/** Targets, transfers, faults and repetition. */
export abstract class ControlStage extends MemoryStage {
  /** The semantics have set rIP. */
  protected jumped = false

  next64(): Value {
    return this.nextPc()
  }

  next(): Value {
    return this.truncate(this.nextPc(), this.operandSize)
  }

  target(): Value {
    return this.truncate(i64.add(this.nextPc(), i64.load(this.op, opLayout.immediates)), this.operandSize)
  }

  checkTarget(target: Value): void {
    this.try(call(this.parts.shared.checkTarget, target))
  }

  jump(target: Value): void {
    this.jumped = true
    this.f.do(this.state.set64('pc', target))
  }

  branch(condition: Expr<'i32'>, target: Value): void {
    this.jump(select('i64', condition, target, this.nextPc()))
  }

  leaves(): void {
    this.jumped = true
  }

  setSegment(number: number, selector: Value): void {
    this.loadSegment(i32.const(number), selector)
  }

  popSegment(number: number): void {
    this.try(call(this.parts.shared.popSegment, number, this.operandSize))
  }

  protected loadSegment(number: Expr<'i32'>, selector: Value): void {
    this.try(call(this.parts.shared.loadSegment, number, i32.wrap(selector)))
  }

  stateAt(register: number): Expr<'i32'> {
    return i32.const(this.state.segment(register))
  }

  try(faulted: Expr<'i32'>): void {
    this.f.if(faulted, () => this.f.return(1))
  }

  far(calls: boolean, selector: Value, offset: Value): void {
    this.jumped = true
    this.try(call(this.parts.shared.far, calls ? 1 : 0, i32.wrap(selector), offset, this.operandSize, this.nextPc()))
  }

  farReturn(release: Value): void {
    this.jumped = true
    this.try(call(this.parts.shared.farReturn, this.operandSize, release))
  }

  interruptReturn(): void {
    this.jumped = true
    this.try(call(this.parts.shared.interruptReturn, this.operandSize, this.nextPc()))
  }

  when(condition: Expr<'i32'>, then: () => void, otherwise?: () => void): void {
    this.f.if(condition, then, otherwise)
  }

  nothing(): void {}

  iterate(body: () => void, { goesOn, chunk }: Repetition = {}): void {
    const { repeat } = this.variant
    if (repeat === 'none') {
      body()
      return
    }
    if (chunk) {
      this.when(this.chunk(chunk), () => {
        const again = this.let(i64.ne(this.register(RCX, this.addressSize), 0))
        this.f.do(this.state.set32('repeating', again))
        this.branch(again, this.state.get64('pc'))
        this.f.return(0)
      })
    }
    const left = this.let(this.register(RCX, this.addressSize))
    this.when(i64.eqz(left), () => this.jump(this.nextPc()), () => {
      body()
      this.f.set(left, this.truncate(i64.sub(left, 1), this.addressSize))
      this.setRegister(RCX, left, this.addressSize)
      const more = i64.ne(left, 0)
      const again = this.let(goesOn ? i32.and(more, goesOn(repeat === 'repe')) : more)
      this.f.do(this.state.set32('repeating', again))
      this.branch(again, this.state.get64('pc'))
    })
  }

  /** How many iterations were done at once, of the string instruction that this is. */
  protected chunk(kind: 'move' | 'fill'): Expr<'i32'> {
    const { moveChunk, fillChunk } = this.parts.shared
    const mask = i64.load(this.op, opLayout.addressMask)
    const size = this.size(0)
    return kind === 'move' ? call(moveChunk, i32.load(this.op, opLayout.segment), size, mask) : call(fillChunk, this.register(0, size), size, mask)
  }

  advance(register: number, bytes: Size): void {
    const step = i64.extendS(select('i32', this.state.get32('direction'), -bytes, bytes))
    this.setRegister(register, this.truncate(i64.add(this.register(register, this.addressSize), step), this.addressSize), this.addressSize)
  }

  fault(vector: number): void {
    this.jumped = true
    this.raise(i32.const(vector))
  }

  fails(vector: number): void {
    this.raise(i32.const(vector))
  }

  trap(vector: number, software = true): void {
    this.#event(i64.const(vector), software ? EventKind.software : 0)
  }

  interrupt(vector: Value): void {
    this.#event(vector, EventKind.software | EventKind.intN)
  }

  #event(vector: Value, kind: number): void {
    this.f.do(this.state.set64('from', this.state.get64('pc')))
    this.f.do(this.state.set64('pc', this.nextPc()))
    this.f.do(this.state.set32('event', kind))
    this.raise(i32.wrap(vector))
  }
}
