import { emitSoftfloat } from '@machinist/softfloat'
import { type Func, type FuncRef, type Locals, ModuleBuilder, type Type, type ValueType } from '@machinist/wasm'
import { emitHelpers } from '../emit/helpers.ts'
import type { Helpers } from '../emit/stage.ts'

/** Name of the module that translated code imports functions from: the exports of the hart module. */
export const CORE = 'core'

/**
 * A module in which every function that would be defined is imported instead, under its own name. Emitters that
 * hand out references and code to be written in place work unchanged, and the functions exist once.
 */
class LinkingBuilder extends ModuleBuilder {
  readonly #target: ModuleBuilder
  constructor(target: ModuleBuilder) {
    super()
    this.#target = target
  }

  override declare<const Params extends readonly ValueType[], Result extends Type>(name: string, params: Params, result: Result): FuncRef<Params, Result> {
    return this.#target.importFunction(CORE, name, params, result)
  }

  override define<const Params extends readonly ValueType[], Result extends Type>(target: FuncRef<Params, Result>): FuncRef<Params, Result> {
    return target
  }

  override func<const Params extends readonly ValueType[], Result extends Type>(
    name: string,
    params: Params,
    result: Result,
    _body: (f: Func, ...params: Locals<Params>) => void,
  ): FuncRef<Params, Result> {
    return this.declare(name, params, result)
  }
}

/** What translated code calls. */
export interface Imports {
  readonly helpers: Helpers
  /** `(pc, budget)`: executes the instruction there; 1 when control goes on behind it, in the same code. */
  readonly outside: FuncRef<readonly ['i64', 'i32'], 'i32'>
}

/** Imports into `m` what instructions call. The references are the same for every module that begins so. */
export function importCore(m: ModuleBuilder, flags: number): Imports {
  const linking = new LinkingBuilder(m)
  const outside = m.importFunction(CORE, 'outside', ['i64', 'i32'], 'i32')
  return { outside, helpers: emitHelpers(linking, emitSoftfloat(linking, { flags, nan: 'canonical' })) }
}
