import type { Device, DeviceContext, IrqLine, Timer, Width } from '@machinist/api'
import { RegisterBlock } from '@machinist/registers'
import { hartLines, type HartsConfig, type NoBackends } from '../harts.ts'
import { aclintRegisters, type Window } from './registers.ts'

/** Saved state of any of the devices of this family. The count of `mtime` is the machine's, not theirs. */
export type AclintState = Readonly<Record<string, number | readonly number[]>>

/** The outputs: a hart's machine timer and software interrupts, and its supervisor software interrupt. */
export type AclintIrq = `hart${number}.mtip` | `hart${number}.msip` | `hart${number}.ssip`

/** Which registers a device has. */
export type AclintPart = 'mtimer' | 'mswi' | 'sswi'

/** MTIMER, MSWI, SSWI, or several of them in one device. */
export class Aclint implements Device<AclintState> {
  readonly #registers: RegisterBlock<typeof aclintRegisters>
  readonly #windows: readonly Window[]
  readonly #context: DeviceContext<AclintIrq, NoBackends>
  readonly #timers: readonly { readonly timer: Timer; readonly output: IrqLine }[]
  readonly #software: readonly IrqLine[]

  constructor(config: HartsConfig, context: DeviceContext<AclintIrq, NoBackends>, parts: readonly AclintPart[], windows: readonly Window[]) {
    const serves = (part: AclintPart): number => parts.includes(part) ? config.harts : 0
    const supervisor = hartLines(context.name, context.irq, serves('sswi'), 'ssip')
    this.#context = context
    this.#windows = windows
    this.#software = hartLines(context.name, context.irq, serves('mswi'), 'msip')
    this.#timers = hartLines(context.name, context.irq, serves('mtimer'), 'mtip')
      .map((output, hart) => ({ output, timer: context.clock.timer(`hart${hart}`) }))
    this.#registers = new RegisterBlock(aclintRegisters, {
      name: context.name,
      trace: context.trace,
      count: {
        MSIP: serves('mswi'), MTIMECMP: serves('mtimer'), MTIME: parts.includes('mtimer') ? 1 : 0, SETSSIP: serves('sswi'),
      },
      read: { MTIME: (_, _index, half) => Number((context.counter.read() >> (half === 1 ? 32n : 0n)) & 0xffff_ffffn) },
      write: {
        MSIP: (value, _, hart) => this.#software[hart]?.set(value === 1),
        MTIMECMP: (_, _old, hart) => this.#updateTimer(hart),
        MTIME: (value, _, _index, half) => this.#setTime(value, half),
        SETSSIP: (value, _, hart) => { if ((value & 1) === 1) supervisor[hart]?.pulse() },
      },
    })
    if (this.#timers.length > 0) context.counter.onWrite(() => { this.#updateTimers() })
  }

  read(region: number, offset: number, width: Width): number {
    return this.#registers.read((this.#windows[region]?.start ?? 0) + offset, width)
  }

  write(region: number, offset: number, width: Width, value: number): void {
    this.#registers.write((this.#windows[region]?.start ?? 0) + offset, width, value)
  }

  /** A hart's timer expired. */
  event(port: string): void {
    this.#updateTimer(Number(port.slice('hart'.length)))
  }

  /** Clears `mtime`; MTIMECMP, of unknown value after a reset, is set so that no interrupt comes. */
  reset(): void {
    this.#registers.reset()
    if (this.#timers.length > 0) this.#context.counter.write(0n)
    this.#updateTimers()
    this.#updateSoftware()
  }

  save(): AclintState {
    return this.#registers.save()
  }

  restore(state: AclintState): void {
    this.#registers.restore(state)
    this.#updateTimers()
    this.#updateSoftware()
  }

  #setTime(value: number, half: 0 | 1): void {
    const { counter } = this.#context
    const now = counter.read()
    const bits = BigInt(value)
    counter.write(half === 1 ? (now & 0xffff_ffffn) | (bits << 32n) : ((now >> 32n) << 32n) | bits)
    this.#registers.set64('MTIME', 0n)
  }

  /** The interrupt is pending exactly while `mtime` is at or past MTIMECMP, both unsigned (section 2.3). */
  #updateTimer(hart: number): void {
    const port = this.#timers[hart]
    if (port === undefined) return
    const { counter } = this.#context
    const compare = this.#registers.get64('MTIMECMP', hart)
    const pending = counter.read() >= compare
    port.output.set(pending)
    const at = pending ? Infinity : counter.timeOf(compare)
    if (at === Infinity) port.timer.cancel()
    else port.timer.arm(at)
  }

  #updateTimers(): void {
    for (let hart = 0; hart < this.#timers.length; hart++) this.#updateTimer(hart)
  }

  #updateSoftware(): void {
    for (let hart = 0; hart < this.#software.length; hart++) this.#software[hart]?.set(this.#registers.get('MSIP', hart) === 1)
  }
}
