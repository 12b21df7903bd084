import { type BootEntry, type CpuContext, type IrqLine, machinistError, type ParallelHarts, type TimedCpu } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { Sbi } from '@machinist/sbi'
import type { Native } from '../native.ts'
import { GuestPages } from './guest-pages.ts'
import { GuestTime } from './guest-time.ts'
import { OtherHarts } from './other-harts.ts'
import { Shortcuts } from './shortcuts.ts'
import { HardwareHart, type HartsOf } from './vcpu.ts'

/** Configuration of the hardware's CPU: what of the software core's makes sense here. */
export interface HardwareConfig {
  /** 1 to 64. */
  readonly harts: number
  /** The machine's own SBI serves S-mode: firmware in M-mode is not possible. */
  readonly firmware: 'sbi'
  /**
   * Identities of the harts' interrupt files (AIA 1.0, chapter 3): 63 to 2047, one less than a multiple of 64; 0: they have none. They are the hardware's guest interrupt files while harts run where there are such of this size, and software elsewhere: guests
   * see no difference.
   */
  readonly identities: number
}

/** What the CPU is connected to. */
export type HardwareWants = {
  readonly power: 'power'
  readonly console: 'char'
}

const NOWHERE: IrqLine = { set: () => undefined, pulse: () => undefined, send: () => undefined }

/** All harts of a machine, on harts of the hardware. */
export class HardwareCpu implements TimedCpu {
  readonly vcpus: readonly HardwareHart[]
  readonly budget = 'time'
  /** Absent where the hardware has one hart. */
  readonly parallel?: ParallelHarts
  readonly #pages: GuestPages
  readonly #time: GuestTime
  readonly #shortcuts: Shortcuts
  readonly #unwatch: () => void

  /** @throws a typed error `'time-frequency'` when the machine's counter does not count as the hardware's does */
  constructor(native: Native, { harts, identities }: HardwareConfig, { name, memory, bus, counter, clock, backends, wake }: CpuContext<GuestMemory, AddressSpace, HardwareWants>) {
    if (counter.frequency !== native.frequency) {
      throw machinistError({ code: 'time-frequency', part: name, value: counter.frequency, remedy: `Use timeFrequency: ${native.frequency}.` }, 'the hardware counts time at another frequency')
    }
    this.#pages = new GuestPages(native, memory)
    this.#time = new GuestTime(native, counter)
    this.#shortcuts = new Shortcuts(native, this.#pages.vm, bus)
    bus.shortcuts = this.#shortcuts
    const others = OtherHarts.of(native)
    const of: HartsOf = {
      native, memory, bus, pages: this.#pages,
      time: this.#time,
      shortcuts: this.#shortcuts,
      now: () => clock.now(),
      timeOf: (ticks) => counter.timeOf(ticks),
      sbi: (hart) => { sbi.call(hart) },
      others,
      tick: 1e9 / native.frequency,
    }
    this.vcpus = Array.from({ length: harts }, (_, index) => new HardwareHart(of, index, identities))
    if (others.count > 0) this.parallel = this.#parallelOn(others, wake)
    // Those that run elsewhere have the offset that they left with.
    counter.onWrite(() => { for (const hart of this.vcpus) hart.kick() })
    const wanted = (): boolean => this.#shortcuts.rung || (harts > 1 && this.vcpus.some((hart) => hart.roused))
    this.#unwatch = others.count === 0 ? () => {} : others.watch(() => { if (wanted()) this.#tell(wake) })
    const sbi = new Sbi({
      harts: this.vcpus,
      memory,
      console: backends.console,
      powerOff: (status) => { backends.power.off(status) },
      reset: () => { backends.power.reset() },
    })
  }

  /** Something is to be looked at: by the hart that runs here, if one does. */
  #tell(wake: () => void): void {
    for (const hart of this.vcpus) hart.interrupt()
    wake()
  }

  #parallelOn(others: OtherHarts, wake: () => void): ParallelHarts {
    const back: number[] = []
    return {
      start: (index, until, processor) => {
        const hart = this.vcpus[index]
        // Without somebody who shares them out, one hart alone is quicker here, and so is one that exits often: all that it exits for is done by this thread.
        if (hart === undefined || !hart.runnable || (processor === undefined && (!hart.quiet || this.vcpus.length === 1))) return false
        return others.start(hart.id, () => hart.leave(until), () => {
          hart.arrive()
          back.push(index)
          this.#tell(wake)
        }, processor)
      },
      exited: (wait) => {
        if (back.length === 0) others.poll()
        while (wait && back.length === 0) others.waitForKicked()
        // What guests did comes first, and all of it once none of them is away.
        this.#shortcuts.drain()
        return back.shift() ?? -1
      },
      finish: (index) => this.vcpus[index]?.finish() ?? 'budget',
    }
  }

  timeRuns(origin: number | null): void {
    if (origin !== null) this.#time.origin = origin
  }

  /** Accesses to devices, those that came here and those that the kernel served; and pages that guests asked for. */
  get stats(): Readonly<Record<string, number>> {
    return { deviceAccesses: this.vcpus.reduce((sum, hart) => sum + hart.deviceAccesses, 0), servedAccesses: this.#shortcuts.served, pageFaults: this.#pages.faults }
  }

  input(line: string): IrqLine | null {
    const [, index, input] = /^hart(\d+)\.(\w+)$/.exec(line) ?? []
    const hart = this.vcpus[Number(index)]
    if (hart === undefined) return null
    switch (input) {
      case 'ssip': {
        // An edge sets the bit; software clears it (ACLINT specification, chapter 4).
        const raise = (): void => { hart.raiseSoftwareInterrupt() }
        return { set: (level) => { if (level) raise() }, pulse: raise, send: () => undefined }
      }
      case 'simsic':
        return hart.hasFile ? { set: () => undefined, pulse: () => undefined, send: (identity) => { hart.message(identity) } } : null
      case 'seip':
        // It has one driver.
        return hart.hasFile ? null : {
          set: (level) => { hart.setExternal(level) },
          pulse: () => {
            hart.setExternal(true)
            hart.setExternal(false)
          },
          send: () => undefined,
        }
      // M-mode is where no guest of the hardware ever is, and so nobody takes its interrupts.
      case 'meip':
      case 'mtip':
      case 'msip':
        return NOWHERE
      default:
        return null
    }
  }

  reset(_kind: 'cold' | 'warm', entry: BootEntry): void {
    this.#pages.forget()
    for (const hart of this.vcpus) hart.reset()
    const [first] = this.vcpus
    first?.start(BigInt(entry.pc), 0n)
    entry.args.forEach((arg, index) => { first?.setX(10 + index, BigInt(arg === 'hartid' ? 0 : arg)) })
  }

  memoryChanged(): void {
    this.#pages.forget()
  }

  dispose(): void {
    this.#unwatch()
    for (const hart of this.vcpus) hart.dispose()
    this.#pages.dispose()
  }
}
