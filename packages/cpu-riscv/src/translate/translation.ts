import { CORE } from '@machinist/cpu-core'
import type { Arena } from '@machinist/memory'
import { RegionCompiler } from '@machinist/translator'
import type { WasmMemory, WasmTable } from '@machinist/wasm'
import type { CodeCache, CodePage } from '../code-cache.ts'
import { Regions } from './regions.ts'

/** Bytes of an entry map: 16 bits for each halfword of a page. */
const ENTRY_MAP_BYTES = 4096

/** Times that a page is translated before it is left as it is, each time after as many instructions more. */
const MAX_REQUESTS = 24

/** Instructions between two samples, about. */
const STRIDE = 32_768

/** Runs of the interpreter after which waiting regions are compiled, even if they are few. */
const RUNS_UNTIL_FLUSH = 4

export type TranslationMode = 'off' | 'later' | 'now'

/** Translates the pages that the interpreter finds hot, and hands the code to the cache. */
export class Translation {
  readonly #cache: CodeCache
  readonly #arena: Arena
  readonly #compiler: RegionCompiler
  readonly #regions: Regions
  readonly #mode: TranslationMode
  readonly #hot: number
  readonly #freeMaps: number[] = []
  readonly #mapOfSlot = new Map<number, number>()
  #runs = 0
  #random = 0x2545_f491

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
    const linear = options.arena.memory
    this.#regions = new Regions(options.window, !(linear.buffer instanceof ArrayBuffer))
    this.#compiler = new RegionCompiler({
      table: options.table,
      imports: { host: { memory: linear as WasmMemory }, [CORE]: options.core },
      prepare: this.#regions.prepare,
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

  /**
   * Instructions to run until the next sample. Never the same number twice running, or a loop of that length would
   * be seen at one place only; and of very different sizes when little makes code hot, as in tests.
   */
  stride(): number {
    this.#random ^= this.#random << 13
    this.#random ^= this.#random >>> 17
    this.#random ^= this.#random << 5
    const random = this.#random >>> 0
    if (this.#hot >= 4 * STRIDE) return STRIDE - (random & 16_383)
    return 1 + (random >>> 12) % (1 << (random % 12))
  }

  /** After `steps` instructions control is where the 64 bits at `at` say, fetched by the TLB bank at `bank`: the page has got warmer. */
  sample(at: number, bank: number, steps: number): void {
    if (this.#mode === 'off') return
    const { data } = this.#arena
    const pc = data.getUint32(at, true)
    const page = this.#cache.interpretedAt(pc, data.getUint32(at + 4, true), bank)
    if (!page || page.pending || page.requests >= MAX_REQUESTS) return
    const offset = pc & 0xffe
    page.heat += steps
    page.heatAt.set(offset, (page.heatAt.get(offset) ?? 0) + steps)
    if (!page.warm && page.heat * 2 >= this.#hot) {
      // What was executed long ago, once, should not be translated with it.
      page.warm = true
      page.heat = 0
      page.heatAt.clear()
      this.#cache.startOver(page)
    } else if (page.warm && page.heat * 2 >= this.#hot * (1 + page.requests / 4)) this.#request(page)
  }

  #request(page: CodePage): void {
    const { version } = page
    const roots = [...page.heatAt].sort((a, b) => b[1] - a[1]).map(([offset]) => offset)
    page.heat = 0
    page.heatAt.clear()
    page.requests++
    page.pending = true
    const entryMap = this.#freeMaps.pop() ?? this.#arena.allocate(ENTRY_MAP_BYTES)
    this.#compiler.request({
      roots,
      arrivals: this.#cache.arrivals(page),
      ...this.#regions.page(() => this.#cache.code(page), (offset) => this.#cache.reached(page, offset), entryMap),
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
