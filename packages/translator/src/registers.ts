import { type Expr, type Func, i32, i64, type Local, v128 } from '@machinist/wasm'
import type { RegionObserver, RegisterSpec, RegisterType } from './code.ts'
import { regionError } from './errors.ts'
import type { Graph } from './graph.ts'

/** Whether a register is stored on the ways out only. */
export function isStoredOut(spec: RegisterSpec | undefined): boolean {
  return spec?.stored === 'out' || spec?.stored === 'by wayOut'
}

/** The registers that instructions of a graph write and that are stored on the ways out only, in the order of their numbers. */
export function storedOut(graph: Graph, registers: readonly RegisterSpec[]): readonly number[] {
  const written = new Set<number>()
  for (const { instructions } of graph.blocks) for (const { writes } of instructions) for (const register of writes) if (isStoredOut(registers[register])) written.add(register)
  return [...written].sort((a, b) => a - b)
}

/** Guest registers of a region: a local for each that it uses. */
export class RegionRegisters {
  readonly #f: Func
  readonly #specs: readonly RegisterSpec[]
  readonly #locals = new Map<number, Local>()
  /** Written in the current block and not yet stored. */
  readonly #dirty = new Set<number>()
  readonly #out: readonly number[]
  /** Registers that have a local and that instructions write. */
  readonly #written = new Set<number>()

  constructor(f: Func, specs: readonly RegisterSpec[], graph: Graph, observer: RegionObserver | undefined) {
    this.#f = f
    this.#specs = specs
    this.#out = storedOut(graph, specs).filter((register) => specs[register]?.stored === 'out')
    const used = new Set<number>()
    for (const { instructions } of graph.blocks) for (const { reads, writes, elsewhere = false } of instructions) for (const register of [...reads, ...elsewhere ? [] : writes]) used.add(register)
    for (const { instructions } of graph.blocks) for (const { writes } of instructions) for (const register of writes) if (used.has(register)) this.#written.add(register)
    for (const register of [...used].sort((a, b) => a - b)) {
      const local = f.local(this.#spec(register).type)
      this.#locals.set(register, local)
      observer?.local(local, register)
    }
  }

  #spec(register: number): RegisterSpec {
    const spec = this.#specs[register]
    if (!spec) throw regionError(`it has no register ${register}`)
    return spec
  }

  get<T extends RegisterType>(register: number, type: T): Local<T> {
    const local = this.#locals.get(register)
    if (!local || local.type !== type) throw regionError(`register ${register} is not used as ${type} by its instructions`)
    return local as Local<T>
  }

  set<T extends RegisterType>(register: number, value: Expr<T>): void {
    this.#f.set(this.get(register, value.type), value)
    if (!isStoredOut(this.#spec(register))) this.#dirty.add(register)
  }

  load(register: number): void {
    const { type, address } = this.#spec(register)
    const local = this.#locals.get(register)
    if (!local) return
    if (address === null) this.#f.set(local, type === 'v128' ? v128.const(0n, 0n) : 0)
    else this.#f.set(local, type === 'i64' ? i64.load(0, address) : type === 'i32' ? i32.load(0, address) : v128.load(0, address))
  }

  writes(register: number): boolean {
    return this.#written.has(register)
  }

  #store(register: number): void {
    const { type, address } = this.#spec(register)
    const local = this.#locals.get(register)
    if (!local || address === null) return
    this.#f.do(type === 'i64' ? i64.store(0, local as Local<'i64'>, address) : type === 'i32' ? i32.store(0, local as Local<'i32'>, address) : v128.store(0, local as Local<'v128'>, address))
  }

  /**
   * Stores what the block has written since it last did. It is done before every test that may leave, and not on the way
   * out: a block of many accesses has as many ways out, and each would store the same registers again.
   */
  flush(): void {
    for (const register of this.#dirty) this.#store(register)
    this.#dirty.clear()
  }

  /** On a way out: what is stored nowhere else. */
  storeOut(): void {
    for (const register of this.#out) this.#store(register)
  }
}
