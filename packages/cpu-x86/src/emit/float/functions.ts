import { type FuncRef, ModuleBuilder, type ValueType } from '@machinist/wasm'
import type { FloatState } from '../float-state.ts'
import { emitSse, type SseFunctions } from './sse.ts'
import { emitX87, type X87Functions } from './x87.ts'

/** Functions of floating-point numbers, which handlers call. They are a module of their own, made when the first is called. */
export interface FloatFunctions {
  readonly sse: SseFunctions
  readonly x87: X87Functions
}

function emitFloat(m: ModuleBuilder, state: FloatState): FloatFunctions {
  return { sse: emitSse(m, state), x87: emitX87(m, state) }
}

type Tree = FuncRef | { readonly [name: string]: Tree }
const isFunction = (tree: Tree): tree is FuncRef => 'index' in tree

/** Each function in place of what `f` makes of it, which is given its path as a name. */
function mapped(tree: Tree, path: string, f: (target: FuncRef, path: string) => FuncRef): Tree {
  if (isFunction(tree)) return f(tree, path)
  return Object.fromEntries(Object.entries(tree).map(([name, inner]) => [name, mapped(inner, `${path}.${name}`, f)]))
}

/** The module of them, and what it exports. */
export function writeFloat(state: FloatState): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  mapped(emitFloat(m, state) as unknown as Tree, '', (target, path) => {
    m.export(path, target)
    return target
  })
  return m.toBytes()
}

let signatures: Tree | null = null

/** Declares them as imports. Their signatures are those of the functions themselves. */
export function importFloat(m: ModuleBuilder, state: FloatState): FloatFunctions {
  if (!signatures) {
    const scratch = new ModuleBuilder()
    scratch.importMemory({ module: 'host', name: 'memory', initial: 1 })
    signatures = emitFloat(scratch, state) as unknown as Tree
  }
  return mapped(signatures, '', ({ params, result }, path) => m.importFunction('float', path, params as readonly ValueType[], result)) as unknown as FloatFunctions
}
