import type { MachineDefinition, MachineState } from '@machinist/machine'
import type { Resources } from './resources.ts'

/** A machine as a hypervisor takes it. Plain data: JSON holds it, and it can cross to a worker or over a socket. */
export interface MachineSpec {
  /** Its name on this host: letters, digits, `.`, `_` and `-`, at most 64, and beginning with a letter or a digit. */
  readonly name: string
  /**
   * What it is. Its backends are descriptors that the host knows; its images may be files. Either a definition, or where the host finds one: a machine file, or a snapshot
   * to go on from.
   */
  readonly machine: MachineDefinition | { readonly file: string } | { readonly snapshot: string }
  /** Its pool, as a path: `'night/batch'`. The host itself unless given. */
  readonly pool?: string
  /**
   * Machines of one trust group on one processor share an arena: copies of one another share their memory, and equal pages are merged. What is in one of them may then be told, by timing,
   * from another. Alone unless given.
   */
  readonly group?: string
  readonly resources?: Resources
  /** Whether it is started when the hypervisor starts. False unless given. */
  readonly autostart?: boolean
  /** What follows when its guest switches it off, or it fails. `'never'` unless given. */
  readonly restart?: 'never' | 'on-failure' | 'always'
  /**
   * A folder of the host in which it is kept with its snapshots, each of which has its memory and its disks as one: `SnapshotTree` of `@machinist/host-node`. It is made when the machine is started first, and its disks' images are not
   * written any more then. Relative to where definitions are. None unless given.
   */
  readonly snapshots?: string
  /** The machine that it is a copy of, which `fork` notes. A copy's disks end with it: it is neither saved nor started again, unless it has none. */
  readonly copyOf?: string
}

/** A pool, by its path. Pools stand in pools; the path's parent must be there. */
export interface PoolSpec {
  readonly path: string
  readonly resources?: Resources
}

/** How a machine got its memory, or lost it, by means. Pages of 4096 bytes. */
export interface MemoryMeans {
  /** Pages that the guest has touched, wherever their content is. */
  readonly touched: number
  /** Frames that it has for itself. */
  readonly own: number
  /** Pages whose frame others have, too: copies, and pages that were merged. */
  readonly shared: number
  /** Pages that were found to be zeros, or equal to others, and gave their frames back for it. */
  readonly merged: number
  /** Pages that its balloon holds, or that its guest reported free. */
  readonly ballooned: number
  /** Pages kept compressed in memory. */
  readonly compressed: number
  /** Pages in the swap file. */
  readonly swapped: number
}

/** Where a machine is, and what it has done. Times are nanoseconds since it was added. */
export interface MachineReport {
  readonly name: string
  readonly pool: string
  readonly group: string
  /** The folder with its snapshots, as its specification says; absent when it has none. */
  readonly snapshots?: string
  readonly state: MachineState
  /** The processor on which it lives; −1 for one that is not started. */
  readonly processor: number
  /** Status and error of its last end. */
  readonly status: number | null
  readonly error: string | null
  /** CPU time that it ran; time for which it was ready and others ran; time for which it was held back to keep its harts together, or by its limit. */
  readonly cpu: { readonly used: number; readonly ready: number; readonly held: number }
  readonly memory: MemoryMeans
  readonly disk: { readonly readBytes: number; readonly writtenBytes: number; readonly requests: number }
  readonly network: { readonly sentBytes: number; readonly receivedBytes: number; readonly frames: number }
  /** Instructions that its harts retired. */
  readonly retired: number
}
