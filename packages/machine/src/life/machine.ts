import type { ForkOptions } from './fork.ts'
import type { HandedMachine, HandOverOptions } from './hand-over.ts'
import type { MachineEvents, MachineState, MachineStats } from './events.ts'
import type { GateRecord } from '../running/gate.ts'
import type { ResolvedMachine } from '../resolving/resolve.ts'
import type { SliceResult, StopAt } from '../running/run-loop.ts'
import type { ReturnedProcessor } from '../running/timed-harts.ts'
import type { Checkpoint } from '../seek/checkpoints.ts'
import type { SampleOptions } from '../running/sampler.ts'
import type { MachineSnapshot } from './snapshot.ts'
import type { DevicesState } from './state.ts'
import type { ReplayStatus } from '../tape/replayer.ts'
import type { Vcpu } from '@machinist/api'
import type { GuestMemory } from '@machinist/memory'

/** How a machine is driven. */
export interface StartOptions {
  /** Who calls {@link Machine.runSlice}: the machine, from the host's event loop, or the caller himself. `'host'` unless given. */
  readonly drive?: 'host' | 'caller'
  /**
   * For callers that drive it: called when a machine whose last slice ended `'idle'` has something to do before the time that it gave, as something came in. Once for each such
   * slice, and never within one. It must not run a slice itself.
   */
  readonly onWake?: () => void
  /**
   * For callers that drive it and share out processors: its harts run elsewhere on those alone that {@link Machine.lend} gives, not on whichever is free. `onWake` is then called once after any slice, also when a hart has come back.
   */
  readonly lent?: boolean
}

/**
 * A machine. Its life: `created` → start → `running` ⇄ `paused`; power off, by the guest or the host, leads to `off`,
 * from which it can be started again; dispose ends it. All methods may be called at any time, also from its events. Those that would
 * have no effect on a machine that was disposed of throw a typed error `'disposed'`, unless that is what they were called for.
 */
export interface Machine {
  readonly name: string
  readonly state: MachineState
  readonly resolved: ResolvedMachine
  readonly memory: GuestMemory
  readonly vcpus: readonly Vcpu[]
  readonly stats: MachineStats
  /** The status that the guest gave at its last power-off; null before. */
  readonly status: number | null
  /** Adds a listener; returns the function that removes it. */
  on<Name extends keyof MachineEvents>(name: Name, listener: (event: MachineEvents[Name]) => void): () => void
  /**
   * Powers it on: loads the boot images and begins, or continues when paused. Does nothing when it runs.
   *
   * @throws a typed error `'disposed'`; `'running'` when it runs but is driven in the other way
   */
  start(options?: StartOptions): void
  /** Stops between slices; virtual time stands still. Does nothing unless it runs. */
  pause(): void
  /** Does nothing unless it is paused. @throws a typed error `'disposed'` */
  resume(): void
  /**
   * Restarts it as a reset button does: devices and harts are reset, RAM is cleared, the boot images loaded again. Does nothing when
   * it is off.
   *
   * @throws a typed error `'disposed'`
   */
  reset(): void
  /**
   * Presses its power button: an input device whose backend is `'power-button'`, which gets KEY_POWER of Linux's evdev. What the guest makes of it is its affair; most switch themselves off in good order.
   *
   * @returns false when it has none, or does not run, so that nobody was asked
   */
  pressPowerButton(): boolean
  /** Switches it off at once, as pulling the plug does. */
  powerOff(status?: number): void
  /**
   * Makes the code anew that executes its harts, where its CPU generates some (`Cpu.renewCode`): for a host whose engine of WebAssembly is to begin again with what it decides about it.
   * The machine does not notice. Does nothing when it is disposed of.
   */
  renewCode(): void
  /**
   * Ends it and gives everything back, the memory too, even while somebody holds the machine: `memory` and `vcpus` are of no use
   * afterwards. `stats` stays as it was at the end. Does nothing the second time.
   */
  dispose(): void
  /**
   * Runs for about `limit` nanoseconds (of the host's time), synchronously: delivers what waits, expires timers, and
   * runs harts in turn. For callers that drive it; never throws on account of a part. Infinity runs it until it waits or stops.
   *
   * @param here - false: harts go to processors that were lent, and none runs on this thread. For CPUs that go by the clock; true unless given
   * @throws a typed error `'not-started'` before the first start, `'bad-limit'` for a limit that is not 0 or more
   */
  runSlice(limit: number, here?: boolean): SliceResult
  /** Harts that can run side by side on processors that are lent; 0 for a machine whose CPU knows of none besides this thread's. */
  readonly parallel: number
  /** Harts that could run now, and do not run elsewhere. */
  readonly wanting: number
  /** Whether all of those would be back sooner than is worth lending a processor, where somebody else wants it. */
  readonly restless: boolean
  /**
   * Lends a processor for so many nanoseconds of the host's time. In the next slice a hart goes there; when it comes back, that or another one goes on there in the slice after, until the time is over. One that no hart
   * is on at the end of a slice is given back.
   *
   * @param processor - the number by which the CPU knows it
   */
  lend(processor: number, limit: number): void
  /** Processors that were lent and given back since this was asked last. */
  takeBack(): readonly ReturnedProcessor[]
  /**
   * Ends the slice in progress after the current instruction, where that can be: for a caller that has something else to do first, and learns of it from something that the machine itself set off. What the hart was
   * at goes on in the next slice. Does nothing outside of one.
   */
  preempt(): void
  /**
   * Has it pause between two instructions, once its harts have retired exactly so many, or they, or one of them, have taken so many steps. Once: null, or another place, takes it
   * back. What it does later is not changed by it: with counted time, a machine that stops on its way is bit for bit the same as one that does not.
   *
   * @throws a typed error `'bad-stop'` for what is not a whole number above where it is; `'cannot-count'` for a CPU that goes by the clock; `'disposed'`
   */
  stopAt(at: StopAt | null): void
  /** Resolves when it is off or disposed of; to the status, and the error if a part failed. */
  finished(): Promise<{ readonly status: number; readonly error: Error | null }>
  /** Registers who is told of everything that comes in from outside, in order. One at a time. */
  record(listener: ((record: GateRecord) => void) | null): void
  /**
   * Begins to sample what harts do, for profilers: `sample` events say where a hart is, and for how long harts ran, all
   * waited, or the host was busy between. Null ends it; a machine that is not sampled pays nothing. Sampling changes nothing
   * in the guest: with counted time it is the same run as one without.
   *
   * @throws a typed error `'no-sampling'` when the CPU's harts cannot tell where they are; `'cannot-count'` when it goes by the clock; `'bad-sampling'`; `'disposed'`
   */
  sample(options: SampleOptions | null): void
  /**
   * A copy of it as it is now. Memory is shared until one of both writes, and so is translated code: a copy costs what it changes. Disks and networks
   * are its own, and its guest is told that it is a copy (`vmgenid`); see {@link ForkOptions}. Resolves once requests to disks that are under way have come back.
   *
   * @throws typed errors: `'disposed'`; `'not-running'` unless it runs or is paused; `'replaying'`; `'not-still'` as {@link Machine.save}; `'fork-backend'` for a backend that must be given,
   * `'backend-name'` for one of no part; and as `instantiate` for backends
   */
  fork(options?: ForkOptions): Promise<Machine>
  /**
   * All of it as it is now: for a file, say (`@machinist/snapshot`). It goes on meanwhile. Resolves once requests to disks that are under way have come
   * back. What disks, networks and streams are connected to is not part of it, but for what backends keep (`Backend.save`).
   *
   * @throws typed errors `'disposed'`; `'not-running'` unless it runs or is paused; `'replaying'`; `'not-still'` when requests to disks or folders do not come back within a minute
   */
  save(): Promise<MachineSnapshot>
  /**
   * Has it go on in another thread, or a copy of it: `take` is given all of it as plain data, sends that there, where `instantiateHanded` makes a machine of it, and resolves when the other thread has it. What it resolves to is
   * what this does.
   *
   * The machine stands still meanwhile, and its time too; then it is disposed of. When `take` rejects, it goes on here as if nothing had happened. So nobody must start it there who might still say that it failed. The one that
   * moved is the same machine: with counted time it does exactly what this one would have done. A copy is another one, as with {@link Machine.fork}; the machine stands still only while its page map is copied.
   *
   * Backends that the definition describes as plain data are made anew there, and what they kept (`Backend.save`) goes to them; live ones must be given there. What comes to a backend while the machine moves is lost with it.
   *
   * @throws typed errors as {@link Machine.save}; `'recorded'` for one that is recorded and should move; when its pages cannot be read; and what `take` rejects with
   */
  handOver<T>(take: (handed: HandedMachine) => Promise<T>, options?: HandOverOptions): Promise<T>
  /** Ends the recording; the machine goes on. Does nothing when it is not recorded, or not any more. */
  stopRecording(): void
  /** How the replay stands, when this machine replays a recording. */
  readonly replay: ReplayStatus | null
  /**
   * The moment at which it is, to go back to: for a machine that replays a recording, not within a slice. Null where there can be none, as requests are under way.
   */
  checkpoint(): Checkpoint | null
  /** @throws a typed error `'disposed'` */
  saveDevices(): DevicesState
  /** All or none. @throws a typed error `'state'`, `'disposed'`, or what a device throws */
  restoreDevices(state: unknown): void
}
