import { RegionCompiler } from '@machinist/translator'
import type { Arena } from '@machinist/memory'
import { i32, ModuleBuilder, type WasmMemory, type WasmTable } from '@machinist/wasm'
import type { CodeCache, CodePage } from '../code-cache.ts'
import { HartState } from '../emit/state.ts'
import { registerSpecs, RiscvFrontend } from './frontend.ts'
import { CORE, importCore, type Imports } from './imports.ts'

/** Bytes of an entry map: 16 bits for each halfword of a page. */
const ENTRY_MAP_BYTES = 4096

/** Times that a page is translated before it is left as it is, each time after as many arrivals more. */
const MAX_REQUESTS = 6

/** Runs of the interpreter after which waiting regions are compiled, even if they are few. */
const RUNS_UNTIL_FLUSH = 4

export type TranslationMode = 'off' | 'later' | 'now'

/** Translates the pages that the interpreter finds hot, and hands the code to the cache. */
export class Translation {
  readonly #cache: CodeCache
  readonly #arena: Arena
  readonly #compiler: RegionCompiler
  readonly #state: HartState
  readonly #imports: Imports
  readonly #mode: TranslationMode
  readonly #hot: number
  readonly #freeMaps: number[] = []
  readonly #mapOfSlot = new Map<number, number>()
  #runs = 0

  constructor(options: {
    readonly cache: CodeCache
    readonly arena: Arena
    readonly window: number
    readonly table: WasmTable
    readonly core: Readonly<Record<string, unknown>>
    readonly mode: TranslationMode
    readonly hot: number
  }) {
    this.#cache = options.cache
    this.#arena = options.arena
    this.#mode = options.mode
    this.#hot = options.hot
    this.#state = new HartState(options.window)
    const s = this.#state
    const flags = s.at('fflags')
    this.#imports = importCore(new ModuleBuilder(), flags)
    const linear = options.arena.memory
    const shared = !(linear.buffer instanceof ArrayBuffer)
    this.#compiler = new RegionCompiler({
      table: options.table,
      imports: { host: { memory: linear as WasmMemory }, [CORE]: options.core },
      prepare: (m) => {
        importCore(m, flags)
        m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 65536, shared })
      },
      exits: { pc: s.at('pc'), va: s.at('exitVa'), exit: s.at('exitKind'), access: s.at('exitAccess'), budget: s.at('budget') },
      mode: options.mode === 'now' ? 'now' : 'later',
    })
    this.#cache.onRelease = (slot) => {
      this.#compiler.release(slot)
      const map = this.#mapOfSlot.get(slot)
      if (map !== undefined) this.#freeMaps.push(map)
      this.#mapOfSlot.delete(slot)
    }
  }

  get stats(): RegionCompiler['stats'] {
    return this.#compiler.stats
  }

  /** The page whose ops these are has become hot. */
  hot(ops: number): void {
    const page = this.#cache.byOps(ops)
    if (!page || this.#mode === 'off') return
    if (page.pending) {
      // Ask again when what is on its way has arrived.
      this.#cache.setCount(page, 0)
      return
    }
    const arrivals = this.#cache.arrivals(page)
    const known = new Set(page.region?.entries)
    // Hot again after more further arrivals each time.
    this.#cache.setCount(page, -this.#hot * Math.min(page.requests, MAX_REQUESTS))
    if (page.requests >= MAX_REQUESTS || arrivals.every((offset) => known.has(offset))) return
    this.#request(page, arrivals)
  }

  #request(page: CodePage, entries: readonly number[]): void {
    const { version } = page
    page.requests++
    page.pending = true
    const entryMap = this.#freeMaps.pop() ?? this.#arena.allocate(ENTRY_MAP_BYTES)
    const s = this.#state
    this.#compiler.request({
      entries,
      frontend: new RiscvFrontend(() => this.#cache.code(page), (offset) => this.#cache.reached(page, offset), registerSpecs(s), s, this.#imports),
      place: { entryMap },
      constants: { tlb: i32.add(s.get('dataBank'), 0) },
      ready: (slot, offsets) => {
        page.pending = false
        this.#mapOfSlot.set(slot, entryMap)
        if (page.version !== version || this.#cache.byOps(page.ops) !== page) {
          this.#cache.onRelease?.(slot)
          return
        }
        this.#arena.u8.fill(0, entryMap, entryMap + ENTRY_MAP_BYTES)
        offsets.forEach((offset, number) => this.#arena.data.setUint16(entryMap + offset, number + 1, true))
        this.#cache.install(page, slot, offsets)
      },
      failed: () => {
        page.pending = false
        page.requests = MAX_REQUESTS
        this.#freeMaps.push(entryMap)
      },
    })
  }

  /** Called after each run of a hart. */
  afterRun(): void {
    if (this.#compiler.pending === 0) return
    if (++this.#runs % RUNS_UNTIL_FLUSH === 0) this.#compiler.flush()
  }
}
