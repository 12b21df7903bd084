import type { Backend } from '@machinist/api'
import type { GuestMemory } from '@machinist/memory'
import type { MachineHost } from '../assembly/host.ts'
import type { TraceListener } from '../assembly/trace.ts'
import type { ResolvedMachine } from '../resolving/resolve.ts'
import type { ReplayPlace } from '../tape/replayer.ts'
import type { Tape } from '../tape/tape.ts'

/** Where a machine comes from: what makes its parts, also those of its copies. */
export interface Origin {
  readonly resolved: ResolvedMachine
  readonly host: MachineHost
  readonly live: ReadonlyMap<string, Backend<unknown>>
  readonly trace: TraceListener | undefined
  /** Records it, or replays what was recorded. Copies have none. */
  readonly tape?: Tape
  /** Gives the images that its definition names as files; absent when it has them all. */
  readonly image?: (file: string) => Uint8Array
}

/** A machine that knows that it is a copy. */
export interface Another {
  /** Which of the copies: 0 of a snapshot. */
  readonly number: number
  /** Whether what a port is connected to, by part and port, is where the other machine may be, too. */
  meets(id: string): boolean
}

/** What a machine that replays a recording begins with in the middle of it. */
export interface ReplayContent {
  readonly place: ReplayPlace
  readonly passes: number
  readonly delivered: number
  /** What devices had from outside, by name. */
  readonly held: ReadonlyMap<string, unknown>
}

/** What a copy begins with, or a machine that was saved. */
export interface Content {
  readonly memory: GuestMemory
  /** As `saveMachine` gave it; it is checked. */
  readonly state: unknown
  /** As which of its copies it knows itself; null for one that takes its place, down to what must not be the same in two machines. */
  readonly another: Another | null
  /** Where its recording is, and what the run loop and the gate had counted. */
  readonly replay?: ReplayContent
}
