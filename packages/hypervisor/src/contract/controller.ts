import type { Machine, MachineHost } from '@machinist/machine'
import type { MachineReport, MachineSpec } from './machines.ts'
import type { ResourceKind, Terms, Usage } from './resources.ts'

/** What one machine was allotted of a resource, by the whole table. */
export interface Grant extends Required<Terms> {
  readonly entitled: number
  /** What it was known to want when that was worked out: what it said when it was asked last, unless given. */
  readonly demand?: number
  /**
   * The most that it may take until the next grant when it begins to want more: its due, and what was found to be wanted by nobody, within the limits of its pools. `Infinity` where the host gives
   * no capacity. Unless given, a controller goes by what it knows of the host.
   */
  readonly ceiling?: number
  /** The path of the pool that it is in; that of its specification unless given. */
  readonly pool?: string
}

/** What a processor has of a resource by itself, whatever it is granted, in the unit of the resource. `Infinity` where there is no end. */
export interface Room {
  /** For all of its machines. */
  readonly all: number
  /** For the machines of one trust group. */
  readonly group: number
}

/**
 * How a processor (a thread in which machines live) shares out one resource among its machines. It measures what each wants and takes; the hypervisor makes the table of that, and tells it what each may have.
 * It is called in the thread of the machines, between slices.
 */
export interface ResourceController {
  readonly kind: ResourceKind
  /** A machine is about to be made: the host that it is given, for controllers that stand between a machine and what it is connected to, or choose where its memory is. */
  host?(spec: MachineSpec, host: MachineHost): MachineHost
  /** A machine is there. */
  add(name: string, machine: Machine, spec: MachineSpec): void
  /** Whether it stands still because this controller paused it: it goes on when that is over, wherever it is then. */
  holds?(name: string): boolean
  /** It will be disposed of, or moved. */
  remove(name: string): void
  /** What it wants and takes, since the last time it was asked. */
  usage(name: string): Usage
  /** What it may have from now on. */
  grant(name: string, grant: Grant): void
  /** What is known of it for the report of a machine. */
  report?(name: string): Partial<MachineReport>
  /** What there is of the resource where it is, so that machines can be where there is enough. No end unless it says so. */
  room?(): Room
  /** Bounded work of its own (a few hundred µs), of its own time: returns when to be called again, in nanoseconds of the host's clock; `Infinity` for when something changed. */
  work?(now: number): number
  /** Is given whom to tell of events of machines: what, as `HypervisorEvent` has it, the machine, and text for people. */
  listen?(tell: (kind: string, name: string, text: string) => void): void
  dispose?(): void
}
