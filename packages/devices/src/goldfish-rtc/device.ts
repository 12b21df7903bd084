import type { Device, DeviceContext, Timer, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { goldfishRtcRegisters } from './registers.ts'
import type { RtcBackends } from './spec.ts'

/** The clock's saved state. */
export interface GoldfishRtcState {
  readonly registers: Readonly<Record<string, number | readonly number[]>>
  /** What the guest's settings add to the host's time, nanoseconds modulo 2^64. */
  readonly offset: bigint
  readonly interrupt: boolean
}

/** The host's clock and virtual time may run apart; an alarm that is not yet due is looked at again no sooner than this. */
const leastWait = 1_000_000n

/** A clock that shows the host's time, set forward or back by the guest, with one alarm. */
export class GoldfishRtc implements Device<GoldfishRtcState> {
  readonly #context: DeviceContext<'alarm', RtcBackends>
  readonly #registers: RegisterBlock<typeof goldfishRtcRegisters>
  readonly #timer: Timer
  #offset = 0n
  #interrupt = false

  constructor(context: DeviceContext<'alarm', RtcBackends>) {
    this.#context = context
    this.#timer = context.clock.timer('alarm')
    this.#registers = new RegisterBlock(goldfishRtcRegisters, {
      name: context.name,
      trace: context.trace,
      read: { TIME_LOW: () => this.#latch() },
      write: {
        TIME_LOW: (value) => { this.#setTime((this.#now() >> 32n) << 32n | BigInt(value)) },
        TIME_HIGH: (value) => { this.#setTime(BigInt(value) << 32n | this.#now() & 0xffff_ffffn) },
        ALARM_LOW: () => {
          this.#registers.set('ALARM_STATUS', 1)
          this.#checkAlarm(0n)
        },
        IRQ_ENABLED: () => { this.#update() },
        CLEAR_ALARM: () => { this.#disarm() },
        CLEAR_INTERRUPT: () => {
          this.#interrupt = false
          this.#update()
        },
      },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  /** The alarm is due by virtual time. */
  event(): void {
    this.#checkAlarm(leastWait)
  }

  /** A clock keeps its time through a reset of the machine, and loses what was set at power on. */
  reset(kind: 'cold' | 'warm'): void {
    if (kind === 'cold') this.#offset = 0n
    this.#registers.reset()
    this.#interrupt = false
    this.#disarm()
    this.#update()
  }

  save(): GoldfishRtcState {
    return { registers: this.#registers.save(), offset: this.#offset, interrupt: this.#interrupt }
  }

  restore(state: GoldfishRtcState): void {
    const data = plainData(this.#context.name, state, 'state')
    const offset = data.u64('offset')
    const interrupt = data.boolean('interrupt')
    this.#registers.restore(data.unknown('registers'))
    this.#offset = offset
    this.#interrupt = interrupt
    this.#timer.cancel()
    // Not at once, should it be due: lines get the levels that they had.
    if (this.#registers.get('ALARM_STATUS') === 1) this.#await(leastWait)
    this.#update()
  }

  #now(): bigint {
    return BigInt.asUintN(64, this.#context.backends.clock.now() + this.#offset)
  }

  #latch(): number {
    const now = this.#now()
    this.#registers.set('TIME_HIGH', Number(now >> 32n))
    return Number(now & 0xffff_ffffn)
  }

  #setTime(time: bigint): void {
    this.#offset = BigInt.asUintN(64, this.#offset + time - this.#now())
    this.#checkAlarm(0n)
  }

  #disarm(): void {
    this.#registers.set('ALARM_STATUS', 0)
    this.#timer.cancel()
  }

  /** Fires an armed alarm whose time has come, and otherwise waits for it, at least `least` nanoseconds. */
  #checkAlarm(least: bigint): void {
    if (this.#registers.get('ALARM_STATUS') === 0) return
    if (this.#left > 0n) return this.#await(least)
    this.#disarm()
    this.#interrupt = true
    this.#update()
  }

  /** Nanoseconds until the alarm. */
  get #left(): bigint {
    return (BigInt(this.#registers.get('ALARM_HIGH')) << 32n | BigInt(this.#registers.get('ALARM_LOW'))) - this.#now()
  }

  #await(least: bigint): void {
    const left = this.#left
    const at = this.#context.clock.now() + Number(left > least ? left : least)
    this.#timer.arm(at <= Number.MAX_SAFE_INTEGER ? at : Infinity)
  }

  #update(): void {
    this.#context.irq.alarm.set(this.#interrupt && this.#registers.get('IRQ_ENABLED') === 1)
  }
}
