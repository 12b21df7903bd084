import { machinistError, type TimeCounter, type Width } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { compileNow, createTable, instantiate } from '@machinist/wasm'
import { CodeCache } from './code-cache.ts'
import type { HostCallName } from './emit/context.ts'
import type { InterruptFile } from './interrupt-file.ts'
import { emitHartModule, type HartExports } from './emit/module.ts'
import { CROSSING_SIZE, CROSSINGS } from './handlers.ts'
import { ASID_SLOTS, hartLayout } from './hart-layout.ts'
import { HartRecord } from './record.ts'
import { Translation, type TranslationMode } from './translate/translation.ts'

/** Banks of one hart: M-mode, S-mode, and two for each address space. */
export const BANKS_PER_HART: number = 2 + 2 * ASID_SLOTS

/** Pages of pre-decoded code an engine keeps: 16 MiB of guest code. */
const CODE_PAGES = 8192

/** Whoever is running; told of what generated code cannot do itself. */
export interface EngineClient {
  readonly record: HartRecord
  /** Null without Ssaia, and then nobody asks for it. */
  readonly file: InterruptFile | null
  timerChanged(): void
  pmpChanged(): void
  sbiCall(): void
}

interface EngineCode {
  readonly exports: HartExports
  readonly cache: CodeCache
  readonly translation: Translation
}

/**
 * The generated code of one cluster of harts and what it shares. Code addresses the running hart's record at a
 * fixed place, the window; harts move in and out of it, a copy of about two kilobytes.
 */
export class Engine {
  readonly memory: GuestMemory
  readonly bus: AddressSpace
  readonly window: number
  /** Whatever holds the arena's linear memory; null when disposed of. */
  #code: EngineCode | null = null
  /** Accesses to devices. */
  deviceAccesses = 0
  /** All TLB banks, hart by hart. */
  readonly banks: readonly number[]
  #current: EngineClient | null = null

  constructor(memory: GuestMemory, bus: AddressSpace, counter: TimeCounter, harts: number, mode: TranslationMode, hot: number) {
    this.memory = memory
    this.bus = bus
    const { arena } = memory
    this.window = arena.allocate(hartLayout.size)
    this.banks = Array.from({ length: harts * BANKS_PER_HART }, () => {
      const bank = arena.allocate(tlbLayout.size)
      arena.u8.fill(0xff, bank, bank + tlbLayout.arrays)
      return bank
    })
    const cache = new CodeCache(memory, this.banks, CODE_PAGES)
    const linear = arena.memory
    const module = compileNow(
      emitHartModule({
        window: this.window,
        ramTable: memory.table,
        enters: cache.enters,
        jumps: cache.jumps,
        crossings: arena.allocate(CROSSINGS * CROSSING_SIZE),
        memory: { initial: 1, maximum: 65536, shared: !(linear.buffer instanceof ArrayBuffer) },
      }),
    )
    const host: Record<HostCallName, (...args: never[]) => number | void> = {
      touch: (entry: number) => memory.touchEntry(entry >>> 0),
      mmioRead: (address: number, bytes: number) => this.#mmioRead(address, bytes),
      mmioWrite: (address: number, bytes: number) => this.#mmioWrite(address, bytes),
      codePage: (frame: number, entry: number) => this.cache.page(frame >>> 0, entry >>> 0),
      decode: (op: number) => this.cache.decodeAt(op >>> 0),
      decodeCross: (bits: number, op: number) => this.cache.decodeAlone(bits, op >>> 0),
      codeWrite: (at: number, entry: number, bytes: number) => this.cache.written(at >>> 0, entry >>> 0, bytes),
      ticks: () => counter.elapsed(),
      timerChanged: () => this.#current?.timerChanged(),
      pmpChanged: () => this.#current?.pmpChanged(),
      fileRead: (register: number) => {
        const [low, high] = this.#current?.file?.read(register) ?? [0, 0]
        arena.data.setUint32(this.#mailbox(), low, true)
        arena.data.setUint32(this.#mailbox() + 4, high, true)
      },
      fileWrite: (register: number) => {
        const at = this.#mailbox()
        this.#current?.file?.write(register, arena.data.getUint32(at, true), arena.data.getUint32(at + 4, true))
      },
      sbi: () => this.#current?.sbiCall(),
    }
    const table = createTable(256)
    const exports = instantiate<HartExports & Readonly<Record<string, unknown>>>(module, { host: { ...host, memory: linear, table } })
    // No function below may capture these: it would keep them.
    this.#code = { exports, cache, translation: new Translation({ cache, arena, window: this.window, table, core: exports, mode, hot }) }
    // Each bank gets a stamp of its own.
    this.flushBanks(this.banks)
    memory.onCodeWrite = (frame, gpa, length) => this.cache.written(frame + (gpa % 4096), memory.entryAddress(gpa), length)
    memory.onDirtyReset = () => this.flushBanks(this.banks)
    memory.onRelease = (frames) => {
      this.flushBanks(this.banks)
      this.cache.forgetFrames(frames)
      // It names a frame. Other harts have none: entering one clears it.
      this.#current?.record.set('reservation', 0)
    }
  }

  get #alive(): EngineCode {
    if (this.#code !== null) return this.#code
    throw machinistError({ code: 'disposed', part: 'cpu', remedy: 'Make another machine.' }, 'the CPU was disposed of')
  }

  get exports(): HartExports {
    return this.#alive.exports
  }

  get cache(): CodeCache {
    return this.#alive.cache
  }

  get translation(): Translation {
    return this.#alive.translation
  }

  /** Lets go of all code, which holds the arena. */
  dispose(): void {
    this.#code = null
    this.memory.onCodeWrite = this.memory.onDirtyReset = this.memory.onRelease = null
  }

  /** Makes `client` the hart in the window. */
  enter(client: EngineClient, home: number): void {
    if (this.#current === client) return
    this.leave()
    this.#current = client
    this.#home = home
    client.record.moveTo(this.window)
    // Another hart may have stored to the reserved bytes meanwhile.
    client.record.set('reservation', 0)
  }
  #home = 0

  /** Moves the hart in the window back to its own place. */
  leave(): void {
    this.#current?.record.moveTo(this.#home)
    this.#current = null
  }

  get current(): EngineClient | null {
    return this.#current
  }

  /** Empties banks of the TLB. */
  flushBanks(banks: readonly number[]): void {
    for (const bank of banks) this.exports.flushBank(bank)
  }

  #mailbox(): number {
    return this.window + hartLayout.offset.mailbox
  }

  #mmioRead(address: number, bytes: number): number {
    this.deviceAccesses++
    const at = this.#mailbox()
    const low = this.bus.read(address, Math.min(bytes, 4) as Width)
    if (low < 0) return 1
    let high = 0
    if (bytes === 8) {
      high = this.bus.read(address + 4, 4, true)
      if (high < 0) return 1
    }
    const { data } = this.memory.arena
    data.setUint32(at, low, true)
    data.setUint32(at + 4, high, true)
    return 0
  }

  #mmioWrite(address: number, bytes: number): number {
    this.deviceAccesses++
    const { data } = this.memory.arena
    const at = this.#mailbox()
    const low = data.getUint32(at, true)
    const high = data.getUint32(at + 4, true)
    const width = Math.min(bytes, 4) as Width
    const value = width === 4 ? low : low & (2 ** (8 * width) - 1)
    if (!this.bus.write(address, width, value)) return 1
    if (bytes === 8 && !this.bus.write(address + 4, 4, high, true)) return 1
    return 0
  }
}
