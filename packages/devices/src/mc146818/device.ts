import type { Device, DeviceContext, Timer, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import type { RtcBackends } from '../goldfish-rtc/spec.ts'
import { nextAlarm, readTime, writeTime } from './calendar.ts'
import { A, B, BEFORE_UPDATE, C, CRYSTAL, D, mc146818Ports, Place } from './registers.ts'

/** Saved state of the chip. */
export interface Mc146818State {
  readonly address: number
  /** All 128 bytes, without flags and what register A tells of updates. */
  readonly bytes: readonly number[]
  /** Register C, without IRQF. */
  readonly flags: number
  /** What the guest's settings add to the host's time: seconds, and nanoseconds below a second. */
  readonly offset: number
  readonly ahead: number
  /** Weekday of 1970-01-01, 0 … 6. */
  readonly weekday: number
  /** Seconds and periods that flags tell of already, as far as the time is that of the state. */
  readonly seen: number
  readonly periods: number
}

const SECOND = 1_000_000_000
/** The host's clock and virtual time may run apart: what is not due yet is looked at again no sooner than this. */
const LEAST = 10_000
/** 1970-01-01 was a Thursday; the chip's week begins with Sunday ("Time, Calendar and Alarm Locations"). */
const THURSDAY = 4
/** A time, in seconds since 1970 and nanoseconds. */
interface Moment {
  readonly second: number
  readonly phase: number
}

/** Seconds that a date of the chip can be from 1970, at most. */
const FAR = 2 ** 40

/** A clock that shows the host's time, set forward or back by the guest, with alarm, periodic interrupt, and RAM that a battery keeps. */
export class Mc146818 implements Device<Mc146818State> {
  readonly #context: DeviceContext<'interrupt', RtcBackends>
  readonly #ports: RegisterBlock<typeof mc146818Ports>
  readonly #timer: Timer
  readonly #bytes = new Uint8Array(Place.size)
  #address = 0
  #flags = 0
  #offset = 0
  #ahead = 0
  #weekday = THURSDAY
  /** The last second, and the last period, that is in the flags, or is not to be. */
  #seen = 0
  #periods = 0

  constructor(context: DeviceContext<'interrupt', RtcBackends>) {
    this.#context = context
    this.#timer = context.clock.timer('next')
    this.#ports = new RegisterBlock(mc146818Ports, {
      name: context.name, trace: context.trace,
      write: {
        ADDRESS: (value) => { this.#address = value },
        DATA: (value) => { this.#write(this.#address & 0x7f, value) },
      },
      read: { DATA: () => this.#read(this.#address & 0x7f) },
    })
    this.#bytes[Place.a] = A.fastest | 6
    this.#bytes[Place.b] = B.hours24
    this.#bytes[Place.d] = D.vrt
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#ports.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#ports.write(offset, width, value)
  }

  event(): void {
    this.#update(this.#now, LEAST)
  }

  /** The RESET pin ends interrupts; time and RAM stay, by the battery ("RESET"). */
  reset(): void {
    const now = this.#now
    this.#address = 0
    this.#settle(now)
    this.#put(Place.b, this.#get(Place.b) & ~(B.interrupts | B.squareWave))
    this.#flags = 0
    this.#update(now)
  }

  /** As far as the guest has seen: the host's clock is not asked, since a machine that is replayed has it only where the guest asked. */
  save(): Mc146818State {
    return {
      address: this.#address, bytes: [...this.#bytes], flags: this.#flags, offset: this.#offset, ahead: this.#ahead, weekday: this.#weekday, seen: this.#seen, periods: this.#periods,
    }
  }

  restore(state: Mc146818State): void {
    const data = plainData(this.#context.name, state, 'state')
    const address = data.integer('address', 0, 0xff)
    const bytes = data.integers('bytes', Place.size, 0, 0xff)
    const flags = data.integer('flags', 0, 0x7f)
    const offset = data.integer('offset', -FAR, FAR)
    const ahead = data.integer('ahead', 0, SECOND - 1)
    const weekday = data.integer('weekday', 0, 6)
    const seen = data.integer('seen', -FAR, FAR)
    const periods = data.integer('periods', -FAR * CRYSTAL, FAR * CRYSTAL)
    data.done()
    this.#address = address
    this.#bytes.set(bytes)
    this.#put(Place.a, this.#get(Place.a) & A.writable)
    this.#put(Place.d, D.vrt)
    this.#flags = flags & (C.pf | C.af | C.uf)
    this.#offset = offset
    this.#ahead = ahead
    this.#weekday = weekday
    this.#seen = seen
    this.#periods = periods
    this.#drive()
    // Nothing is due that the guest does not wait for. What is due already comes by the timer, so that what was restored is what was saved.
    if (this.#waiting !== 0) this.#wait(this.#now)
    else this.#timer.cancel()
  }

  /** The time that it shows. */
  get #now(): Moment {
    const { second, phase } = this.#hostTime
    const carry = phase + this.#ahead >= SECOND ? 1 : 0
    return { second: second + this.#offset + carry, phase: phase + this.#ahead - carry * SECOND }
  }

  get #hostTime(): Moment {
    const time = this.#context.backends.clock.now()
    return { second: Number(time / BigInt(SECOND)), phase: Number(time % BigInt(SECOND)) }
  }

  #get(place: number): number {
    return this.#bytes[place] ?? 0
  }

  #put(place: number, value: number): void {
    this.#bytes[place] = value
  }

  /** Whether the divider chain runs ("DV0, DV1, DV2"). */
  get #divides(): boolean {
    return (this.#get(Place.a) & A.divider) <= A.fastest
  }

  /** Whether the time goes on in the registers. */
  get #runs(): boolean {
    return this.#divides && (this.#get(Place.b) & B.set) === 0
  }

  #read(place: number): number {
    const now = this.#now
    switch (place) {
      case Place.a: {
        const updating = this.#runs && now.phase >= SECOND - BEFORE_UPDATE
        return this.#get(Place.a) | (updating ? A.uip : 0)
      }
      case Place.c: {
        this.#settle(now)
        const flags = this.#flags
        this.#flags = 0
        this.#update(now)
        return flags | ((flags & this.#get(Place.b) & B.interrupts) !== 0 ? C.irqf : 0)
      }
      default:
        if (isTime(place)) this.#settle(now)
        return this.#get(place)
    }
  }

  #write(place: number, value: number): void {
    const now = this.#now
    if (place === Place.c || place === Place.d) return
    this.#settle(now)
    if (place === Place.a) this.#writeA(value & A.writable)
    else if (place === Place.b) this.#writeB(value, now)
    else {
      this.#put(place, value)
      // The divider chain goes on: only whole seconds change.
      if (isTime(place) && this.#runs) this.#setTime(now.phase)
    }
    this.#update(this.#now)
  }

  #writeA(value: number): void {
    const before = this.#divides
    this.#put(Place.a, value)
    // The first update comes half a second after the divider chain was let go ("Divider Control").
    if (!before && this.#divides) this.#setTime(SECOND / 2)
    this.#periods = this.#periodsAt(this.#now)
  }

  #writeB(value: number, now: Moment): void {
    const before = this.#get(Place.b)
    const set = (value & B.set) !== 0
    this.#put(Place.b, set ? value & ~B.updateEnded : value)
    if ((before & B.set) !== 0 && !set && this.#divides) this.#setTime(now.phase)
  }

  /** Has the time go on from what is in the registers, `phase` nanoseconds into the second. */
  #setTime(phase: number): void {
    const { seconds, weekday } = readTime(this.#bytes)
    this.#weekday = weekday
    const host = this.#hostTime
    const carry = phase < host.phase ? 1 : 0
    this.#offset = seconds - host.second - carry
    this.#ahead = phase - host.phase + carry * SECOND
    const now = this.#now
    this.#seen = now.second
    this.#periods = this.#periodsAt(now)
  }

  /** Periods of the periodic interrupt so far: 2^(16 − rate) a second, but 256 and 128 for the first two ("RS3, RS2, RS1, RS0"). */
  #periodsAt(now: Moment): number {
    const rate = this.#get(Place.a) & A.rate
    if (rate === 0) return 0
    return now.second * frequencyOf(rate) + Math.floor(now.phase * frequencyOf(rate) / SECOND)
  }

  /** Brings registers and flags up to a time. Flags come whether or not they interrupt ("Register C"). */
  #settle(now: Moment): void {
    if (!this.#divides) return
    const { second } = now
    const runs = this.#runs
    // While SET is 1 there are no update cycles ("SET").
    if (runs && second > this.#seen) {
      this.#flags |= C.uf
      if ((this.#flags & C.af) === 0 && nextAlarm(this.#bytes, this.#seen) <= second) this.#flags |= C.af
    }
    this.#seen = second
    const periods = this.#periodsAt(now)
    if (periods > this.#periods) this.#flags |= C.pf
    this.#periods = periods
    if (runs) writeTime(this.#bytes, second, this.#weekday)
  }

  #drive(): void {
    this.#context.irq.interrupt.set((this.#flags & this.#get(Place.b) & B.interrupts) !== 0)
  }

  /** Flags that interrupt when they come. */
  get #waiting(): number {
    return this.#divides ? this.#get(Place.b) & B.interrupts & ~this.#flags : 0
  }

  /** Drives the interrupt, and waits for what interrupts next, at least `least` nanoseconds. */
  #update(now: Moment, least = 0): void {
    this.#settle(now)
    this.#drive()
    this.#wait(now, least)
  }

  #wait(now: Moment, least = 0): void {
    const waiting = this.#waiting
    let left = Infinity
    if ((waiting & C.uf) !== 0) left = this.#runs && now.second > this.#seen ? 0 : SECOND - now.phase
    if ((waiting & C.af) !== 0 && this.#runs) left = Math.min(left, (nextAlarm(this.#bytes, this.#seen) - now.second) * SECOND - now.phase)
    const rate = this.#get(Place.a) & A.rate
    if ((waiting & C.pf) !== 0 && rate !== 0) {
      if (this.#periodsAt(now) > this.#periods) left = 0
      const within = Math.floor(now.phase * frequencyOf(rate) / SECOND) + 1
      left = Math.min(left, Math.ceil(within * SECOND / frequencyOf(rate)) - now.phase)
    }
    this.#timer.arm(left === Infinity ? Infinity : this.#context.clock.now() + Math.max(left, least))
  }
}

function isTime(place: number): boolean {
  return place === Place.century || (place <= Place.year && place !== Place.secondsAlarm && place !== Place.minutesAlarm && place !== Place.hoursAlarm)
}

function frequencyOf(rate: number): number {
  return rate < 3 ? 512 / 2 ** rate : 2 * CRYSTAL / 2 ** rate
}
