import type { DebugRegister, DebugStop } from '@machinist/api'
import { DebuggedVcpu, Leave } from '@machinist/cpu-core'
import type { GuestMemory } from '@machinist/memory'
import { Access, peekSv } from '@machinist/mmu'
import { Mode } from '../cause.ts'
import { decode, emptyDecoded, instructions } from '../isa/decoder.ts'
import { debugRegisters, readRegister, type RegisterAccess, writeRegister } from './registers.ts'

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

/**
 * A hart under a debugger. Pages with breakpoints are kept out of its TLB for fetches, and so generated code comes to its slow path there, which asks. On a page with
 * breakpoints the hart goes one instruction at a time; elsewhere it is as fast as ever.
 */
export class HartDebug extends DebuggedVcpu<DebuggedHart> {
  readonly architecture = 'riscv:rv64'
  readonly registers: readonly DebugRegister[]
  readonly #numbers: ReadonlySet<number>
  /** Whether fetches from pages with breakpoints are let through: every address is looked at before. */
  #crawling = false

  constructor(hart: DebuggedHart, withFile: boolean) {
    super(hart)
    this.registers = debugRegisters(withFile)
    this.#numbers = new Set(this.registers.map(({ number }) => number))
  }

  readRegister(number: number): bigint | null {
    return this.#numbers.has(number) ? readRegister(this.hart, number) : null
  }

  writeRegister(number: number, value: bigint): boolean {
    return this.#numbers.has(number) && writeRegister(this.hart, number, BigInt.asUintN(64, value))
  }

  translate(address: bigint): number {
    const { record, memory } = this.hart
    return peekSv(memory, address, record.get('mode') === Mode.machine ? 0n : record.get64('satp'))
  }

  /** A run of the hart. What it leaves in `leave` counts as ever, unless there is a reason then. */
  run(budget: number, exact: boolean): void {
    this.setReason(null)
    if (this.mode === 'step') this.#step()
    else this.#run(budget, exact)
  }

  #step(): void {
    // Whoever steps through a program does not want to end in the handler of a timer each time.
    this.hart.record.set('attention', 0)
    this.#crawl()
    if (this.reason === null) this.setReason({ kind: 'step' })
  }

  #run(budget: number, exact: boolean): void {
    const { record } = this.hart
    for (let left = budget; left > 0 && this.reason === null;) {
      // A pending interrupt comes first, and perhaps another in its handler: only then it is clear what the next instruction is.
      while (record.get('attention') !== 0) this.hart.crawl(0)
      const pc = record.get64('pc')
      if (this.hasPoint(pc)) {
        this.setReason({ kind: 'breakpoint', address: pc })
        // Not what the last pass ended for.
        record.set('leave', Leave.debug)
        return
      }
      left -= this.hasPointInPage(pc) ? this.#crawl() : this.hart.go(left, exact)
      const leave = record.get('leave')
      // With `debug` it has come to a page with breakpoints.
      if (leave !== Leave.budget && leave !== Leave.debug) return
    }
  }

  /** One step, with all pages open; that of the instruction is closed again. */
  #crawl(): number {
    const pc = this.hart.record.get64('pc')
    this.#crawling = true
    try {
      return this.hart.crawl(1)
    } finally {
      this.#crawling = false
      if (this.hasPointInPage(pc)) this.hart.flushFetches(pc)
    }
  }

  /** See `HostCalls.debugFetch`. */
  fetches(): boolean {
    if (this.#crawling || !this.hasPointInPage(this.hart.record.get64('pc'))) return false
    this.leave()
    return true
  }

  protected meets(on: (DebugStop & { kind: 'watchpoint' })['on'], access: number): boolean {
    if (access === Access.fetch) return false
    return on === 'access' || (on === 'write' ? access === Access.write : access === Access.read || this.#readsWhatItWrites())
  }

  /** Whether the instruction at `pc` is an AMO, which asks for write access alone (unprivileged specification, 14.4). */
  #readsWhatItWrites(): boolean {
    const pc = this.hart.record.get64('pc')
    const bytes = new Uint8Array(4)
    for (const half of [0, 2]) {
      const at = this.translate(BigInt.asUintN(64, pc + BigInt(half)))
      if (at < 0 || !this.hart.memory.read(at, bytes.subarray(half, half + 2))) return false
    }
    return instructions[decode(new DataView(bytes.buffer).getUint32(0, true), emptyDecoded()).number]?.name.startsWith('amo') === true
  }
}
