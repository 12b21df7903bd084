import type { Device, DeviceContext, Timer, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { Ticks } from '../ticks.ts'
import { ControlBits, Event, PM_FREQUENCY, PM_HALF, pmRegisters, RESET, resetRegisters, SLEEP_OFF } from './registers.ts'
import type { AcpiPmBackends } from './spec.ts'

/** Saved state of ACPI's fixed hardware. */
export interface AcpiPmState {
  readonly status: number
  readonly enable: number
  readonly control: number
  readonly reset: number
  /** Nanoseconds since the timer was 0. */
  readonly elapsed: number
  /** Halves of its range that are in the status already. */
  readonly seen: number
}

const EV_KEY = 1
const KEY_POWER = 116
/** Packets that are taken from the button at once: each press is two. */
const PACKETS = 64

/** Power button, power-off, reset, and a timer. */
export class AcpiPm implements Device<AcpiPmState> {
  readonly #context: DeviceContext<'sci', AcpiPmBackends>
  readonly #timer: Timer
  readonly #ticks: Ticks
  readonly #registers: RegisterBlock<typeof pmRegisters>
  readonly #reset: RegisterBlock<typeof resetRegisters>
  #status = 0
  #seen = 0

  constructor(context: DeviceContext<'sci', AcpiPmBackends>) {
    const { name, trace, clock, backends: { power, button } } = context
    this.#context = context
    this.#timer = clock.timer('half')
    this.#ticks = new Ticks(clock, PM_FREQUENCY)
    this.#registers = new RegisterBlock(pmRegisters, {
      name, trace,
      read: {
        PM1_STS: () => {
          this.#settle()
          return this.#status
        },
        PM1_CNT: (stored) => stored & ControlBits.kept | ControlBits.sciEnabled,
        PM_TMR: () => this.#ticks.now % 2 ** 32,
      },
      write: {
        PM1_STS: (value) => {
          this.#settle()
          this.#status &= ~(value & Event.sticky)
          this.#update()
        },
        PM1_EN: () => { this.#update() },
        PM1_CNT: (value) => {
          if ((value & ControlBits.sleepEnable) === 0) return
          const type = value >>> ControlBits.sleepShift & ControlBits.sleep
          if (type === SLEEP_OFF) power.off(0)
          else trace.warn(`${name}: there is no sleep of type ${type}`)
        },
      },
    })
    this.#reset = new RegisterBlock(resetRegisters, {
      name, trace,
      write: { RST_CNT: (value, old) => { if ((value & ~old & RESET.cpu) !== 0) power.reset() } },
    })
    button.listen({
      readable: () => {
        for (let packet = 0; packet < PACKETS; packet++) {
          const events = button.receive()
          if (events === null) break
          if (events.some(({ type, code, value }) => type === EV_KEY && code === KEY_POWER && value === 1)) this.#status |= Event.powerButton
        }
        this.#update()
      },
    })
  }

  read(region: number, offset: number, width: Width): number {
    return region === 0 ? this.#registers.read(offset, width) : this.#reset.read(offset, width)
  }

  write(region: number, offset: number, width: Width, value: number): void {
    if (region === 0) this.#registers.write(offset, width, value)
    else this.#reset.write(offset, width, value)
  }

  /** The timer's upper bit changes. */
  event(): void {
    this.#update()
  }

  reset(): void {
    this.#registers.reset()
    this.#reset.reset()
    this.#status = 0
    this.#ticks.elapsed = 0
    this.#seen = 0
    this.#update()
  }

  save(): AcpiPmState {
    return {
      status: this.#status, enable: this.#registers.get('PM1_EN'), control: this.#registers.get('PM1_CNT'), reset: this.#reset.get('RST_CNT'), elapsed: this.#ticks.elapsed, seen: this.#seen,
    }
  }

  restore(state: AcpiPmState): void {
    const data = plainData(this.#context.name, state, 'state')
    const status = data.integer('status', 0, 0xffff)
    const enable = data.integer('enable', 0, 0xffff)
    const control = data.integer('control', 0, 0xffff)
    const reset = data.integer('reset', 0, 0xff)
    const elapsed = data.integer('elapsed', 0, Number.MAX_SAFE_INTEGER)
    const seen = data.integer('seen', 0, Number.MAX_SAFE_INTEGER)
    data.done()
    this.#status = status & Event.sticky
    this.#registers.set('PM1_EN', enable & Event.enabled)
    this.#registers.set('PM1_CNT', control & ControlBits.kept)
    this.#reset.set('RST_CNT', reset & pmWritable)
    this.#ticks.elapsed = elapsed
    this.#seen = Math.min(seen, this.#halves)
    this.#update()
  }

  get #halves(): number {
    return Math.floor(this.#ticks.now / PM_HALF)
  }

  #settle(): void {
    if (this.#halves > this.#seen) this.#status |= Event.timer
    this.#seen = this.#halves
  }

  /** Drives the interrupt, and waits for the timer where that interrupts. */
  #update(): void {
    this.#settle()
    const enabled = this.#registers.get('PM1_EN') & Event.enabled
    this.#context.irq.sci.set((this.#status & enabled) !== 0)
    this.#timer.arm((enabled & ~this.#status & Event.timer) !== 0 ? this.#ticks.timeOf((this.#seen + 1) * PM_HALF) : Infinity)
  }
}

const pmWritable = resetRegisters.RST_CNT.writable
