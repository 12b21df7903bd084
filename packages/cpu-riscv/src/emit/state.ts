import { type Expr, i32, i64, type Operand } from '@machinist/wasm'
import { type HartField, hartLayout } from '../hart-layout.ts'

type Value<F extends HartField> = (typeof hartLayout.fields)[F] extends 'i64' | readonly ['i64', number] ? 'i64' : 'i32'

/** Expressions for the fields of the hart record at a fixed address. */
export class HartState {
  readonly base: number
  constructor(base: number) {
    this.base = base
  }

  /** Address of a field. */
  at(field: HartField): number {
    return this.base + hartLayout.offset[field]
  }

  #scalar(field: HartField): 'u8' | 'u32' | 'i64' {
    const type = hartLayout.fields[field]
    return typeof type === 'string' ? type : type[0]
  }

  get<F extends HartField>(field: F): Expr<Value<F>> {
    return this.element(field, i32.const(0))
  }

  set<F extends HartField>(field: F, value: Operand<Value<F>>): Expr<'void'> {
    return this.setElement(field, i32.const(0), value)
  }

  /** Element of an array; `index` is scaled here. */
  element<F extends HartField>(field: F, index: Expr<'i32'>): Expr<Value<F>> {
    const at = this.at(field)
    switch (this.#scalar(field)) {
      case 'u8':
        return i32.load8U(index, at) as Expr as Expr<Value<F>>
      case 'u32':
        return i32.load(scaled(index, 2), at) as Expr as Expr<Value<F>>
      case 'i64':
        return i64.load(scaled(index, 3), at) as Expr as Expr<Value<F>>
    }
  }

  setElement<F extends HartField>(field: F, index: Expr<'i32'>, value: Operand<Value<F>>): Expr<'void'> {
    const at = this.at(field)
    switch (this.#scalar(field)) {
      case 'u8':
        return i32.store8(index, value as Operand<'i32'>, at)
      case 'u32':
        return i32.store(scaled(index, 2), value as Operand<'i32'>, at)
      case 'i64':
        return i64.store(scaled(index, 3), value as Operand<'i64'>, at)
    }
  }
}

function scaled(index: Expr<'i32'>, shift: number): Expr<'i32'> {
  return index.constant === undefined ? i32.shl(index, shift) : i32.const(Number(index.constant) << shift)
}
