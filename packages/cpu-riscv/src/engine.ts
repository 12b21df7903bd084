import { machinistError } from '@machinist/api'
import { dropTranslations, HartWindow, readDevice, Translation, type TranslationMode, writeDevice } from '@machinist/cpu-core'
import { type Arena, frameOf, PAGE_CODE } from '@machinist/memory'
import { createTable, instantiate, type WasmTable } from '@machinist/wasm'
import type { Cluster } from './cluster.ts'
import { type Enter, RiscvCode } from './code-cache.ts'
import { coreModule, type CorePlaces, fillCore, freeCore, placeCore } from './core/core.ts'
import type { HostCallName } from './emit/context.ts'
import type { InterruptFile } from './interrupt-file.ts'
import type { HartExports } from './emit/module.ts'
import { hartLayout } from './hart-layout.ts'
import { writeOp } from './op-writer.ts'
import type { HartRecord } from './record.ts'
import { Regions } from './translate/regions.ts'

/** Pages of pre-decoded code an engine keeps: 32 MiB of guest code. */
const CODE_PAGES = 8192

/** Whoever is running; told of what generated code cannot do itself. */
export interface EngineClient {
  readonly cluster: Cluster
  readonly record: HartRecord
  /** Null without Ssaia, and then nobody asks for it. */
  readonly file: InterruptFile | null
  timerChanged(): void
  pmpChanged(): void
  sbiCall(): void
  /** Called only when its record's `debug` says so; see `HostCalls`. */
  debugFetch(): boolean
  debugAccess(low: number, high: number, bytes: number, access: number): boolean
}

interface EngineCode {
  exports: HartExports
  /** The same for code that is translated from now on. */
  readonly core: Record<string, unknown>
  readonly table: WasmTable
  readonly cache: RiscvCode
  readonly translation: Translation<Enter>
}

/** Engines of each arena, by how they translate. */
const engines = new WeakMap<Arena, Map<string, Engine>>()

/**
 * The generated code for all harts of an arena, and what they share: decoded and translated code, by frame. Code addresses the running hart's
 * record at a fixed place, the window; harts move in and out of it, a copy of about two kilobytes.
 */
export class Engine {
  readonly arena: Arena
  readonly #places: CorePlaces
  /** Whatever holds the arena's linear memory; null once the last machine is gone. */
  #code: EngineCode | null = null
  readonly #clusters = new Set<Cluster>()
  readonly #forget: () => void
  readonly window: HartWindow<EngineClient>

  /** The engine of an arena. Machines that share the arena share it, and so their code. */
  static of(arena: Arena, mode: TranslationMode, hot: number): Engine {
    let known = engines.get(arena)
    if (known === undefined) engines.set(arena, known = new Map())
    const kind = `${mode} ${hot}`
    let engine = known.get(kind)
    if (engine === undefined) known.set(kind, engine = new Engine(arena, mode, hot, () => known.delete(kind)))
    return engine
  }

  private constructor(arena: Arena, mode: TranslationMode, hot: number, forget: () => void) {
    this.arena = arena
    this.#forget = forget
    this.#places = placeCore(arena)
    this.window = new HartWindow(this.#places.window, hartLayout.offset.ramTable)
    fillCore(arena, this.#places)
    const cache = new RiscvCode(arena, this.#places, this.#clusters, CODE_PAGES)
    const table = createTable(256)
    const exports = this.#instantiate(table, false)
    cache.decode = exports.decode
    const core = { ...exports }
    // No function that somebody keeps may capture these: it would keep them.
    const regions = new Regions(this.window.address, !(arena.memory.buffer instanceof ArrayBuffer))
    const translation = new Translation({
      cache, arena, table, core, mode, hot, regions, granule: 2,
      source: (page, entryMap) => regions.page(() => cache.code(page), (offset) => cache.reached(page, offset), entryMap),
    })
    this.#code = { exports, core, table, cache, translation }
  }

  #instantiate(table: WasmTable, anew: boolean): HartExports & Readonly<Record<string, unknown>> {
    const { arena } = this
    const linear = arena.memory
    const module = coreModule(this.#places, !(linear.buffer instanceof ArrayBuffer), anew)
    const host: Record<HostCallName, (...args: never[]) => number | void> = {
      readFault: (entry: number) => this.window.client.cluster.memory.fault(entry >>> 0, 'read'),
      writeFault: (entry: number, offset: number, bytes: number) => this.#writeFault(entry >>> 0, offset, bytes),
      mmioRead: (address: number, bytes: number) => {
        this.window.client.cluster.deviceAccesses++
        return readDevice(this.window.client.cluster.bus, arena, this.#mailbox(), address, bytes)
      },
      mmioWrite: (address: number, bytes: number) => {
        this.window.client.cluster.deviceAccesses++
        return writeDevice(this.window.client.cluster.bus, arena, this.#mailbox(), address, bytes)
      },
      codePage: (frame: number, entry: number) => this.cache.page(frame >>> 0, entry >>> 0, this.window.client.cluster.banks),
      decode: (bits: number, op: number, offset: number) => writeOp(arena.data, op >>> 0, bits, offset),
      ticks: () => this.window.client.cluster.counter.elapsed(),
      timerChanged: () => this.window.current?.timerChanged(),
      pmpChanged: () => this.window.current?.pmpChanged(),
      fileRead: (register: number) => {
        const [low, high] = this.window.current?.file?.read(register) ?? [0, 0]
        arena.data.setUint32(this.#mailbox(), low, true)
        arena.data.setUint32(this.#mailbox() + 4, high, true)
      },
      fileWrite: (register: number) => {
        const at = this.#mailbox()
        this.window.current?.file?.write(register, arena.data.getUint32(at, true), arena.data.getUint32(at + 4, true))
      },
      debugFetch: () => this.window.current?.debugFetch() === true ? 1 : 0,
      debugAccess: (low: number, high: number, bytes: number, access: number) => this.window.current?.debugAccess(low, high, bytes, access) === true ? 1 : 0,
      sbi: () => this.window.current?.sbiCall(),
    }
    return instantiate<HartExports & Readonly<Record<string, unknown>>>(module, { host: { ...host, memory: linear, table } })
  }

  /** Makes the generated code anew, for the host's engine of WebAssembly to meet it for the first time. Not while a hart runs. */
  renew(): void {
    const code = this.#live
    code.cache.dropTranslations()
    code.exports = this.#instantiate(code.table, true)
    code.cache.decode = code.exports.decode
    Object.assign(code.core, code.exports)
    // Stamps of the new code begin where those of the old did.
    for (const { banks } of this.#clusters) this.flushBanks(banks)
  }

  get #live(): EngineCode {
    if (this.#code === null) {
      throw machinistError({ code: 'disposed', part: 'cpu', remedy: 'Look at harts before the machine is disposed of.' }, 'the machine was disposed of')
    }
    return this.#code
  }

  get exports(): HartExports {
    return this.#live.exports
  }

  get cache(): RiscvCode {
    return this.#live.cache
  }

  get translation(): Translation<Enter> {
    return this.#live.translation
  }

  /** Makes harts known, whose TLBs begin empty. */
  add(cluster: Cluster): void {
    const { memory, banks } = cluster
    this.#clusters.add(cluster)
    // Each bank gets a stamp of its own.
    this.flushBanks(banks)
    memory.onCodeWrite = (frame, gpa, length) => this.cache.written(frame + (gpa % 4096), memory.entryAddress(gpa), length)
    memory.onProtect = () => this.flushBanks(banks)
    memory.onRelease = () => {
      this.flushBanks(banks)
      // It names a frame. What other harts reserved counts no more anyway.
      cluster.last?.record.set('reservation', 0)
    }
    memory.held = () => frameOf(cluster.last?.record.get('reservation') ?? 0)
    memory.onMove = (from, to) => {
      dropTranslations(this.arena, banks, 'read', from)
      this.cache.moved(frameOf(from), banks)
      const reservation = cluster.last?.record.get('reservation') ?? 0
      if (reservation !== 0 && frameOf(reservation) === frameOf(from)) cluster.last?.record.set('reservation', frameOf(to) + (reservation & 4095))
    }
  }

  /** Forgets harts, none of which runs. */
  remove(cluster: Cluster): void {
    if (!this.#clusters.delete(cluster)) return
    if (this.window.current?.cluster === cluster) this.window.leave()
    this.flushBanks(cluster.banks)
    cluster.free()
    const { memory } = cluster
    memory.onCodeWrite = memory.onProtect = memory.onRelease = memory.onMove = memory.held = null
    if (this.#clusters.size > 0) return
    this.#forget()
    this.cache.dispose()
    this.#live.translation.dispose()
    freeCore(this.arena, this.#places)
    this.#code = null
  }

  flushBanks(banks: readonly number[]): void {
    for (const bank of banks) this.exports.flushBank(bank)
  }

  #writeFault(entry: number, offset: number, bytes: number): number {
    const { arena } = this
    const { memory } = this.window.client.cluster
    const before = arena.u32[entry >>> 2] ?? 0
    const now = memory.fault(entry, 'write')
    if ((now & PAGE_CODE) === 0) {
      // Nothing is written yet, and the page has lost its code: the store is made where that makes no difference, outside of all code.
      return bytes === 0 && frameOf(before) !== frameOf(now) && arena.hasCode(frameOf(before)) ? now | PAGE_CODE : now
    }
    if (bytes === 0) return now
    this.cache.written(frameOf(now) + offset, entry, bytes)
    return arena.u32[entry >>> 2] ?? now
  }

  #mailbox(): number {
    return this.window.address + hartLayout.offset.mailbox
  }
}
