import { plainData } from '@machinist/registers'
import { Access, Control } from './registers.ts'
import { type Count, countOf, cycleEnd, fallsAt, level, nextChange, nextRise, startOfLow, valueAt } from './waveform.ts'

/** What a counter of an 8254 keeps. Moments are pulses of the clock. */
export interface I8254CounterState extends Count {
  /** Which bytes of a count are accessed: 1 the lower, 2 the upper, 3 one after the other. */
  readonly access: number
  /** The count register, as it was written. */
  readonly register: number
  /** A whole count was written since the control word. */
  readonly written: boolean
  /** The first of two bytes of a count was written, and the second was not. */
  readonly half: boolean
  /** The next read is of the upper byte. */
  readonly upper: boolean
  /** Latched count and status; −1 for none. */
  readonly latch: number
  readonly status: number
  /** The last count that was written has not been loaded yet ("Read-Back Command"). */
  readonly nullCount: boolean
}

type Mutable = { -readonly [Name in keyof I8254CounterState]: I8254CounterState[Name] }

const cold: I8254CounterState = {
  mode: 0, bcd: false, gate: true, loaded: false, before: 0, count: 1, start: 0, held: 0, running: false, load: -1,
  access: Access.both, register: 0, written: false, half: false, upper: false, latch: -1, status: -1, nullCount: true,
}

/** One counter of an 8254. It does not count: what it holds follows from when it was loaded ("Mode Definitions"). */
export class I8254Counter {
  #state: Mutable = { ...cold }

  /** The output at pulse `now`. */
  out(now: number): boolean {
    return level(this.#at(now), now)
  }

  /** As {@link nextRise} of waveforms. */
  nextRise(now: number): number {
    return nextRise(this.#at(now), now)
  }

  /** As {@link nextChange} of waveforms. */
  nextChange(now: number): number {
    return nextChange(this.#at(now), now)
  }

  /** A control word that is no latch command. All but the gate begins anew. */
  program(control: number, now: number): void {
    const before = this.#value(now)
    const mode = control >>> Control.modeShift & 7
    this.#state = {
      ...cold, gate: this.#state.gate, before, mode: mode > 5 ? mode & 3 : mode, bcd: (control & Control.bcd) !== 0, access: control >>> Control.accessShift & 3,
    }
  }

  latchCount(now: number): void {
    const value = this.#value(now)
    if (this.#state.latch < 0) this.#state.latch = value
  }

  latchStatus(now: number): void {
    const out = this.out(now)
    const state = this.#state
    if (state.status >= 0) return
    state.status = (out ? 0x80 : 0) | (state.nullCount ? 0x40 : 0) | state.access << Control.accessShift | state.mode << Control.modeShift | (state.bcd ? Control.bcd : 0)
  }

  read(now: number): number {
    const state = this.#state
    if (state.status >= 0) {
      const { status } = state
      state.status = -1
      return status
    }
    const value = state.latch >= 0 ? state.latch : this.#value(now)
    const upper = state.access === Access.high || (state.access === Access.both && state.upper)
    state.upper = state.access === Access.both && !upper
    if (!state.upper) state.latch = -1
    return upper ? value >>> 8 : value & 0xff
  }

  write(value: number, now: number): void {
    const state = this.#at(now)
    if (state.access === Access.both && !state.half) {
      state.half = true
      state.register = (state.register & 0xff00) | value
      // In mode 0 the first byte stops the counter ("Mode 0").
      if (state.mode === 0) this.#stop(now)
      return
    }
    if (state.access === Access.both) state.register = (state.register & 0xff) | value << 8
    else state.register = state.access === Access.high ? value << 8 : value
    state.half = false
    state.written = true
    state.nullCount = true
    switch (state.mode) {
      case 0:
        this.#stop(now)
        state.load = now + 1
        break
      case 4:
        state.load = now + 1
        break
      case 2:
      case 3:
        if (!state.loaded) state.load = now + 1
        else if (state.running) state.load = cycleEnd(state, now)
        break
      default:
        // Modes 1 and 5 wait for the gate.
    }
  }

  /** The gate input ("Gate Pin Operations Summary"). */
  setGate(high: boolean, now: number): void {
    const state = this.#at(now)
    if (high === state.gate) return
    state.gate = high
    if (state.mode === 0 || state.mode === 4) {
      if (!high) this.#pause(now)
      else if (state.loaded && !state.running) {
        state.start = now - state.held
        state.running = true
      }
    } else if (high) {
      if (state.written) state.load = now + 1
    } else if (state.mode === 2 || state.mode === 3) {
      // A count that waited for the end of a cycle waits for the gate.
      if (state.loaded) state.load = -1
      this.#pause(now)
    }
  }

  reset(): void {
    this.#state = { ...cold, gate: this.#state.gate }
  }

  save(now: number): I8254CounterState {
    return { ...this.#at(now) }
  }

  /** Takes over a state that {@link readCounterState} has checked. */
  restore(state: I8254CounterState): void {
    this.#state = { ...state }
  }

  #value(now: number): number {
    return valueAt(this.#at(now), now)
  }

  #pause(now: number): void {
    const state = this.#state
    if (!state.running) return
    state.held = now - state.start
    state.running = false
  }

  #stop(now: number): void {
    const state = this.#state
    state.before = this.#value(now)
    state.loaded = false
    state.running = false
    state.load = -1
  }

  /** The state, a count loaded that was to be by now. */
  #at(now: number): Mutable {
    const state = this.#state
    const { load } = state
    if (load < 0 || now < load) return state
    const count = countOf(state.register, state.bcd)
    state.start = fallsAt(state, load) ? startOfLow(load, count) : load
    state.count = count
    state.held = 0
    state.loaded = true
    state.running = state.gate || state.mode === 1 || state.mode === 5
    state.nullCount = false
    state.load = -1
    return state
  }
}

/** Pulses in a saved state: more than there are in the time that a machine can have. */
const MOST = 2 ** 50

/** Checks the state of a counter. @throws a typed error when it is not one */
export function readCounterState(part: string, given: unknown): I8254CounterState {
  const data = plainData(part, given, 'state')
  const state: I8254CounterState = {
    mode: data.integer('mode', 0, 5), bcd: data.boolean('bcd'), gate: data.boolean('gate'), loaded: data.boolean('loaded'), before: data.integer('before', 0, 0xffff),
    count: data.integer('count', 1, 0x1_0000), start: data.integer('start', -MOST, MOST), held: data.integer('held', 0, MOST), running: data.boolean('running'),
    load: data.integer('load', -1, MOST), access: data.integer('access', Access.low, Access.both), register: data.integer('register', 0, 0xffff), written: data.boolean('written'),
    half: data.boolean('half'), upper: data.boolean('upper'), latch: data.integer('latch', -1, 0xffff), status: data.integer('status', -1, 0xff), nullCount: data.boolean('nullCount'),
  }
  data.done()
  return state
}
