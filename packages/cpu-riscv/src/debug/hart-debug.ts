import { type DebugReason, type DebugRegister, type DebugStop, machinistError, type VcpuDebug } from '@machinist/api'
import { Access, peekSv } from '@machinist/mmu'
import type { GuestMemory } from '@machinist/memory'
import { Mode } from '../cause.ts'
import { Leave } from '@machinist/cpu-core'
import { Debug } from '../hart-layout.ts'
import { decode, emptyDecoded, instructions } from '../isa/decoder.ts'
import { debugRegisters, readRegister, type RegisterAccess, writeRegister } from './registers.ts'

/** Most bytes that one watchpoint covers: a page. */
export const MAX_WATCHED = 4096
const PAGE_BITS = 12n
const ADDRESS_SPACE = 1n << 64n

type Watchpoint = DebugStop & { readonly kind: 'watchpoint' }

/** What a hart does for its debugger. */
export interface DebuggedHart extends RegisterAccess {
  readonly memory: GuestMemory
  /** Runs at most so many instructions in the usual way, exactly or not; returns how many steps it took. */
  go(budget: number, exact: boolean): number
  /** Runs at most so many steps, one by one; with none, only takes an interrupt that is pending. */
  crawl(budget: number): number
  /** Drops all translations of the hart. */
  flush(): void
  /** Drops the translations for fetches from the page of this address. */
  flushFetches(address: bigint): void
}

/** The page of an address, as a number: 52 bits. */
const pageOf = (low: number, high: number): number => (high >>> 0) * 2 ** 20 + (low >>> 12)
const pageNumber = (address: bigint): number => Number(address >> PAGE_BITS)

/**
 * A hart under a debugger. Pages with breakpoints are kept out of its TLB for fetches, and so are those with watchpoints out of that for
 * data. So generated code, which is the same with and without a debugger, comes to its slow paths there, which ask. On a page with
 * breakpoints the hart goes one instruction at a time; elsewhere it is as fast as ever.
 */
export class HartDebug implements VcpuDebug {
  readonly architecture = 'riscv:rv64'
  readonly registers: readonly DebugRegister[]
  readonly #numbers: ReadonlySet<number>
  readonly #hart: DebuggedHart
  #mode: VcpuDebug['mode'] = 'run'
  #reason: DebugReason | null = null
  readonly #points = new Set<bigint>()
  readonly #pages = new Set<number>()
  readonly #watched = new Set<number>()
  #watchpoints: readonly Watchpoint[] = []
  /** Whether fetches from pages with breakpoints are let through: every address is looked at before. */
  #crawling = false

  constructor(hart: DebuggedHart, withFile: boolean) {
    this.#hart = hart
    this.registers = debugRegisters(withFile)
    this.#numbers = new Set(this.registers.map(({ number }) => number))
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
    return this.#numbers.has(number) ? readRegister(this.#hart, number) : null
  }

  writeRegister(number: number, value: bigint): boolean {
    return this.#numbers.has(number) && writeRegister(this.#hart, number, BigInt.asUintN(64, value))
  }

  translate(address: bigint): number {
    const { record, memory } = this.#hart
    return peekSv(memory, address, record.get('mode') === Mode.machine ? 0n : record.get64('satp'))
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

  /** A run of the hart. What it leaves in `leave` counts as ever, unless there is a reason then. */
  run(budget: number, exact: boolean): void {
    this.#reason = null
    if (this.#mode === 'step') this.#step()
    else this.#run(budget, exact)
  }

  #step(): void {
    // Whoever steps through a program does not want to end in the handler of a timer each time.
    this.#hart.record.set('attention', 0)
    this.#crawl()
    this.#reason ??= { kind: 'step' }
  }

  #run(budget: number, exact: boolean): void {
    const { record } = this.#hart
    for (let left = budget; left > 0 && this.#reason === null;) {
      // A pending interrupt comes first, and perhaps another in its handler: only then it is clear what the next instruction is.
      while (record.get('attention') !== 0) this.#hart.crawl(0)
      const pc = record.get64('pc')
      if (this.#points.has(pc)) {
        this.#reason = { kind: 'breakpoint', address: pc }
        // Not what the last pass ended for.
        record.set('leave', Leave.debug)
        return
      }
      left -= this.#pages.has(pageNumber(pc)) ? this.#crawl() : this.#hart.go(left, exact)
      const leave = record.get('leave')
      // With `debug` it has come to a page with breakpoints.
      if (leave !== Leave.budget && leave !== Leave.debug) return
    }
  }

  /** One step, with all pages open; that of the instruction is closed again. */
  #crawl(): number {
    const pc = this.#hart.record.get64('pc')
    this.#crawling = true
    try {
      return this.#hart.crawl(1)
    } finally {
      this.#crawling = false
      if (this.#pages.has(pageNumber(pc))) this.#hart.flushFetches(pc)
    }
  }

  #leave(): void {
    const { record } = this.#hart
    if (record.get('leave') === Leave.none) record.set('leave', Leave.debug)
  }

  /** See `HostCalls.debugFetch`. */
  fetches(): boolean {
    if (this.#crawling || !this.#pages.has(pageNumber(this.#hart.record.get64('pc')))) return false
    this.#leave()
    return true
  }

  /** See `HostCalls.debugAccess`. */
  accesses(low: number, high: number, bytes: number, access: number): boolean {
    if (!this.#watched.has(pageOf(low, high))) return false
    if (bytes === 0 || access === Access.fetch || this.#reason !== null) return true
    const first = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    const stop = this.#watchpoints.find(({ address, length, on }) =>
      first < address + BigInt(length) && address < first + BigInt(bytes)
      && (on === 'access' || (on === 'write' ? access === Access.write : access === Access.read || this.#readsWhatItWrites())))
    if (stop === undefined) return true
    this.#reason = { kind: 'watchpoint', address: first > stop.address ? first : stop.address, stop }
    this.#leave()
    return true
  }

  /** Whether the instruction at `pc` is an AMO, which asks for write access alone (unprivileged specification, 14.4). */
  #readsWhatItWrites(): boolean {
    const pc = this.#hart.record.get64('pc')
    const bytes = new Uint8Array(4)
    for (const half of [0, 2]) {
      const at = this.translate(BigInt.asUintN(64, pc + BigInt(half)))
      if (at < 0 || !this.#hart.memory.read(at, bytes.subarray(half, half + 2))) return false
    }
    return instructions[decode(new DataView(bytes.buffer).getUint32(0, true), emptyDecoded()).number]?.name.startsWith('amo') === true
  }
}
