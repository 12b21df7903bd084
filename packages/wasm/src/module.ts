import { builderError } from './errors.ts'
import { Bytes } from './bytes.ts'
import { expr, Global, Generic, type Expr, type Operand, type Type, typeCode, type ValueType } from './expr.ts'
import { Func, type FuncRef, type Locals, type Operands } from './function.ts'

interface FunctionImport {
  readonly module: string
  readonly name: string
  readonly type: number
}

interface GlobalDefinition {
  readonly type: ValueType
  readonly mutable: boolean
  readonly initial: Expr
}

/** How a memory is imported. */
export interface MemoryImport {
  readonly module: string
  readonly name: string
  /** Pages of 64 KiB. */
  readonly initial: number
  readonly maximum?: number
  readonly shared?: boolean
}

/**
 * Builds one WebAssembly module (core specification 2.0 with threads). Imports come before definitions;
 * functions may be declared before they are defined, so that they can call one another.
 */
export class ModuleBuilder {
  readonly #types: { params: readonly ValueType[]; result: Type }[] = []
  readonly #typeIndex = new Map<string, number>()
  readonly #imports: FunctionImport[] = []
  readonly #globalImports: { module: string; name: string; type: ValueType }[] = []
  #memory: MemoryImport | null = null
  readonly #functions: { type: number; name: string; body: Bytes | null }[] = []
  readonly #positions = new Map<FuncRef, number>()
  /** Whether some code has the number of a function that is defined here: no import may come before it any more. */
  #numbered = false
  readonly #globals: GlobalDefinition[] = []
  readonly #exports: { name: string; kind: number; target: { readonly index: number } }[] = []
  readonly #table: number[] = []
  #tableImport: { module: string; name: string; initial: number } | null = null
  readonly #scratch = new Bytes(4096)

  #type(params: readonly ValueType[], result: Type): number {
    const key = `${params.join()}>${result}`
    const known = this.#typeIndex.get(key)
    if (known !== undefined) return known
    this.#types.push({ params, result })
    this.#typeIndex.set(key, this.#types.length - 1)
    return this.#types.length - 1
  }

  /** Imports a function, before any code calls a function that is defined here. */
  importFunction<const Params extends readonly ValueType[], Result extends Type>(
    module: string,
    name: string,
    params: Params,
    result: Result,
  ): FuncRef<Params, Result> {
    if (this.#numbered) throw builderError(`${module}.${name}`, 'an import after a call of a function that is defined here', 'Import first')
    this.#imports.push({ module, name, type: this.#type(params, result) })
    return { index: this.#imports.length - 1, name, params, result }
  }

  importMemory(memory: MemoryImport): void {
    this.#memory = memory
  }

  importGlobal<T extends ValueType>(module: string, name: string, type: T): Global<T> {
    if (this.#globals.length > 0) throw builderError(`${module}.${name}`, 'an import after a definition', 'Import first')
    this.#globalImports.push({ module, name, type })
    return new Global(type, this.#globalImports.length - 1)
  }

  global<T extends ValueType>(type: T, initial: Operand<T>, mutable: boolean = true): Global<T> {
    this.#globals.push({ type, mutable, initial: expr(type, initial) })
    return new Global(type, this.#globalImports.length + this.#globals.length - 1)
  }

  /** Announces a function that `define` fills in. */
  declare<const Params extends readonly ValueType[], Result extends Type>(
    name: string,
    params: Params,
    result: Result,
  ): FuncRef<Params, Result> {
    const position = this.#functions.push({ type: this.#type(params, result), name, body: null }) - 1
    const number = (): number => {
      this.#numbered = true
      return this.#imports.length + position
    }
    const target: FuncRef<Params, Result> = {
      get index() {
        return number()
      },
      name,
      params,
      result,
    }
    this.#positions.set(target, position)
    return target
  }

  define<const Params extends readonly ValueType[], Result extends Type>(
    target: FuncRef<Params, Result>,
    body: (f: Func, ...params: Locals<Params>) => void,
  ): FuncRef<Params, Result> {
    const entry = this.#functions[this.#positions.get(target) ?? -1]
    if (!entry || entry.body) throw builderError(target.name, 'is not a function waiting for its body', 'Declare it in this module, and define it once')
    this.#scratch.clear()
    const f = new Func(this.#scratch, target.params, target.result)
    const params = target.params.map((type, i) => f.param(type, i)) as unknown as Locals<Params>
    body(f, ...params)
    entry.body = new Bytes(this.#scratch.length + 32)
    f.finish(entry.body)
    return target
  }

  /** Declares and defines. A body must not define another function. */
  func<const Params extends readonly ValueType[], Result extends Type>(
    name: string,
    params: Params,
    result: Result,
    body: (f: Func, ...params: Locals<Params>) => void,
  ): FuncRef<Params, Result> {
    return this.define(this.declare(name, params, result), body)
  }

  export(name: string, target: FuncRef): void {
    this.#exports.push({ name, kind: 0, target })
  }

  /** Functions declared so far. */
  get functionCount(): number {
    return this.#functions.length
  }

  /** Exports every function declared since there were `since` of them, under its own name. */
  exportSince(since: number): void {
    for (const [target, position] of this.#positions) if (position >= since) this.export(target.name, target)
  }

  exportGlobal(name: string, target: Global): void {
    this.#exports.push({ name, kind: 3, target })
  }

  /** Puts a function into the module's table; returns its position, for {@link ModuleBuilder.callIndirect}. */
  tableEntry(target: FuncRef): number {
    this.#table.push(target.index)
    return this.#table.length - 1
  }

  /** The module's table is another's, of at least `initial` places; what {@link ModuleBuilder.tableEntry} puts into it is put there from 0 on. */
  importTable(module: string, name: string, initial: number): void {
    this.#tableImport = { module, name, initial }
  }

  /** Calls the table's function at `index`, which must have this signature, or the module traps. */
  callIndirect<const Params extends readonly ValueType[], Result extends Type>(
    params: Params,
    result: Result,
    index: Operand<'i32'>,
    ...operands: Operands<Params>
  ): Expr<Result> {
    const type = this.#type(params, result)
    const given: readonly (Expr | number | bigint)[] = operands
    const args = params.map((t, i) => expr(t, given[i] as Expr<ValueType>))
    return new Generic(result, [...args, expr('i32', index)], (out) => {
      out.byte(0x11)
      out.u32(type)
      out.byte(0)
    })
  }

  /**
   * Ends `f` with a tail call of the table's function at `index`, which must have this signature and return what `f`
   * does, or the module traps. The caller's frame is gone when the function begins.
   */
  returnCallIndirect<const Params extends readonly ValueType[]>(
    f: Func,
    params: Params,
    result: Type,
    index: Operand<'i32'>,
    ...operands: Operands<Params>
  ): void {
    const type = this.#type(params, result)
    const given: readonly (Expr | number | bigint)[] = operands
    const args = params.map((t, i) => expr(t, given[i] as Expr<ValueType>))
    f.do(new Generic('void', [...args, expr('i32', index)], (out) => {
      out.byte(0x13)
      out.u32(type)
      out.byte(0)
    }))
  }

  /** The binary. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new Bytes(65536)
    out.append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
    const section = (id: number, count: number, write: (body: Bytes) => void): void => {
      if (count === 0) return
      const body = new Bytes()
      body.u32(count)
      write(body)
      out.byte(id)
      out.u32(body.length)
      out.append(body.view())
    }
    section(1, this.#types.length, (body) => {
      for (const type of this.#types) {
        body.byte(0x60)
        body.u32(type.params.length)
        for (const param of type.params) body.byte(typeCode[param])
        if (type.result === 'void') body.u32(0)
        else {
          body.u32(1)
          body.byte(typeCode[type.result])
        }
      }
    })
    const importCount = this.#imports.length + this.#globalImports.length + (this.#memory ? 1 : 0) + (this.#tableImport ? 1 : 0)
    section(2, importCount, (body) => {
      for (const entry of this.#imports) {
        body.name(entry.module)
        body.name(entry.name)
        body.byte(0)
        body.u32(entry.type)
      }
      if (this.#tableImport) {
        body.name(this.#tableImport.module)
        body.name(this.#tableImport.name)
        body.byte(1)
        body.byte(0x70)
        body.byte(0)
        body.u32(this.#tableImport.initial)
      }
      if (this.#memory) {
        body.name(this.#memory.module)
        body.name(this.#memory.name)
        body.byte(2)
        const bounded = this.#memory.maximum !== undefined
        body.byte((bounded ? 1 : 0) | (this.#memory.shared ? 2 : 0))
        body.u32(this.#memory.initial)
        if (this.#memory.maximum !== undefined) body.u32(this.#memory.maximum)
      }
      for (const entry of this.#globalImports) {
        body.name(entry.module)
        body.name(entry.name)
        body.byte(3)
        body.byte(typeCode[entry.type])
        body.byte(0)
      }
    })
    section(3, this.#functions.length, (body) => {
      for (const entry of this.#functions) body.u32(entry.type)
    })
    section(4, this.#table.length > 0 && !this.#tableImport ? 1 : 0, (body) => {
      body.byte(0x70)
      body.byte(0)
      body.u32(this.#table.length)
    })
    section(6, this.#globals.length, (body) => {
      for (const entry of this.#globals) {
        body.byte(typeCode[entry.type])
        body.byte(entry.mutable ? 1 : 0)
        entry.initial.emit(body)
        body.byte(0x0b)
      }
    })
    section(7, this.#exports.length, (body) => {
      for (const entry of this.#exports) {
        body.name(entry.name)
        body.byte(entry.kind)
        body.u32(entry.target.index)
      }
    })
    section(9, this.#table.length > 0 ? 1 : 0, (body) => {
      body.byte(0)
      body.byte(0x41)
      body.s32(0)
      body.byte(0x0b)
      body.u32(this.#table.length)
      for (const index of this.#table) body.u32(index)
    })
    section(10, this.#functions.length, (body) => {
      for (const entry of this.#functions) {
        if (!entry.body) throw builderError(entry.name, 'was declared and never defined', 'Define it')
        body.append(entry.body.view())
      }
    })
    this.#writeNames(out)
    return out.finish()
  }

  /** The custom section that gives functions their names in profiles and stack traces. */
  #writeNames(out: Bytes): void {
    const names = new Bytes()
    names.u32(this.#functions.length)
    this.#functions.forEach((entry, i) => {
      names.u32(this.#imports.length + i)
      names.name(entry.name)
    })
    const body = new Bytes()
    body.name('name')
    body.byte(1)
    body.u32(names.length)
    body.append(names.view())
    out.byte(0)
    out.u32(body.length)
    out.append(body.view())
  }
}
