import type { Exit } from '@machinist/api'
import type { MachineSample } from '../running/sampler.ts'

/** Where in its life a machine is. */
export type MachineState = 'created' | 'running' | 'paused' | 'off' | 'disposed'

/** Events of a machine, by name. */
export interface MachineEvents {
  readonly state: { readonly from: MachineState; readonly to: MachineState }
  /** The guest (or the host) switched it off. */
  readonly power: { readonly status: number; readonly by: 'guest' | 'host' }
  readonly reset: { readonly by: 'guest' | 'host' }
  /** A part failed: a bug, never the guest's doing. The machine is off. */
  readonly error: { readonly part: string; readonly error: Error }
  /** A part has something to tell. Rate-limited. */
  readonly warn: { readonly part: string; readonly message: string }
  /** A hart stopped for a debugger. The machine is paused. */
  readonly debug: { readonly hart: number }
  /** While `Machine.sample` is on: what it did since the last one. */
  readonly sample: MachineSample
}

/** What a machine has done so far. */
export interface MachineStats {
  /** Instructions retired by all harts. */
  readonly retired: number
  /** The same in steps: instructions retired, and traps taken in the place of one. */
  readonly steps: number
  /** Host time spent running harts, in nanoseconds. */
  readonly runTime: number
  /** Host time spent waiting with all harts idle, in nanoseconds. */
  readonly idleTime: number
  /** Virtual time, in nanoseconds. */
  readonly virtualTime: number
  /** Slices given to harts, by how they ended. */
  readonly exits: Readonly<Record<Exit, number>>
  /** Events that came through the gate. */
  readonly events: number
  /** Bytes of guest RAM that have been touched. */
  readonly touchedMemory: number
  /** Counts of what the CPU's engine has done, by name; see `Cpu.stats`. */
  readonly cpu: Readonly<Record<string, number>>
}
