import { machinistError } from '@machinist/api'
import { type Cluster, dropFetchesOf, dropTranslations, HartWindow, JUMPS_BYTES, readDevice, Translation, type TranslationMode, writeDevice } from '@machinist/cpu-core'
import { type Arena, frameOf, PAGE_CODE, PAGE_SIZE } from '@machinist/memory'
import { createTable, instantiate, type WasmTable } from '@machinist/wasm'
import { CodePages, type Enter } from './code-pages.ts'
import { coreModule, placeWindow } from './core-module.ts'
import { decodeRun } from './decode/run-decoder.ts'
import { ownFunctions } from './emit/core.ts'
import { decodeSlot } from './emit/decode-slot.ts'
import { State, STATE_SIZE, x86Layout } from './emit/layout.ts'
import { densePage } from './emit/op-format.ts'
import { DECODED, decodedLayout } from './emit/steps.ts'
import { type OutsideFunctions, outsideNames } from './emit/system/outside.ts'
import type { Model } from './model/models.ts'
import { lackedBy } from './model/forms.ts'
import { once } from './once.ts'
import type { X86Record } from './record.ts'
import { Regions } from './translate/regions.ts'

/** Bits of a physical address (CPUID leaf 8000_0008h). */
export const PHYSICAL_BITS = 40
const DECODED_BYTES = DECODED * decodedLayout.size
/** 16 MiB of code. Of pages of ops that nothing was written to nothing is there. */
const CODE_PAGES = 4096
const CODE_BYTES = CODE_PAGES * densePage.size

/** What generated code calls of the processor that runs. */
export type HartCalls = Readonly<Record<keyof OutsideFunctions, (...args: never[]) => number | bigint | void>>

/** Who runs: a processor. */
export interface EngineClient {
  readonly cluster: Cluster
  readonly record: X86Record
  /** What its code calls, over a record in the window. */
  readonly outside: HartCalls
}

/** What the module of the core exports. */
export interface CoreExports {
  /** Runs until the budget is used up or `leave` is set; up to REGION_OVERRUN steps more than the budget, or OVERRUN while `plain` is set. */
  run(): void
  /** The same, one step at a time, and never more. */
  crawl(): void
  /** The status flags of RFLAGS. */
  status(): number
  /** After control registers, EFER or CS were set from outside. */
  updateView(): void
  updateMode(): void
  /** Forgets all translations of the processor in the window. */
  flushAll(): void
  flushBank(bank: number): void
  writeControl(number: number, value: bigint): number
  writeMsr(number: number, value: bigint): number
  startBanks(first: number): void
}

/** How code is translated: see `X86Config`. */
export interface EngineOptions {
  readonly translate: TranslationMode
  readonly hot: number
  /** Regions at a time, for tests. */
  readonly most?: number
}

type CoreModuleExports = CoreExports & Readonly<Record<string, unknown>>

interface EngineCode {
  exports: CoreExports
  /** The same for code that is translated from now on. */
  readonly core: Record<string, unknown>
  readonly table: WasmTable
  readonly translation: Translation<Enter>
}

/** Engines of each arena, by how they translate, by the model of their processors. */
const engines = new WeakMap<Arena, Map<string, Map<Model, Engine>>>()

/**
 * The generated code for all processors of one model in an arena, and the instructions that it has decoded. Code addresses the record of the processor that runs
 * at a fixed place, the window; processors move in and out of it.
 */
export class Engine {
  readonly arena: Arena
  readonly window: HartWindow<EngineClient>
  readonly #decoded: number
  readonly #ops: number
  readonly #jumps: number
  readonly #code: CodePages
  readonly #deaf: () => void
  readonly #lacks: ReturnType<typeof lackedBy>
  /** Whatever holds the arena's linear memory; null once the last machine is gone. */
  #live: EngineCode | null
  readonly #clusters = new Set<Cluster>()
  readonly #forget: () => void

  /** The engine of an arena. Machines that share the arena and have the same model share it. */
  static of(arena: Arena, model: Model, options: EngineOptions): Engine {
    let known = engines.get(arena)
    if (known === undefined) engines.set(arena, known = new Map())
    const kind = `${options.translate} ${options.hot}`
    let alike = known.get(kind)
    if (alike === undefined) known.set(kind, alike = new Map())
    let engine = alike.get(model)
    if (engine === undefined) alike.set(model, engine = new Engine(arena, model, options, () => alike.delete(model)))
    return engine
  }

  private constructor(arena: Arena, model: Model, options: EngineOptions, forget: () => void) {
    this.arena = arena
    this.#forget = forget
    this.window = new HartWindow(placeWindow(arena), x86Layout.offset.ramTable)
    this.#decoded = arena.allocate(DECODED_BYTES)
    this.#ops = arena.allocate(CODE_BYTES)
    this.#jumps = arena.allocate(JUMPS_BYTES)
    this.#code = new CodePages({ memory: arena, pool: this.#ops, limit: CODE_PAGES, clusters: this.#clusters, jumps: this.#jumps })
    this.#deaf = arena.onCodeFreed((frame) => { this.#code.freed(frame) })
    const table = createTable(ownFunctions())
    this.#lacks = lackedBy(model)
    const exports = this.#instantiate(table, false)
    const core = { ...exports }
    this.#live = { exports, core, table, translation: this.#translator(table, core, options) }
  }

  #translator(table: WasmTable, core: Readonly<Record<string, unknown>>, { translate: mode, hot, most }: EngineOptions): Translation<Enter> {
    const { arena, window: { address } } = this
    const cache = this.#code
    // Most machines that are made for a moment translate nothing.
    const regions = once(() => new Regions(address, !(arena.memory.buffer instanceof ArrayBuffer), this.#lacks))
    const translation = new Translation<Enter>({
      cache, arena, table, firstSlot: ownFunctions(), core, mode, hot, granule: 1, ...most === undefined ? {} : { most },
      regions: { prepare: (m) => regions().prepare(m) },
      source: (page, entryMap) => regions().page(() => cache.code(page), (offset) => cache.reached(page, offset), entryMap, cache.key(page)),
    })
    const release = cache.onRelease
    cache.onRelease = (slot) => {
      release?.(slot)
      // What is compiled too late finds that the window is somebody else's.
      if (this.#live !== null) arena.u32[address + x86Layout.offset.dropped >>> 2] = 1
    }
    return translation
  }

  #instantiate(table: WasmTable, anew: boolean): CoreModuleExports {
    const { arena, window: { address } } = this
    const linear = arena.memory
    const state = new State(address)
    const shared = !(linear.buffer instanceof ArrayBuffer)
    const mailbox = state.field('mailbox')
    const lacks = this.#lacks
    const decode = decodeRun(() => ({ view: arena.data, bytes: arena.u8 }), state, lacks, (ops) => { this.#code.renew(ops) })
    this.#code.decode = (ops, offset) => { decode(ops, offset, arena.data.getUint32(ops + densePage.key, true)) }
    return instantiate<CoreModuleExports>(coreModule(address, shared, anew), {
      host: {
        memory: linear,
        table,
        decoded: this.#decoded,
        jumps: this.#jumps,
        decode: decodeSlot(() => ({ view: arena.data, bytes: arena.u8 }), state, lacks),
        decodeRun: decode,
        codePage: (frame: number, entry: number) => this.#code.page(frame >>> 0, entry >>> 0, this.window.client.cluster.banks),
        readFault: (entry: number) => this.window.client.cluster.memory.fault(entry >>> 0, 'read'),
        writeFault: (entry: number, offset: number, bytes: number) => this.#writeFault(entry >>> 0, offset, bytes),
        mmioRead: (address: number, bytes: number) => {
          const { cluster } = this.window.client
          cluster.deviceAccesses++
          return readDevice(cluster.bus, arena, mailbox, address, bytes)
        },
        mmioWrite: (address: number, bytes: number) => {
          const { cluster } = this.window.client
          cluster.deviceAccesses++
          return writeDevice(cluster.bus, arena, mailbox, address, bytes)
        },
        ...Object.fromEntries(outsideNames.map((name) => [name, (...args: never[]) => this.window.client.outside[name](...args)])),
      },
    })
  }

  /** Makes the generated code anew, for the host's engine of WebAssembly to meet it for the first time. Not while a processor runs. */
  renew(): void {
    const code = this.#now
    this.#code.dropTranslations()
    code.exports = this.#instantiate(code.table, true)
    Object.assign(code.core, code.exports)
    // Stamps of the new code begin where those of the old did.
    for (const { banks } of this.#clusters) this.flushBanks(banks)
  }

  get #now(): EngineCode {
    if (this.#live === null) throw machinistError({ code: 'disposed', part: 'cpu', remedy: 'Look at harts before the machine is disposed of.' }, 'the machine was disposed of')
    return this.#live
  }

  get exports(): CoreExports {
    return this.#now.exports
  }

  get translation(): Translation<Enter> {
    return this.#now.translation
  }

  get cache(): CodePages {
    return this.#code
  }

  /** Makes processors known, whose TLBs begin empty. */
  add(cluster: Cluster): void {
    const { memory, banks } = cluster
    this.#clusters.add(cluster)
    // Each bank gets a stamp of its own.
    this.flushBanks(banks)
    memory.onCodeWrite = (frame, gpa, length) => { this.#code.written(frame, gpa % PAGE_SIZE, length, memory.entryAddress(gpa)) }
    memory.onProtect = () => { this.flushBanks(banks) }
    memory.onRelease = () => { this.flushBanks(banks) }
    memory.onMove = (from) => {
      dropTranslations(this.arena, banks, 'read', from)
      dropFetchesOf(this.arena, banks, frameOf(from))
      this.#code.moved(frameOf(from), banks)
      // Whoever executes it goes on in the page that it is in now.
      this.arena.u32[this.window.address + x86Layout.offset.dropped >>> 2] = 1
    }
  }

  /** Forgets processors, none of which runs. */
  remove(cluster: Cluster): void {
    if (!this.#clusters.delete(cluster)) return
    if (this.window.current?.cluster === cluster) this.window.leave()
    this.flushBanks(cluster.banks)
    cluster.free()
    const { memory } = cluster
    memory.onCodeWrite = memory.onProtect = memory.onRelease = memory.onMove = null
    if (this.#clusters.size > 0) return
    this.#forget()
    this.#code.forgetAll()
    this.#live?.translation.dispose()
    this.arena.free(this.window.address, STATE_SIZE)
    this.arena.free(this.#decoded, DECODED_BYTES)
    this.#deaf()
    this.#code.clear()
    this.arena.free(this.#jumps, JUMPS_BYTES)
    this.arena.freeZeroed(this.#ops, CODE_BYTES)
    this.#live = null
  }

  /** Somebody else wrote bytes of a machine's memory, or moved them. */
  memoryChanged({ memory, banks }: Cluster, address: number, length: number): void {
    // The page map may have changed: translations hold frames.
    this.flushBanks(banks)
    for (let at = address - (address % PAGE_SIZE); at < address + length; at += PAGE_SIZE) {
      const entry = memory.entryAddress(at)
      const value = this.arena.u32[entry >>> 2] ?? 0
      if (entry !== 0 && (value & PAGE_CODE) !== 0) this.#code.written(frameOf(value), 0, PAGE_SIZE, entry)
    }
  }

  #writeFault(entry: number, offset: number, bytes: number): number {
    const { arena } = this
    const before = arena.u32[entry >>> 2] ?? 0
    const now = this.window.client.cluster.memory.fault(entry, 'write')
    if ((now & PAGE_CODE) === 0) {
      // Nothing is written yet, and the page has lost its code: the store is made where that makes no difference, outside of all code.
      return bytes === 0 && frameOf(before) !== frameOf(now) && arena.hasCode(frameOf(before)) ? now | PAGE_CODE : now
    }
    if (bytes === 0) return now
    this.#code.written(frameOf(now), offset, bytes, entry)
    return arena.u32[entry >>> 2] ?? now
  }

  flushBanks(banks: readonly number[]): void {
    for (const bank of banks) this.exports.flushBank(bank)
  }
}
