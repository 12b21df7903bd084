import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { SbiError } from './numbers.ts'
import type { SbiHart } from './sbi.ts'

/** Firmware events that happen here (SBI 2.0, 11.4): what M-mode would have to do does not. */
export const FirmwareEvent = {
  setTimer: 5, ipiSent: 6, ipiReceived: 7, fenceISent: 8, fenceIReceived: 9, sfenceVmaSent: 10, sfenceVmaReceived: 11, sfenceVmaAsidSent: 12, sfenceVmaAsidReceived: 13,
} as const

/** Counters of the hart that count by themselves: index, as OpenSBI numbers them, with the general event (11.1) and the CSR. */
export const hardwareCounters = [{ index: 0, event: 1, csr: 0xc00n }, { index: 2, event: 2, csr: 0xc02n }] as const
/** Firmware counters come after the three that Zicntr has. */
const FIRST_FIRMWARE = 3
const FIRMWARE_COUNTERS = 16
const COUNTERS = FIRST_FIRMWARE + FIRMWARE_COUNTERS
/** Types of events, above bit 16 of an event's index. */
const EventType = { hardware: 0, firmware: 15 } as const
/** Flags of `counter_config_matching`, `counter_start` and `counter_stop` (11.7 to 11.9). */
const ConfigFlag = { skipMatch: 1n, clearValue: 2n, autoStart: 4n, all: 0xffn } as const
const StartFlag = { setValue: 1n, snapshot: 2n, all: 3n } as const
const StopFlag = { reset: 1n, snapshot: 2n, all: 3n } as const
const FIRMWARE_TYPE = 1n << 63n
/** Bits of a counter, less one, at their place in `counter_get_info`. */
const WIDTH = 63n << 12n

/** What the PMU needs of a hart's own counters, by their bit in `mcountinhibit`. */
export interface HardwareCounters {
  isRunning(counter: number): boolean
  /** Lets it count, from `value` on if there is one. */
  start(counter: number, value: bigint | null): void
  stop(counter: number): void
}

/** Saved state of a hart's PMU. */
export interface PmuState {
  /** What each counter counts: the index of an event, or −1. */
  readonly events: readonly number[]
  readonly running: readonly boolean[]
  /** Values of firmware counters, as decimal numbers. */
  readonly values: readonly string[]
}

/** The performance counters of one hart as the PMU extension shows them (SBI 2.0, chapter 11). */
export class HartPmu {
  readonly #hardware: HardwareCounters
  readonly #events: number[] = new Array<number>(COUNTERS).fill(-1)
  /** Of firmware counters; those of the hart know themselves. */
  readonly #running: boolean[] = new Array<boolean>(COUNTERS).fill(false)
  readonly #values: bigint[] = new Array<bigint>(COUNTERS).fill(0n)

  constructor(hardware: HardwareCounters) {
    this.#hardware = hardware
  }

  reset(): void {
    this.#events.fill(-1)
    this.#running.fill(false)
    this.#values.fill(0n)
  }

  /** A firmware event has happened. */
  count(event: number): void {
    const index = EventType.firmware << 16 | event
    for (let counter = FIRST_FIRMWARE; counter < COUNTERS; counter++) {
      if (this.#running[counter] === true && this.#events[counter] === index) this.#values[counter] = BigInt.asUintN(64, (this.#values[counter] ?? 0n) + 1n)
    }
  }

  /** Serves function `id`; `hart` is the one that this belongs to. */
  call(hart: SbiHart, id: number): bigint | readonly [bigint, bigint] {
    const [a0, a1, a2, a3] = [hart.getX(10), hart.getX(11), hart.getX(12), hart.getX(13)]
    switch (id) {
      case 0:
        return [SbiError.success, BigInt(COUNTERS)]
      case 1: {
        if (a0 >= BigInt(COUNTERS) || a0 === 1n) return SbiError.invalidParam
        const own = hardwareCounters.find(({ index }) => index === Number(a0))
        // A firmware counter has no width to tell (11.6), but Linux 6.12 looks at it all the same.
        return [SbiError.success, WIDTH | (own === undefined ? FIRMWARE_TYPE : own.csr)]
      }
      case 2:
        return this.#configure(a0, a1, a2, a3)
      case 3:
        return this.#each(a0, a1, flagProblem(a2, StartFlag), (counter) => this.#start(counter, a2, a3))
      case 4:
        return this.#each(a0, a1, flagProblem(a2, StopFlag), (counter) => this.#stop(counter, a2))
      case 5:
      case 6: {
        if (a0 < BigInt(FIRST_FIRMWARE) || a0 >= BigInt(COUNTERS) || this.#events[Number(a0)] === -1) return SbiError.invalidParam
        // The upper half is for RV32: 0 here (11.11).
        return [SbiError.success, id === 5 ? this.#values[Number(a0)] ?? 0n : 0n]
      }
      default:
        // Among them snapshots in shared memory, which would save nobody a call.
        return SbiError.notSupported
    }
  }

  save(): PmuState {
    return { events: [...this.#events], running: [...this.#running], values: this.#values.map(String) }
  }

  restore(state: unknown, part: string): void {
    const data = plainData(part, state, 'state')
    const events = data.integers('events', COUNTERS, -1, 0xf_ffff)
    const running = data.unknown('running')
    const values = data.unknown('values')
    data.done()
    const isList = <T>(list: unknown, is: (item: unknown) => item is T): list is readonly T[] => Array.isArray(list) && list.length === COUNTERS && list.every(is)
    const isValue = (item: unknown): item is string => typeof item === 'string' && /^[0-9]{1,20}$/.test(item)
    if (!isList(running, (item) => typeof item === 'boolean') || !isList(values, isValue)) {
      throw machinistError({ code: 'bad-state', part, remedy: 'Restore a state that this version saved.' }, 'the saved state is not valid')
    }
    for (let counter = 0; counter < COUNTERS; counter++) {
      this.#events[counter] = events[counter] ?? -1
      this.#running[counter] = running[counter] ?? false
      this.#values[counter] = BigInt.asUintN(64, BigInt(values[counter] ?? 0))
    }
  }

  /** The counters of a mask that starts at `base`; null when there is none, or one does not exist. */
  #chosen(base: bigint, mask: bigint): number[] | null {
    const list: number[] = []
    for (let bit = 0n; bit < 64n; bit++) if (((mask >> bit) & 1n) !== 0n) list.push(Number(base + bit))
    return list.length === 0 || list.some((counter) => counter >= COUNTERS) ? null : list
  }

  #each(base: bigint, mask: bigint, wrong: bigint | null, act: (counter: number) => bigint): bigint {
    const list = this.#chosen(base, mask)
    if (list === null || wrong !== null) return wrong ?? SbiError.invalidParam
    // All are done, and the first error is told.
    return list.map(act).find((error) => error !== SbiError.success) ?? SbiError.success
  }

  #configure(base: bigint, mask: bigint, flags: bigint, event: bigint): bigint | readonly [bigint, bigint] {
    const list = this.#chosen(base, mask)
    if (list === null || (flags & ~ConfigFlag.all) !== 0n || event > 0xf_ffffn) return SbiError.invalidParam
    const index = Number(event)
    const able = list.filter((counter) => this.#canCount(counter, index))
    const counter = (flags & ConfigFlag.skipMatch) !== 0n ? list[0] : able.find((each) => each < FIRST_FIRMWARE || this.#events[each] === -1)
    if (counter === undefined || !able.includes(counter)) return SbiError.notSupported
    // The hart's counters run by themselves as long as they count nothing in particular.
    if (counter < FIRST_FIRMWARE && this.#events[counter] === -1) this.#hardware.stop(counter)
    this.#events[counter] = index
    const clear = (flags & ConfigFlag.clearValue) !== 0n
    if (clear && counter >= FIRST_FIRMWARE) this.#values[counter] = 0n
    if (clear && counter < FIRST_FIRMWARE) {
      const running = this.#hardware.isRunning(counter)
      this.#hardware.start(counter, 0n)
      if (!running) this.#hardware.stop(counter)
    }
    if ((flags & ConfigFlag.autoStart) !== 0n) this.#start(counter, 0n, 0n)
    return [SbiError.success, BigInt(counter)]
  }

  #canCount(counter: number, event: number): boolean {
    const code = event & 0xffff
    if (event >>> 16 === EventType.firmware) return counter >= FIRST_FIRMWARE && Object.values(FirmwareEvent).some((each) => each === code)
    return event >>> 16 === EventType.hardware && hardwareCounters.some((own) => own.index === counter && own.event === code)
  }

  #start(counter: number, flags: bigint, value: bigint): bigint {
    if (this.#events[counter] === -1) return SbiError.invalidParam
    const initial = (flags & StartFlag.setValue) !== 0n ? value : null
    if (counter < FIRST_FIRMWARE) {
      if (this.#hardware.isRunning(counter)) return SbiError.alreadyStarted
      this.#hardware.start(counter, initial)
      return SbiError.success
    }
    if (this.#running[counter] === true) return SbiError.alreadyStarted
    this.#running[counter] = true
    if (initial !== null) this.#values[counter] = initial
    return SbiError.success
  }

  #stop(counter: number, flags: bigint): bigint {
    if (this.#events[counter] === -1) return SbiError.alreadyStopped
    const own = counter < FIRST_FIRMWARE
    const was = own ? this.#hardware.isRunning(counter) : this.#running[counter] === true
    if (was && own) this.#hardware.stop(counter)
    this.#running[counter] = false
    if ((flags & StopFlag.reset) !== 0n) {
      this.#events[counter] = -1
      if (own) this.#hardware.start(counter, null)
    }
    return was ? SbiError.success : SbiError.alreadyStopped
  }
}

/** No counter has a snapshot: there is no shared memory for them. */
function flagProblem(flags: bigint, { snapshot, all }: { readonly snapshot: bigint; readonly all: bigint }): bigint | null {
  if ((flags & ~all) !== 0n) return SbiError.invalidParam
  return (flags & snapshot) !== 0n ? SbiError.noSharedMemory : null
}
