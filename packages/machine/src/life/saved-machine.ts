import { type MachinistError, machinistError } from '@machinist/api'
import type { Parts } from '../assembly/parts.ts'
import { CPU_PART } from '../definition/definition.ts'
import type { SavedTurns } from '../running/run-loop.ts'
import type { SavedTimer } from '../running/timers.ts'
import type { SavedTime } from '../running/virtual-time.ts'
import { type DevicesState, restoreDevices, saveDevices } from './state.ts'

/** All of a machine but its memory, between slices and with nothing under way: plain data. */
export interface SavedMachine {
  readonly version: 1
  readonly devices: DevicesState
  readonly harts: readonly unknown[]
  readonly time: SavedTime
  /** What the counter was at time zero. */
  readonly counterBase: bigint
  /** Timers of devices that are armed, in the order in which they will expire. */
  readonly timers: readonly SavedTimer[]
  readonly turns: SavedTurns
  /** Where the machine's own generator of random bytes is; null when they come from the host. */
  readonly randomness: readonly number[] | null
}

function bad(problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'state', part: 'machine', value, remedy: 'Restore it into the machine that it was saved from.' }, problem)
}

/** Takes the state of a machine. */
export function saveMachine(parts: Parts, turns: SavedTurns): SavedMachine {
  return {
    version: 1,
    devices: saveDevices(parts),
    harts: parts.cpu.vcpus.map((vcpu) => vcpu.save()),
    time: parts.time.save(),
    counterBase: parts.counter.base,
    timers: parts.timers.save(),
    turns,
    randomness: parts.generator?.save() ?? null,
  }
}

/**
 * Gives a machine that has not run yet the state of another, whose memory it has already.
 *
 * @throws a typed error `'state'`, or what a device or hart throws; the machine is of no use then
 */
export function restoreMachine(parts: Parts, saved: SavedMachine): void {
  const { vcpus } = parts.cpu
  if (saved.harts.length !== vcpus.length) throw bad('the saved state is of another number of harts', saved.harts.length)
  parts.time.restore(saved.time)
  // What a hart is besides its state: its number, its TLBs.
  parts.cpu.reset('cold', { pc: 0, args: [] })
  parts.setCounterBase(saved.counterBase)
  vcpus.forEach((vcpu, index) => { vcpu.restore(saved.harts[index]) })
  restoreDevices(parts, saved.devices)
  // Devices may have armed theirs anew, later than they were to expire. What they armed besides is what a copy does in addition.
  for (const { name, at } of saved.timers) {
    if (name.startsWith(`timer:${CPU_PART}.`)) continue
    const timer = parts.timer(name)
    if (timer === null) throw bad('no part has this timer', name)
    timer.arm(at)
  }
  if (parts.generator !== null && saved.randomness !== null) parts.generator.restore(saved.randomness)
}
