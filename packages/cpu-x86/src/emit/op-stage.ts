import { type Expr, i32, i64 } from '@machinist/wasm'
import type { Size } from '../isa/form.ts'
import { ControlStage } from './control-stage.ts'
import { segmentLayout } from './layout.ts'
import type { Stage, Value } from './stage.ts'
import type { VectorOps } from './vector-ops.ts'

/** Semantics over a decoded op in linear memory: the stepper's. Its functions return whether something was raised. */
export abstract class OpStage extends ControlStage implements Omit<Stage, keyof VectorOps> {
  emit(this: this & Stage): void {
    this.begin()
    this.variant.form.instruction.semantics(this)
    if (!this.jumped) this.f.do(this.state.set64('pc', this.nextPc()))
    this.f.return(0)
  }

  read(operand: number, size: Size = this.size(operand)): Value {
    const { kind, register } = this.operand(operand)
    if (this.isMemory(operand)) return this.load(this.offset(), size)
    switch (kind) {
      case 'imm': return this.truncate(this.immediate(operand), size)
      case 'one': return i64.const(1)
      case 'fixed': return this.register(register, size)
      case 'segment': return i64.load16U(this.state.segment(register), segmentLayout.selector)
      case 'sreg': return i64.load16U(this.registerOf(operand), segmentLayout.selector)
      case 'si':
      case 'di': return this.load(this.string(kind), size, kind === 'di' ? 'extra' : 'operand')
      default: return this.readRegister(operand, size)
    }
  }

  write(operand: number, value: Value): void {
    const { kind, register } = this.operand(operand)
    const size = this.size(operand)
    if (this.isMemory(operand)) this.store(this.offset(), value, size)
    else if (kind === 'fixed') this.setRegister(register, value, size)
    else if (kind === 'segment') this.setSegment(register, value)
    else if (kind === 'sreg') this.loadSegment(i32.divU(i32.sub(this.registerOf(operand), this.state.segment(0)), segmentLayout.size), value)
    else if (kind === 'si' || kind === 'di') this.store(this.string(kind), value, size, kind === 'di' ? 'extra' : 'operand')
    else this.writeRegister(operand, value, size)
  }

  numberOf(operand: number): Expr<'i32'> {
    return this.registerOf(operand)
  }
}
