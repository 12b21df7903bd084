import { compileLater, compileNow, type Expr, instantiate, ModuleBuilder, type WasmImports, type WasmModule, type WasmTable } from '@machinist/wasm'
import type { Frontend, RegionObserver } from './code.ts'
import { REGION_PARAMS, RegionEmitter, type RegionPlace } from './emit.ts'
import type { RegionExits } from './exits.ts'
import { buildGraph, type Graph, type Limits } from './graph.ts'
import { structure } from './structure.ts'

/** A request to translate one unit. */
export interface RegionRequest {
  /** Offsets from which the unit's code is looked for, the most important first. */
  readonly roots: readonly number[]
  /** Offsets at which control is known to arrive from outside: entries, if the region comes to hold them. */
  readonly arrivals: readonly number[]
  readonly place: RegionPlace
  readonly frontend: Frontend
  /** Values for `RegionStage.constants`. */
  readonly constants: Readonly<Record<string, Expr<'i32'>>>
  /** The function is in the table at `slot`, and may be entered at these offsets, in the order of their numbers. */
  readonly ready: (slot: number, entries: readonly number[]) => void
  /** It cannot be translated: the host's compiler refused, or has no memory. It goes on being interpreted. */
  readonly failed: (error: unknown) => void
}

/** What a region is written from. */
export type RegionSource = Pick<RegionRequest, 'roots' | 'arrivals' | 'place' | 'frontend' | 'constants'>

/** V8's time rises steeply with the size of a function, less so when it has no branches. */
export const LIMITS: Limits = { enough: 250, most: 1000 }

/** Regions in one module: a module has a fixed cost of about half a millisecond; a region takes a few to write. */
const BATCH = 4

/** What every module of regions has in common. */
export interface RegionModule {
  /** Declares the module's imports: memory, and functions, of which the ways out of a region are returned. */
  readonly prepare: (m: ModuleBuilder) => RegionExits
}

/**
 * Writes a module with a function for each region: `r0`, `r1` and so on.
 *
 * @param limits - of one region
 * @param observer - told what is written
 */
export function writeRegions(
  regions: readonly RegionSource[],
  { prepare }: RegionModule,
  limits: Limits = LIMITS,
  observer?: RegionObserver,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly graphs: readonly Graph[] } {
  const planned = regions.map((region) => plan(region, limits))
  return { bytes: write(planned, prepare, observer), graphs: planned.map(({ graph }) => graph) }
}

interface Planned {
  readonly region: RegionSource
  readonly graph: Graph
}

function plan(region: RegionSource, limits: Limits): Planned {
  return { region, graph: buildGraph(region.frontend, region.roots, region.arrivals, limits) }
}

function write(planned: readonly Planned[], prepare: RegionModule['prepare'], observer?: RegionObserver): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder()
  const exits = prepare(m)
  planned.forEach(({ region, graph }, i) => {
    const name = `r${i}`
    m.export(
      name,
      m.func(name, REGION_PARAMS, 'i32', (f) =>
        new RegionEmitter(f, region.frontend, graph, region.place, exits, observer).emit(structure(graph), region.constants),
      ),
    )
  })
  return m.toBytes()
}

export interface CompilerOptions extends RegionModule {
  /** Functions get places in it from `firstSlot` on, which is 0 unless given. */
  readonly table: WasmTable
  readonly firstSlot?: number
  readonly imports: WasmImports
  /** `'later'`: compile in the background. `'now'`: at once, for tests and for hosts that never yield. */
  readonly mode: 'later' | 'now'
}

/** Turns units into functions of a table, in batches. */
export class RegionCompiler {
  readonly #options: CompilerOptions
  readonly #queue: RegionRequest[] = []
  readonly #freeSlots: number[] = []
  #used: number
  /** Functions made, modules and bytes of wasm written, and requests that came to nothing. */
  readonly stats: { regions: number; modules: number; bytes: number; refused: number } = { regions: 0, modules: 0, bytes: 0, refused: 0 }

  constructor(options: CompilerOptions) {
    this.#options = options
    this.#used = options.firstSlot ?? 0
  }

  get pending(): number {
    return this.#queue.length
  }

  request(request: RegionRequest): void {
    this.#queue.push(request)
    if (this.#queue.length >= BATCH || this.#options.mode === 'now') this.flush()
  }

  /** Compiles what is waiting; not all of it if that is much, since the guest waits meanwhile. */
  flush(): void {
    if (this.#queue.length === 0) return
    // Those that are ready leave it, so what fails then is the others' alone.
    const batch: RegionRequest[] = []
    const refuse = (error: unknown): void => {
      this.stats.refused += batch.length
      for (const request of batch.splice(0)) request.failed(error)
    }
    try {
      const planned: Planned[] = []
      let size = 0
      while (size < LIMITS.most) {
        const request = this.#queue.shift()
        if (!request) break
        batch.push(request)
        const region = plan(request, LIMITS)
        planned.push(region)
        size += region.graph.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0)
      }
      const graphs = planned.map(({ graph }) => graph)
      const bytes = write(planned, this.#options.prepare)
      this.stats.modules++
      this.stats.bytes += bytes.length
      if (this.#options.mode === 'now') this.#install(compileNow(bytes), batch, graphs)
      else compileLater(bytes).then((module) => this.#install(module, batch, graphs)).catch(refuse)
    } catch (error) {
      refuse(error)
    }
  }

  #install(module: WasmModule, batch: RegionRequest[], graphs: readonly Graph[]): void {
    const functions = instantiate<Record<string, unknown>>(module, this.#options.imports)
    graphs.forEach(({ entries }, i) => {
      const slot = this.#takeSlot()
      this.#options.table.set(slot, functions[`r${i}`])
      this.stats.regions++
      batch.shift()?.ready(slot, entries)
    })
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop()
    if (free !== undefined) return free
    if (this.#used === this.#options.table.length) this.#options.table.grow(256)
    return this.#used++
  }

  /** Gives a slot back; its function must not be running. */
  release(slot: number): void {
    this.#options.table.set(slot, null)
    this.#freeSlots.push(slot)
  }
}
