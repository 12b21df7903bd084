import type { MachineReport, MachineSpec, PoolSpec } from './machines.ts'
import type { Allotment, Capacity, ResourceKind, Resources } from './resources.ts'

/** One line of the allocation table. */
export interface AllocationRow {
  readonly kind: 'host' | 'pool' | 'machine'
  /** The path of a pool, the name of a machine; `''` for the host. */
  readonly name: string
  /** The pool that it is in; `''` for the host's. */
  readonly pool: string
  readonly resources: Readonly<Partial<Record<ResourceKind, Allotment>>>
}

/**
 * What everybody reserves, is entitled to, uses and lacks. Parents come before children. It adds up: what children use is what their pool uses, what children are entitled to is no more than
 * their pool is, and the host is entitled to its capacity, or to all that is wanted.
 */
export interface AllocationTable {
  /** Nanoseconds, of the host's monotonic clock. */
  readonly at: number
  readonly rows: readonly AllocationRow[]
}

/** Something happened to a machine, a pool or the host. */
export interface HypervisorEvent {
  /** Nanoseconds since 1970. */
  readonly at: bigint
  /**
   * What: `'added'`, `'started'`, `'paused'`, `'resumed'`, `'off'` (its guest switched it off, of itself or because its power button was pressed, or its plug was pulled: the text tells), `'failed'` (a part of it threw), `'lost'` (its processor died), `'restarted'`, `'moved'`, `'forked'`, `'changed'`, `'removed'`,
   * `'processor-lost'`, `'memory-short'`, `'datastore-full'`, `'found'` (what a hypervisor that began anew found of the one before), `'warning'`.
   */
  readonly kind: string
  /** The machine, the pool or the processor. */
  readonly name: string
  /** For people. */
  readonly text: string
}

/** A console of a machine: bytes in both directions. */
export interface ConsoleConnection {
  write(bytes: Uint8Array): void
  /** Ends it. The machine goes on. */
  close(): void
}

/** Whoever listens to a console. */
export interface ConsoleListener {
  output(bytes: Uint8Array): void
  /** The machine was removed, or the hypervisor has gone. */
  closed(): void
}

/**
 * Many machines on one host. The same interface is answered in the process of the hypervisor and by a client over a socket. Every method rejects with a typed error: `'machine-unknown'`, `'pool-unknown'`,
 * `'machine-known'`, `'not-admitted'` for what could not be kept, `'parameter'`, and those of machines.
 */
export interface Hypervisor {
  /** Admits a machine, which is off. */
  add(spec: MachineSpec): Promise<void>
  /**
   * Starts a machine that is off.
   *
   * @param snapshot - a file of the host that it goes on from, this once, instead of beginning as its specification says
   * @throws `'copy-ended'` for a copy that had disks: they have gone with it
   */
  start(name: string, snapshot?: string): Promise<void>
  pause(name: string): Promise<void>
  resume(name: string): Promise<void>
  reset(name: string): Promise<void>
  /**
   * Presses the power button of a machine, where it has one (`Machine.pressPowerButton`), so that its guest switches itself off, and pulls the plug when that has not happened within `within` milliseconds, 0 unless given. A guest that
   * does not look yet is asked again. The plug is pulled at once for 0, of a machine that has no button, and of one that is paused. The event `'off'` tells which of the two it was. Another `stop`, with less time, is not kept waiting.
   */
  stop(name: string, within?: number): Promise<void>
  /** Forgets a machine that does not run, or pulls its plug first. */
  remove(name: string): Promise<void>
  /** A running copy, in the same group; see `Machine.fork`. Admitted as any other; not started or restarted by itself. */
  fork(name: string, copy: Pick<MachineSpec, 'name' | 'pool' | 'resources'>): Promise<void>
  /**
   * Takes a machine to another processor while it runs.
   *
   * @throws `'not-movable'` for a copy that has disks, which are in the memory of its processor
   */
  move(name: string, processor: number): Promise<void>
  /**
   * Changes terms, pool or what follows its end, while it runs. Terms that are not given stay as they were. When it is refused, nothing has changed.
   *
   * @throws `'copy-start'` for a copy that should be started or restarted by itself: it would not be what it is now
   */
  set(name: string, changes: Partial<Pick<MachineSpec, 'resources' | 'pool' | 'autostart' | 'restart'>>): Promise<void>
  /**
   * Saves it into a file of the host. It goes on.
   *
   * @throws `'copy-disks'` for a copy that has disks, which end with it
   */
  save(name: string, file: string): Promise<void>
  addPool(spec: PoolSpec): Promise<void>
  /** Changes terms; those that are not given stay as they were. */
  setPool(path: string, resources: Resources): Promise<void>
  /** @throws `'pool-used'` while something is in it */
  removePool(path: string): Promise<void>
  machines(): Promise<readonly MachineReport[]>
  pools(): Promise<readonly PoolSpec[]>
  table(): Promise<AllocationTable>
  /** What the host has, and how many processors. */
  host(): Promise<{ readonly capacity: Capacity; readonly processors: number }>
  /** The last output of a machine's console comes first. */
  console(name: string, listener: ConsoleListener): Promise<ConsoleConnection>
  /** The last events, of one machine or all, oldest first. */
  events(name?: string): Promise<readonly HypervisorEvent[]>
  /** Tells of events from now on; returns what ends that. */
  on(listener: (event: HypervisorEvent) => void): () => void
}
