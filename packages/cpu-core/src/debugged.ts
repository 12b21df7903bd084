import { type DebugReason, type DebugRegister, type DebugStop, machinistError, type VcpuDebug } from '@machinist/api'
import { Leave } from './counted-hart.ts'

/** What a debugger wants generated code to ask for: fetches from pages with breakpoints, accesses to pages with watchpoints. Bits of the record's field `debug`. */
export const Debug = { fetches: 1, accesses: 2 } as const

/** Most bytes that one watchpoint covers: a page. */
const MAX_WATCHED = 4096
const PAGE_BITS = 12n
const ADDRESS_SPACE = 1n << 64n

type Watchpoint = DebugStop & { readonly kind: 'watchpoint' }

/** What is common to what harts do for their debugger. */
export interface DebuggedHart {
  readonly record: { get(field: 'leave'): number; set(field: 'leave' | 'debug', value: number): void }
  /** Drops all translations of the hart. */
  flush(): void
}

const pageNumber = (address: bigint): number => Number(address >> PAGE_BITS)

/**
 * A hart under a debugger, whatever its instructions: where it is to stop, and why it did. Pages with watchpoints are to be kept out of its TLB for data, so that generated code,
 * which is the same with and without a debugger, comes to its slow paths there, which ask.
 */
export abstract class DebuggedVcpu<Hart extends DebuggedHart> implements VcpuDebug {
  abstract readonly architecture: string
  abstract readonly registers: readonly DebugRegister[]
  protected readonly hart: Hart
  #mode: VcpuDebug['mode'] = 'run'
  #reason: DebugReason | null = null
  readonly #points = new Set<bigint>()
  readonly #pages = new Set<number>()
  readonly #watched = new Set<number>()
  #watchpoints: readonly Watchpoint[] = []

  protected constructor(hart: Hart) {
    this.hart = hart
  }

  abstract readRegister(number: number): bigint | null
  abstract writeRegister(number: number, value: bigint): boolean
  abstract translate(address: bigint): number

  /** Whether an access of this kind is one that a watchpoint waits for. */
  protected abstract meets(on: Watchpoint['on'], access: number): boolean

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

  /** For runs to begin with null, and end with what there was. */
  protected setReason(reason: DebugReason | null): void {
    this.#reason = reason
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
    this.hart.record.set('debug', (this.#points.size > 0 ? Debug.fetches : 0) | (this.#watchpoints.length > 0 ? Debug.accesses : 0))
    this.hart.flush()
  }

  /** Whether runs are to go through the debugger. */
  get active(): boolean {
    return this.#mode === 'step' || this.#points.size > 0 || this.#watchpoints.length > 0
  }

  /** Whether there is a breakpoint at this address. */
  protected hasPoint(address: bigint): boolean {
    return this.#points.has(address)
  }

  /** Whether there is one in the page of this address. */
  protected hasPointInPage(address: bigint): boolean {
    return this.#pages.has(pageNumber(address))
  }

  /** Ends the run, unless it ends already. */
  protected leave(): void {
    const { record } = this.hart
    if (record.get('leave') === Leave.none) record.set('leave', Leave.debug)
  }

  /**
   * Asked by generated code at an access to what no TLB entry is for: whether its page is to stay without one. An access that a watchpoint waits for ends the run.
   *
   * @param low - the address, in halves
   * @param bytes - 0: it only asks for the page
   * @param access - as the `mmu` has them
   */
  accesses(low: number, high: number, bytes: number, access: number): boolean {
    const first = BigInt(high >>> 0) << 32n | BigInt(low >>> 0)
    if (!this.#watched.has(pageNumber(first))) return false
    if (bytes === 0 || this.#reason !== null) return true
    const stop = this.#watchpoints.find(({ address, length, on }) => first < address + BigInt(length) && address < first + BigInt(bytes) && this.meets(on, access))
    if (stop === undefined) return true
    this.#reason = { kind: 'watchpoint', address: first > stop.address ? first : stop.address, stop }
    this.leave()
    return true
  }
}
