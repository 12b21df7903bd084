import type { Device, DeviceContext, Timer, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { Ticks } from '../ticks.ts'
import { I8254Counter, type I8254CounterState, readCounterState } from './counter.ts'
import { Access, Control, FREQUENCY, i8254Registers, portBRegisters, REFRESH } from './registers.ts'

/** Saved state of an 8254 and its port B. */
export interface I8254State {
  readonly counters: readonly I8254CounterState[]
  /** Gate of counter 2, speaker, and the enables of NMIs. */
  readonly portB: number
  /** Nanoseconds since the first pulse. */
  readonly elapsed: number
  /** The pulse at which counter 0 rises next; −1 for none. */
  readonly rise: number
  /** Nanoseconds for which its timer is not to expire. */
  readonly rest: number
}

type NoBackends = Readonly<Record<never, never>>

/** Of counter 0 no more is told than once in so many nanoseconds: a guest may ask for a rise with every other pulse. */
const LEAST = 10_000

/** Three counters. Counter 0 drives an interrupt, 1 is for the refresh of memory that nobody needs, 2 has a gate, and is read, in port B. */
export class I8254 implements Device<I8254State> {
  readonly #context: DeviceContext<'out0', NoBackends>
  readonly #timer: Timer
  readonly #ticks: Ticks
  readonly #counters = [new I8254Counter(), new I8254Counter(), new I8254Counter()] as const
  readonly #registers: RegisterBlock<typeof i8254Registers>
  readonly #portB: RegisterBlock<typeof portBRegisters>
  #rise = Infinity
  /** Virtual time before which the timer is left alone. */
  #notBefore = 0

  constructor(context: DeviceContext<'out0', NoBackends>) {
    const { name, trace, clock } = context
    this.#context = context
    this.#timer = clock.timer('counter-0')
    this.#ticks = new Ticks(clock, FREQUENCY)
    this.#registers = new RegisterBlock(i8254Registers, {
      name, trace,
      read: { COUNTER: (_, index) => this.#counters[index]?.read(this.#ticks.now) ?? 0 },
      write: {
        COUNTER: (value, _, index) => {
          this.#counters[index]?.write(value, this.#ticks.now)
          this.#update()
        },
        CONTROL: (value) => { this.#control(value) },
      },
    })
    this.#portB = new RegisterBlock(portBRegisters, {
      name, trace,
      read: { PORT_B: (stored) => stored | Math.floor(this.#ticks.now / REFRESH) % 2 << 4 | (this.#counters[2].out(this.#ticks.now) ? 0x20 : 0) },
      write: { PORT_B: (value) => { this.#counters[2].setGate((value & 1) !== 0, this.#ticks.now) } },
    })
  }

  read(region: number, offset: number, width: Width): number {
    return region === 0 ? this.#registers.read(offset, width) : this.#portB.read(offset, width)
  }

  write(region: number, offset: number, width: Width, value: number): void {
    if (region === 0) this.#registers.write(offset, width, value)
    else this.#portB.write(offset, width, value)
  }

  event(): void {
    this.#notBefore = this.#context.clock.now() + LEAST
    this.#update()
  }

  /** The chip has no reset input; nothing counts until it is programmed. */
  reset(): void {
    for (const counter of this.#counters) counter.reset()
    this.#portB.reset()
    this.#counters[2].setGate(false, this.#ticks.now)
    this.#rise = Infinity
    this.#notBefore = 0
    this.#update()
  }

  save(): I8254State {
    return {
      counters: this.#counters.map((counter) => counter.save(this.#ticks.now)),
      portB: this.#portB.get('PORT_B'),
      elapsed: this.#ticks.elapsed,
      rise: Number.isFinite(this.#rise) ? this.#rise : -1,
      rest: Math.max(0, this.#notBefore - this.#context.clock.now()),
    }
  }

  restore(state: I8254State): void {
    const { name, clock } = this.#context
    const data = plainData(name, state, 'state')
    const given = data.unknown('counters')
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    const counters = this.#counters.map((_, index) => readCounterState(`${name}.counters[${index}]`, list[index]))
    const portB = data.integer('portB', 0, 0x0f)
    const elapsed = data.integer('elapsed', 0, Number.MAX_SAFE_INTEGER)
    const rise = data.integer('rise', -1, 2 ** 51)
    const rest = data.integer('rest', 0, LEAST)
    data.done()
    counters.forEach((each, index) => { this.#counters[index]?.restore(each) })
    this.#portB.set('PORT_B', portB)
    this.#ticks.elapsed = elapsed
    this.#rise = rise < 0 ? Infinity : rise
    this.#notBefore = clock.now() + rest
    this.#arm()
  }

  #control(value: number): void {
    const now = this.#ticks.now
    const select = value >>> Control.counterShift
    if (select === Control.readBack) {
      for (const [index, counter] of this.#counters.entries()) {
        if ((value >>> (index + 1) & 1) === 0) continue
        if ((value & Control.noCount) === 0) counter.latchCount(now)
        if ((value & Control.noStatus) === 0) counter.latchStatus(now)
      }
      return
    }
    const counter = this.#counters[select]
    if ((value >>> Control.accessShift & 3) === Access.latch) counter?.latchCount(now)
    else counter?.program(value, now)
    this.#update()
  }

  /** Brings the interrupt output up to now, with the rise that was due; a low time of one pulse is over when it is seen. */
  #update(): void {
    const now = this.#ticks.now
    const [counter] = this.#counters
    const line = this.#context.irq.out0
    if (this.#rise <= now) {
      line.set(false)
      line.set(true)
    }
    line.set(counter.out(now))
    this.#rise = counter.nextRise(now)
    this.#arm()
  }

  #arm(): void {
    const next = Math.min(this.#counters[0].nextChange(this.#ticks.now), this.#rise)
    this.#timer.arm(Number.isFinite(next) ? Math.max(this.#ticks.timeOf(next), this.#notBefore) : Infinity)
  }
}
