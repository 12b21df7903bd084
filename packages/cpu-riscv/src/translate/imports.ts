import { emitSoftfloat } from '@machinist/softfloat'
import { type Func, type FuncRef, type Locals, ModuleBuilder, type Type, type ValueType } from '@machinist/wasm'
import type { RegionExits } from '@machinist/translator'
import { emitRegionExits } from '../emit/exits.ts'
import { emitHelpers } from '../emit/helpers.ts'
import type { Helpers } from '../emit/stage.ts'
import type { HartState } from '../emit/state.ts'

/** Name of the module that translated code imports functions from: the exports of the hart module. */
export const CORE = 'core'

/**
 * A module in which every function that would be defined is imported instead, under its own name, once some code
 * calls it. Emitters that hand out references and code to be written in place work unchanged, and the functions
 * exist once.
 */
class LinkingBuilder extends ModuleBuilder {
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

/** What translated code calls: the same references for every module, which imports what it uses. */
export interface Imports {
  /** Makes `m` the module that code is written for. */
  begin(m: ModuleBuilder): void
  readonly helpers: Helpers
  readonly exits: RegionExits
  /** `(pc, budget)`: executes the instruction there; 1 when control goes on behind it, in the same code. */
  readonly outside: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** `(value)`: writes `sstatus`; 1 when nothing keeps control from going on. */
  readonly writeSstatus: FuncRef<readonly ['i64'], 'i32'>
}

export function createImports(s: HartState): Imports {
  const linking = new LinkingBuilder()
  return {
    begin: (m) => linking.begin(m),
    helpers: emitHelpers(linking, emitSoftfloat(linking, { flags: s.at('fflags'), nan: 'canonical' })),
    exits: emitRegionExits(linking, s, 0),
    outside: linking.declare('outside', ['i64', 'i32'], 'i32'),
    writeSstatus: linking.declare('writeSstatus', ['i64'], 'i32'),
  }
}
