import { machinistError } from '@machinist/api'
import { type Cluster, dropFetchesOf, dropTranslations, HartWindow, readDevice, writeDevice } from '@machinist/cpu-core'
import { type Arena, frameOf, PAGE_CODE, PAGE_SIZE } from '@machinist/memory'
import { instantiate } from '@machinist/wasm'
import { CodePages } from './code-pages.ts'
import { coreModule, placeWindow } from './core-module.ts'
import { decodeRun } from './decode/run-decoder.ts'
import { decodeSlot } from './emit/decode-slot.ts'
import { State, STATE_SIZE, x86Layout } from './emit/layout.ts'
import { densePage } from './emit/op-format.ts'
import { DECODED, decodedLayout } from './emit/steps.ts'
import { type OutsideFunctions, outsideNames } from './emit/system/outside.ts'
import type { Model } from './model/models.ts'
import { lackedBy } from './model/forms.ts'
import type { X86Record } from './record.ts'

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
  /** Runs until the budget is used up or `leave` is set; by pages of ops, up to OVERRUN steps more than the budget. */
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

/** Engines of each arena, by the model of their processors. */
const engines = new WeakMap<Arena, Map<Model, Engine>>()

/**
 * The generated code for all processors of one model in an arena, and the instructions that it has decoded. Code addresses the record of the processor that runs
 * at a fixed place, the window; processors move in and out of it.
 */
export class Engine {
  readonly arena: Arena
  readonly window: HartWindow<EngineClient>
  readonly #decoded: number
  readonly #ops: number
  readonly #code: CodePages
  readonly #deaf: () => void
  /** Whatever holds the arena's linear memory; null once the last machine is gone. */
  #exports: CoreExports | null
  readonly #clusters = new Set<Cluster>()
  readonly #forget: () => void

  /** The engine of an arena. Machines that share the arena and have the same model share it. */
  static of(arena: Arena, model: Model): Engine {
    let known = engines.get(arena)
    if (known === undefined) engines.set(arena, known = new Map())
    let engine = known.get(model)
    if (engine === undefined) known.set(model, engine = new Engine(arena, model, () => known.delete(model)))
    return engine
  }

  private constructor(arena: Arena, model: Model, forget: () => void) {
    this.arena = arena
    this.#forget = forget
    this.window = new HartWindow(placeWindow(arena), x86Layout.offset.ramTable)
    this.#decoded = arena.allocate(DECODED_BYTES)
    this.#ops = arena.allocate(CODE_BYTES)
    this.#code = new CodePages({
      memory: () => arena, pool: this.#ops, limit: CODE_PAGES, banks: () => [...this.#clusters].flatMap(({ banks }) => banks), mark: (frame) => { arena.markCode(frame) },
    })
    this.#deaf = arena.onCodeFreed((frame) => { this.#code.forget(frame) })
    this.#exports = this.#instantiate(model)
  }

  #instantiate(model: Model): CoreExports {
    const { arena, window: { address } } = this
    const linear = arena.memory
    const state = new State(address)
    const shared = !(linear.buffer instanceof ArrayBuffer)
    const mailbox = state.field('mailbox')
    return instantiate(coreModule(address, shared), {
      host: {
        memory: linear,
        decoded: this.#decoded,
        decode: decodeSlot(() => ({ view: arena.data, bytes: arena.u8 }), state, lackedBy(model)),
        decodeRun: decodeRun(() => ({ view: arena.data, bytes: arena.u8 }), state, lackedBy(model)),
        codePage: (frame: number, entry: number) => this.#code.page(frame >>> 0, entry >>> 0),
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

  get exports(): CoreExports {
    if (this.#exports === null) throw machinistError({ code: 'disposed', part: 'cpu', remedy: 'Look at harts before the machine is disposed of.' }, 'the machine was disposed of')
    return this.#exports
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
    this.arena.free(this.window.address, STATE_SIZE)
    this.arena.free(this.#decoded, DECODED_BYTES)
    this.#deaf()
    this.#code.dispose()
    this.arena.freeZeroed(this.#ops, CODE_BYTES)
    this.#exports = null
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
