import { type Func, type FuncRef, type Locals, ModuleBuilder, type Type, type ValueType } from '@machinist/wasm'

/** Name of the module that translated code imports functions from: the exports of the module that executes harts. */
export const CORE = 'core'

/**
 * A module in which every function that would be defined is imported instead, from {@link CORE} under its own name, once some code
 * calls it. Emitters that hand out references and code to be written in place work unchanged, and the functions
 * exist once.
 */
export class LinkingBuilder extends ModuleBuilder {
  #target: ModuleBuilder = this
  #modules = 0

  /** From now on functions are imported into `target`. */
  begin(target: ModuleBuilder): void {
    this.#target = target
    this.#modules++
  }

  override declare<const Params extends readonly ValueType[], Result extends Type>(name: string, params: Params, result: Result): FuncRef<Params, Result> {
    let module = 0
    let index = 0
    const number = (): number => {
      if (module !== this.#modules) {
        module = this.#modules
        index = this.#target.importFunction(CORE, name, params, result).index
      }
      return index
    }
    return {
      get index() {
        return number()
      },
      name,
      params,
      result,
    }
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
