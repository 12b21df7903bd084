import type { DebugRegister, DebugStop } from '@machinist/api'
import { DebuggedVcpu } from '@machinist/cpu-core'
import type { GuestMemory } from '@machinist/memory'
import { Access } from '@machinist/mmu'
import { Register, segmentLayout } from '../emit/layout.ts'
import { Shadow } from '../emit/system/events.ts'
import type { X86Record } from '../record.ts'
import { physicalOf } from '../space.ts'
import { debugRegisters, type RegisterCalls } from './registers.ts'

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

/** A processor under a debugger. Code of pages with breakpoints goes step by step, and generated code asks before each step; elsewhere it is as fast as ever. Addresses are linear. */
export class HartDebug extends DebuggedVcpu<DebuggedHart> {
  readonly architecture: string
  readonly registers: readonly DebugRegister[]
  readonly #registers: ReadonlyMap<number, (typeof debugRegisters)['wide'][number]>
  /** It goes over a breakpoint. */
  #stepping = false

  constructor(hart: DebuggedHart) {
    super(hart)
    this.architecture = hart.wide ? 'i386:x86-64' : 'i386'
    const registers = debugRegisters[hart.wide ? 'wide' : 'narrow']
    this.registers = registers
    this.#registers = new Map(registers.map((register) => [register.number, register]))
  }

  readRegister(number: number): bigint | null {
    const register = this.#registers.get(number)
    return register === undefined ? null : this.hart.window((calls) => register.read(this.hart.record, calls))
  }

  writeRegister(number: number, value: bigint): boolean {
    const register = this.#registers.get(number)
    if (register === undefined) return false
    const { record } = this.hart
    return this.hart.window((calls) => {
      const taken = register.write(record, calls, BigInt.asUintN(register.bits, value))
      // What it would have raised.
      record.set('fault', 0)
      return taken
    })
  }

  translate(address: bigint): number {
    return physicalOf(this.hart.record, this.hart.memory, address)
  }

  /** A run of the processor. What it leaves in `leave` counts as ever, unless there is a reason then. */
  run(budget: number, exact: boolean): void {
    this.setReason(null)
    if (this.mode !== 'step') {
      this.hart.go(budget, exact)
      return
    }
    const { record } = this.hart
    // Whoever steps through a program does not want to end in the handler of a timer each time. With attention the shadow is used up by this step; without, nothing comes anyway.
    if (record.get('attention') !== 0 && record.get('waiting') === 0 && record.get('shadow') === 0) record.set('shadow', Shadow.interrupts)
    const steps = record.getNumber('steps')
    this.#stepping = true
    this.hart.crawl(1)
    this.#stepping = false
    if (record.getNumber('steps') !== steps && this.reason === null) this.setReason({ kind: 'step' })
  }

  /** The linear address of the next instruction. */
  #here(): bigint {
    const { record } = this.hart
    const pc = record.get64('pc')
    return record.get('mode') === 64 ? pc : BigInt.asUintN(32, pc + record.data.getBigUint64(record.state.segment(Register.cs) + segmentLayout.base, true))
  }

  /** See `debugFetch` of OutsideFunctions. */
  fetches(): boolean {
    const address = this.#here()
    if (this.#stepping || !this.hasPoint(address)) return false
    this.setReason({ kind: 'breakpoint', address })
    this.leave()
    return true
  }

  /** See `debugPage`. */
  hasPage(low: number, high: number): boolean {
    return this.hasPointInPage(BigInt(high >>> 0) << 32n | BigInt(low >>> 0))
  }

  protected meets(on: (DebugStop & { kind: 'watchpoint' })['on'], access: number): boolean {
    return on === 'access' || (on === 'write') === (access === Access.write)
  }
}
