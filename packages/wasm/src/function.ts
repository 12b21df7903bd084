import { builderError } from './errors.ts'
import type { Bytes } from './bytes.ts'
import { expr, Expr, Generic, type Global, Local, type Operand, type Type, typeCode, type ValueType } from './expr.ts'

/** A function that can be called, defined here or imported. */
export interface FuncRef<Params extends readonly ValueType[] = readonly ValueType[], Result extends Type = Type> {
  readonly index: number
  readonly name: string
  readonly params: Params
  readonly result: Result
}

/** Operands for parameters of the given types. */
export type Operands<Params extends readonly ValueType[]> = { readonly [I in keyof Params]: Operand<Params[I]> }
/** Locals for parameters of the given types. */
export type Locals<Params extends readonly ValueType[]> = { readonly [I in keyof Params]: Local<Params[I]> }

/** A place that a branch can go to: the end of a block, or the start of a loop. */
export interface Label {
  readonly depth: number
}

/** Calls `target`. As a statement, pass it to `Func.do` or `Func.drop`. */
export function call<const Params extends readonly ValueType[], Result extends Type>(
  target: FuncRef<Params, Result>,
  ...operands: Operands<Params>
): Expr<Result> {
  const given: readonly (Expr | number | bigint)[] = operands
  const args = target.params.map((type, i) => expr(type, argument(given, i, target.name) as Expr<ValueType>))
  return new Generic(target.result, args, (out) => {
    out.byte(0x10)
    out.u32(target.index)
  })
}

function argument(given: readonly (Expr | number | bigint)[], i: number, name: string): Expr | number | bigint {
  const value = given[i]
  if (value === undefined) throw builderError(name, `argument ${i} of a call is missing`, 'Give as many as the function has parameters')
  return value
}

/**
 * Writes one function body. Statements are written as they are made; expressions when a statement uses them.
 */
export class Func {
  readonly #out: Bytes
  readonly #types: ValueType[]
  readonly #params: number
  readonly #result: Type
  #depth = 0
  /** Locals that were given back with {@link Func.free}, by type. */
  readonly #free: Record<ValueType, Local[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] }

  /** Locals taken since the innermost scope began. */
  #scope: Set<Local> | null = null

  constructor(out: Bytes, params: readonly ValueType[], result: Type) {
    this.#out = out
    this.#types = [...params]
    this.#params = params.length
    this.#result = result
  }

  /** Bytes of code written so far. */
  get position(): number {
    return this.#out.length
  }

  /** Parameter number `index`. */
  param<T extends ValueType>(type: T, index: number): Local<T> {
    if (this.#types[index] !== type || index >= this.#params) throw builderError('function', `it has no parameter ${index} of type ${type}`, `Its parameters are ${this.#types.slice(0, this.#params).join(', ') || 'none'}`)
    return new Local(type, index)
  }

  /** A new local, zero at entry (or a freed one, with any value). */
  local<T extends ValueType>(type: T): Local<T> {
    const local = (this.#free[type].pop() as Local<T> | undefined) ?? new Local(type, this.#types.push(type) - 1)
    this.#scope?.add(local)
    return local
  }

  /** Gives back every local that is taken in `body` and not given back there. */
  scope(body: () => void): void {
    const outer = this.#scope
    const inner = new Set<Local>()
    this.#scope = inner
    body()
    this.#scope = outer
    for (const local of inner) this.#free[local.type].push(local)
  }

  /** Lets later locals reuse this one. */
  free(local: Local): void {
    this.#scope?.delete(local)
    this.#free[local.type].push(local)
  }

  /** Computes `value` once, into a new local. */
  let<T extends ValueType>(value: Expr<T>): Local<T> {
    const local = this.local(value.type)
    this.set(local, value)
    return local
  }

  set<T extends ValueType>(target: Local<T>, value: Operand<T>): void {
    expr(target.type, value).emit(this.#out)
    this.#out.byte(0x21)
    this.#out.u32(target.index)
  }

  setGlobal<T extends ValueType>(target: Global<T>, value: Operand<T>): void {
    expr(target.type, value).emit(this.#out)
    this.#out.byte(0x24)
    this.#out.u32(target.index)
  }

  /** Sets `target` and leaves the value as an expression. Evaluated where the expression is used. */
  tee<T extends ValueType>(target: Local<T>, value: Operand<T>): Expr<T> {
    return new Generic(target.type, [expr(target.type, value)], (out) => {
      out.byte(0x22)
      out.u32(target.index)
    })
  }

  /** Performs a store or a call without a result. */
  do(statement: Expr<'void'>): void {
    statement.emit(this.#out)
  }

  drop(value: Expr<ValueType>): void {
    value.emit(this.#out)
    this.#out.byte(0x1a)
  }

  if(condition: Operand<'i32'>, then: () => void, otherwise?: () => void): void {
    expr('i32', condition).emit(this.#out)
    this.#out.byte(0x04)
    this.#out.byte(0x40)
    this.#depth++
    then()
    if (otherwise) {
      this.#out.byte(0x05)
      otherwise()
    }
    this.#end()
  }

  /** An `if` with a value. */
  choose<T extends ValueType>(type: T, condition: Operand<'i32'>, then: () => Expr<T>, otherwise: () => Expr<T>): Local<T> {
    const result = this.local(type)
    this.if(
      condition,
      () => this.set(result, then()),
      () => this.set(result, otherwise()),
    )
    return result
  }

  /** A block: branching to its label leaves it. */
  block(body: (label: Label) => void): void {
    this.#nested(0x02, body)
  }

  /** A loop: branching to its label starts it again; running off its end leaves it. */
  loop(body: (label: Label) => void): void {
    this.#nested(0x03, body)
  }

  /** Opens a block without closing it; for nests too deep for closures. Close with {@link Func.close}. */
  open(kind: 'block' | 'loop'): Label {
    this.#out.byte(kind === 'block' ? 0x02 : 0x03)
    this.#out.byte(0x40)
    return { depth: ++this.#depth }
  }

  close(label: Label): void {
    if (label.depth !== this.#depth) throw builderError('function', 'a block is closed before one within it', 'Close blocks in the reverse of the order they opened in')
    this.#end()
  }

  #nested(opcode: number, body: (label: Label) => void): void {
    this.#out.byte(opcode)
    this.#out.byte(0x40)
    this.#depth++
    body({ depth: this.#depth })
    this.#end()
  }

  #end(): void {
    this.#depth--
    this.#out.byte(0x0b)
  }

  br(label: Label): void {
    this.#out.byte(0x0c)
    this.#out.u32(this.#depth - label.depth)
  }

  brIf(label: Label, condition: Operand<'i32'>): void {
    expr('i32', condition).emit(this.#out)
    this.#out.byte(0x0d)
    this.#out.u32(this.#depth - label.depth)
  }

  brTable(index: Operand<'i32'>, labels: readonly Label[], otherwise: Label): void {
    expr('i32', index).emit(this.#out)
    this.#out.byte(0x0e)
    this.#out.u32(labels.length)
    for (const label of labels) this.#out.u32(this.#depth - label.depth)
    this.#out.u32(this.#depth - otherwise.depth)
  }

  return(value?: Expr | number | bigint): void {
    if (value !== undefined && this.#result !== 'void') expr(this.#result, value as Expr<ValueType>).emit(this.#out)
    this.#out.byte(0x0f)
  }

  /** Ends with a tail call of `target`, which returns what this function does; this function's frame is gone when it begins. */
  returnCall<const Params extends readonly ValueType[]>(target: FuncRef<Params>, ...operands: Operands<Params>): void {
    const given: readonly (Expr | number | bigint)[] = operands
    target.params.forEach((type, i) => expr(type, argument(given, i, target.name) as Expr<ValueType>).emit(this.#out))
    this.#out.byte(0x12)
    this.#out.u32(target.index)
  }

  unreachable(): void {
    this.#out.byte(0x00)
  }

  /** Ends the body, and writes it with its declarations of locals to `target`. */
  finish(target: Bytes): void {
    if (this.#depth !== 0) throw builderError('function', 'a block is still open at its end', 'Close it')
    // Falling off the end of a function with a result would be a validation error; every path must return.
    if (this.#result !== 'void') this.#out.byte(0x00)
    this.#out.byte(0x0b)
    const runs: { type: ValueType; count: number }[] = []
    for (const type of this.#types.slice(this.#params)) {
      const last = runs.at(-1)
      if (last?.type === type) last.count++
      else runs.push({ type, count: 1 })
    }
    const locals: number[] = []
    const leb = (value: number): void => {
      let rest = value
      while (rest >= 0x80) {
        locals.push((rest & 0x7f) | 0x80)
        rest >>>= 7
      }
      locals.push(rest)
    }
    leb(runs.length)
    for (const run of runs) {
      leb(run.count)
      locals.push(typeCode[run.type])
    }
    target.u32(locals.length + this.#out.length)
    target.append(Uint8Array.from(locals))
    target.append(this.#out.view())
  }
}
