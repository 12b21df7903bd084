import { machinistError, type DebugReason, type VcpuDebug } from '@machinist/api'
import type { Machine } from '@machinist/machine'
import type { DebugMemory } from './memory.ts'
import type { Stops } from './stops.ts'
import type { Mode } from './threads.ts'

/** Where and why it stopped. */
export interface Halted {
  /** The hart to look at from now on; null: the one that was looked at. */
  readonly hart: number | null
  /** At the user's wish, and not by itself. */
  readonly interrupted: boolean
  readonly reason: DebugReason | null
  /** The end of a recording that it came to. */
  readonly end: 'begin' | 'end' | null
}

/** What a session hears of what it debugs. */
export interface TargetEvents {
  /** It went on, and has stopped. */
  halted(where: Halted): void
  /** It was restarted, and stands where it begins. */
  restarted(): void
  /** Something that the user should read. */
  said(text: string): void
  /** It is over. */
  gone(): void
}

/** What is debugged: a machine, or a recording of one. It stands still when it is taken over. */
export interface Target {
  readonly machine: Machine
  readonly harts: readonly VcpuDebug[]
  readonly memory: DebugMemory
  /** It goes back as well, and nothing of it can be written to. */
  readonly recorded: boolean
  /** Goes on, until {@link TargetEvents.halted}; false when it cannot. */
  go(modes: readonly Mode[], stops: Stops): boolean
  /** Goes back a step of a hart, or to the last stop before; false when it cannot. */
  goBack(how: 'step' | 'run', hart: number, stops: Stops): boolean
  interrupt(): void
  /** Restarts it, until {@link TargetEvents.restarted}; false when it cannot. */
  restart(): boolean
  /** Ends it: {@link TargetEvents.gone} follows. */
  kill(): void
  /** Nobody debugs it any more. */
  leave(stops: Stops): void
}

/** @throws a typed error `'no-debugging'` when the CPU's harts cannot be debugged */
export function debugsOf(machine: Machine): readonly VcpuDebug[] {
  return machine.vcpus.map(({ debug }) => {
    if (debug !== undefined) return debug
    throw machinistError({ code: 'no-debugging', part: 'cpu', remedy: 'Use a CPU whose harts have `debug`.' }, 'its harts cannot be debugged')
  })
}
