import { type Arena, PAGE_SIZE } from '@machinist/memory'
import { RegionCompiler, type RegionModule, type RegionSource } from '@machinist/translator'
import type { WasmMemory, WasmTable } from '@machinist/wasm'
import type { CodeCache, CodePage } from './code-cache.ts'
import { CORE } from './linking-builder.ts'

/** Times that a page is translated before it is left as it is, each time after as many instructions more. */
const MAX_REQUESTS = 24

/** Regions of an engine at a time: then all are dropped. Each has an entry map, and code of the host. */
const MOST_REGIONS = 4096

/** Places to enter that a region may come to have. */
const ENTERS = 1024

/** Instructions between two samples, about. */
const STRIDE = 32_768

/** Runs of the interpreter after which waiting regions are compiled, even if they are few. */
const RUNS_UNTIL_FLUSH = 4

/** Whether hot code becomes WebAssembly: never; compiled in the background; or at once, for tests. */
export type TranslationMode = 'off' | 'later' | 'now'

/** What translates is made with. */
export interface TranslationOptions<Enter> {
  readonly cache: CodeCache<Enter>
  readonly arena: Arena
  /** That of the module that executes harts; regions get places in it from `firstSlot` on. */
  readonly table: WasmTable
  readonly firstSlot?: number
  /** What regions import as {@link CORE}. */
  readonly core: Readonly<Record<string, unknown>>
  readonly mode: TranslationMode
  /** Instructions that samples find in a page before it is translated. */
  readonly hot: number
  /** Regions that may be there at a time; then all are dropped, and what is hot is translated anew. */
  readonly most?: number
  readonly regions: RegionModule
  /** Bytes of which addresses of instructions are multiples. */
  readonly granule: 1 | 2
  /** What a region of a page is written from, but for where to begin; `entryMap` is the address of its entry map. */
  readonly source: (page: CodePage<Enter>, entryMap: number) => Pick<RegionSource, 'frontend' | 'place' | 'constants'>
}

/** Translates the pages that the interpreter finds hot, and hands the code to the cache. */
export class Translation<Enter = unknown> {
  readonly #options: TranslationOptions<Enter>
  readonly #compiler: RegionCompiler
  readonly #entryMapBytes: number
  readonly #freeMaps: number[] = []
  /** All that were ever allocated. */
  readonly #maps: number[] = []
  readonly #mapOfSlot = new Map<number, number>()
  #disposed = false
  #runs = 0
  #random = 0x2545_f491

  constructor(options: TranslationOptions<Enter>) {
    this.#options = options
    // 16 bits for each place where an instruction may begin.
    this.#entryMapBytes = 2 * PAGE_SIZE / options.granule
    this.#compiler = new RegionCompiler({
      table: options.table,
      firstSlot: options.firstSlot ?? 0,
      imports: { host: { memory: options.arena.memory as WasmMemory }, [CORE]: options.core },
      prepare: options.regions.prepare,
      mode: options.mode === 'now' ? 'now' : 'later',
    })
    options.cache.onRelease = (slot) => {
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
    if (this.#options.hot >= 4 * STRIDE) return STRIDE - (random & 16_383)
    return 1 + (random >>> 12) % (1 << (random % 12))
  }

  /** After `steps` instructions control is where the 64 bits at `at` say, fetched by the TLB bank at `bank`: the page has got warmer. */
  sample(at: number, bank: number, steps: number): void {
    const { arena: { data }, cache, hot, mode } = this.#options
    if (mode === 'off') return
    const pc = data.getUint32(at, true)
    const page = cache.interpretedAt(pc, data.getUint32(at + 4, true), bank)
    if (!page || page.pending || page.requests >= MAX_REQUESTS) return
    const offset = pc & (PAGE_SIZE - 1)
    page.heat += steps
    page.heatAt.set(offset, (page.heatAt.get(offset) ?? 0) + steps)
    if (!page.warm && page.heat * 2 >= hot) {
      // What was executed long ago, once, should not be translated with it.
      page.warm = true
      page.heat = 0
      page.heatAt.clear()
      cache.startOver(page)
    } else if (page.warm && page.heat * 2 >= hot * (1 + page.requests / 4)) this.#request(page)
  }

  #request(page: CodePage<Enter>): void {
    const { arena, cache, granule, source, most = MOST_REGIONS } = this.#options
    const isFull = (): boolean => this.#maps.length - this.#freeMaps.length >= most
    if (this.#mapOfSlot.size > 0 && (isFull() || cache.freeEnters < ENTERS)) cache.dropTranslations()
    // Those that are being compiled have theirs still: it is asked again when the page has got warm anew.
    if (isFull()) {
      page.heat = 0
      return
    }
    const { version } = page
    let entryMap: number
    try {
      entryMap = this.#freeMaps.pop() ?? this.#newMap()
    } catch {
      // Translations are the first thing to do without when there is no room.
      page.requests = MAX_REQUESTS
      return
    }
    const roots = [...page.heatAt].sort((a, b) => b[1] - a[1]).map(([offset]) => offset)
    page.heat = 0
    page.heatAt.clear()
    page.requests++
    page.pending = true
    this.#compiler.request({
      roots,
      arrivals: cache.arrivals(page),
      ...source(page, entryMap),
      ready: (slot, offsets) => {
        page.pending = false
        this.#mapOfSlot.set(slot, entryMap)
        if (this.#disposed || page.version !== version || cache.byOps(page.ops) !== page) {
          cache.onRelease?.(slot)
          return
        }
        arena.u8.fill(0, entryMap, entryMap + this.#entryMapBytes)
        offsets.forEach((offset, number) => arena.data.setUint16(entryMap + 2 * offset / granule, number + 1, true))
        cache.install(page, slot, offsets)
      },
      failed: () => {
        page.pending = false
        page.requests = MAX_REQUESTS
        this.#freeMaps.push(entryMap)
      },
    })
  }

  #newMap(): number {
    const map = this.#options.arena.allocate(this.#entryMapBytes)
    this.#maps.push(map)
    return map
  }

  /** Gives its memory back. Its cache has forgotten all pages; what is still being compiled comes to nothing. */
  dispose(): void {
    this.#disposed = true
    for (const map of this.#maps.splice(0)) this.#options.arena.free(map, this.#entryMapBytes)
  }

  /** Called after each run of a hart. */
  afterRun(): void {
    if (this.#compiler.pending === 0) return
    if (++this.#runs % RUNS_UNTIL_FLUSH === 0) this.#compiler.flush()
  }
}
