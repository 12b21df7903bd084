import { type DebugReason, type DebugRegister, type DebugStop, machinistError, type VcpuDebug } from '@machinist/api'
import { Leave } from '@machinist/cpu-core'
import type { GuestMemory } from '@machinist/memory'
import { Access } from '@machinist/mmu'
import { Debug, Register, segmentLayout } from '../emit/layout.ts'
import { Shadow } from '../emit/system/events.ts'
import type { X86Record } from '../record.ts'
import { physicalOf } from '../space.ts'
import { debugRegisters, type RegisterCalls } from './registers.ts'

/** Most bytes that one watchpoint covers: a page. */
const MAX_WATCHED = 4096
const PAGE_BITS = 12n
const ADDRESS_SPACE = 1n << 64n

type Watchpoint = DebugStop & { readonly kind: 'watchpoint' }

/** What a processor does for its debugger. */
export interface DebuggedHart {
  readonly record: X86Record
  readonly memory: GuestMemory
  /** It has registers of 64 bits. */
  readonly wide: boolean
  /** Does something while it is in the window. */
  window<T>(action: (calls: RegisterCalls) => T): T
  /** Runs at most so many instructions in the usual way, exactly or not. */
  go(budget: number, exact: boolean): void
  /** Runs at most so many steps, one by one. */
  crawl(budget: number): void
  /** Drops all of its translations. */
  flush(): void
}

/** The page of an address, as a number: 52 bits. */
const pageOf = (low: number, high: number): number => (high >>> 0) * 2 ** 20 + (low >>> 12)
const pageNumber = (address: bigint): number => Number(address >> PAGE_BITS)

/**
 * A processor under a debugger. Code of pages with breakpoints goes step by step, and generated code asks before each step; pages with watchpoints are
 * kept out of the TLB for data, so that it asks at each access. Elsewhere it is as fast as ever. Addresses are linear.
 */
export class HartDebug implements VcpuDebug {
  readonly architecture: string
  readonly registers: readonly DebugRegister[]
  readonly #registers: ReadonlyMap<number, (typeof debugRegisters)['wide'][number]>
  readonly #hart: DebuggedHart
  #mode: VcpuDebug['mode'] = 'run'
  #reason: DebugReason | null = null
  readonly #points = new Set<bigint>()
  readonly #pages = new Set<number>()
  readonly #watched = new Set<number>()
  #watchpoints: readonly Watchpoint[] = []
  /** It goes over a breakpoint. */
  #stepping = false

  constructor(hart: DebuggedHart) {
    this.#hart = hart
    this.architecture = hart.wide ? 'i386:x86-64' : 'i386'
    const registers = debugRegisters[hart.wide ? 'wide' : 'narrow']
    this.registers = registers
    this.#registers = new Map(registers.map((register) => [register.number, register]))
  }

  get mode(): VcpuDebug['mode'] {
    return this.#mode
  }

  set mode(mode: VcpuDebug['mode']) {
    this.#mode = mode
    this.#reason = null
  }

  get reason(): DebugReason | null {
    return this.#reason
  }

  readRegister(number: number): bigint | null {
    const register = this.#registers.get(number)
    return register === undefined ? null : this.#hart.window((calls) => register.read(this.#hart.record, calls))
  }

  writeRegister(number: number, value: bigint): boolean {
    const register = this.#registers.get(number)
    if (register === undefined) return false
    const { record } = this.#hart
    return this.#hart.window((calls) => {
      const taken = register.write(record, calls, BigInt.asUintN(register.bits, value))
      // What it would have raised.
      record.set('fault', 0)
      return taken
    })
  }

  translate(address: bigint): number {
    return physicalOf(this.#hart.record, this.#hart.memory, address)
  }

  setStops(stops: readonly DebugStop[]): void {
    const watchpoints = stops.filter((stop) => stop.kind === 'watchpoint')
    for (const { address, length } of watchpoints) {
      if (Number.isInteger(length) && length > 0 && length <= MAX_WATCHED && address >= 0n && address + BigInt(length) <= ADDRESS_SPACE) continue
      throw machinistError({ code: 'bad-watchpoint', part: 'cpu', value: `0x${address.toString(16)}, ${length} bytes`, remedy: `Watch 1 to ${MAX_WATCHED} bytes.` },
        'a watchpoint is out of range')
    }
    this.#points.clear()
    this.#pages.clear()
    this.#watched.clear()
    for (const stop of stops) {
      if (stop.kind === 'watchpoint') {
        this.#watched.add(pageNumber(stop.address)).add(pageNumber(stop.address + BigInt(stop.length - 1)))
      } else {
        const address = BigInt.asUintN(64, stop.address)
        this.#points.add(address)
        this.#pages.add(pageNumber(address))
      }
    }
    this.#watchpoints = watchpoints
    this.#reason = null
    this.apply()
  }

  /** Tells generated code what it has to ask for. */
  apply(): void {
    this.#hart.record.set('debug', (this.#points.size > 0 ? Debug.fetches : 0) | (this.#watchpoints.length > 0 ? Debug.accesses : 0))
    this.#hart.flush()
  }

  /** Whether runs are to go through {@link run}. */
  get active(): boolean {
    return this.#mode === 'step' || this.#points.size > 0 || this.#watchpoints.length > 0
  }

  /** A run of the processor. What it leaves in `leave` counts as ever, unless there is a reason then. */
  run(budget: number, exact: boolean): void {
    this.#reason = null
    if (this.#mode !== 'step') {
      this.#hart.go(budget, exact)
      return
    }
    const { record } = this.#hart
    // Whoever steps through a program does not want to end in the handler of a timer each time. With attention the shadow is used up by this step; without, nothing comes anyway.
    if (record.get('attention') !== 0 && record.get('waiting') === 0 && record.get('shadow') === 0) record.set('shadow', Shadow.interrupts)
    const steps = record.getNumber('steps')
    this.#stepping = true
    this.#hart.crawl(1)
    this.#stepping = false
    if (record.getNumber('steps') !== steps) this.#reason ??= { kind: 'step' }
  }

  #leave(): void {
    const { record } = this.#hart
    if (record.get('leave') === Leave.none) record.set('leave', Leave.debug)
  }

  /** The linear address of the next instruction. */
  #here(): bigint {
    const { record } = this.#hart
    const pc = record.get64('pc')
    return record.get('mode') === 64 ? pc : BigInt.asUintN(32, pc + record.data.getBigUint64(record.state.segment(Register.cs) + segmentLayout.base, true))
  }

  /** See `debugFetch` of OutsideFunctions. */
  fetches(): boolean {
    const address = this.#here()
    if (this.#stepping || !this.#points.has(address)) return false
    this.#reason = { kind: 'breakpoint', address }
    this.#leave()
    return true
  }

  /** See `debugPage`. */
  hasPage(low: number, high: number): boolean {
    return this.#pages.has(pageOf(low, high))
  }

  /** See `debugAccess`. */
  accesses(low: number, high: number, bytes: number, access: number): boolean {
    if (!this.#watched.has(pageOf(low, high))) return false
    if (bytes === 0 || this.#reason !== null) return true
    const first = BigInt(high >>> 0) << 32n | BigInt(low >>> 0)
    const stop = this.#watchpoints.find(({ address, length, on }) =>
      first < address + BigInt(length) && address < first + BigInt(bytes) && (on === 'access' || (on === 'write') === (access === Access.write)))
    if (stop === undefined) return true
    this.#reason = { kind: 'watchpoint', address: first > stop.address ? first : stop.address, stop }
    this.#leave()
    return true
  }
}
