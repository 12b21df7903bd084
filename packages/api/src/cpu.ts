import type { AcpiTables } from './acpi.ts'
import type { BackendWants, PortsOf } from './backend.ts'
import type { Clock, TimeCounter } from './clock.ts'
import type { VcpuDebug } from './debug.ts'
import type { Width } from './device.ts'
import type { FdtNode } from './fdt.ts'
import type { IrqLine } from './interrupt.ts'
import type { LocalController } from './local-controller.ts'
import type { Trace } from './trace.ts'

/** Why a hart that ran does so no more. */
export type Exit =
  /** The budget is used up, of instructions or of time; more to do. */
  | 'budget'
  /** Waiting for an interrupt, or stopped: do not run again before something changes (see {@link Vcpu.runnable}). */
  | 'halt'
  /** Gave way of its own accord (a spin-wait hint while others may run, or a change to the machine that others must see now), or was kicked. */
  | 'yield'
  /** A breakpoint or a finished single step. */
  | 'debug'
  /** Of a {@link TimedVcpu}: a device of the host has something to do, and gets its turn. It can go on at once. */
  | 'interrupt'

/** Where a hart is, for a profiler. */
export interface VcpuSample {
  /** The privilege it runs with, in the words of its instruction set: `'user'`, `'supervisor'`, `'machine'`. */
  readonly mode: string
  /** The address of the next instruction, then those that its callers go on at, innermost first. Unsigned. */
  readonly stack: readonly bigint[]
}

/**
 * One hart or processor, of any kind. How it is run depends on what can be counted: a {@link CountedVcpu} by instructions, as software can, a {@link TimedVcpu} by time, as hardware does.
 *
 * Whoever runs it sees to all that its guest does: a hart completes its accesses to devices itself, by `CpuContext.bus`, and what its guest calls. So there is no exit for those.
 */
export interface Vcpu {
  readonly index: number
  /** False while it waits for an interrupt with none pending, or is stopped. Asked while it does not run. */
  readonly runnable: boolean
  /** Instructions retired since it was made, including those of a `run` in progress; 0 for one that does not count. */
  readonly retired: number
  /** The same in steps, which are what budgets count: instructions retired, and traps taken in the place of one. */
  readonly steps: number
  /**
   * Makes a `run` in progress return after the current instruction, with `'yield'`. Called from within a bus
   * access: the guest switched the machine off, say. Without a run in progress it does nothing.
   */
  kick(): void
  /**
   * Virtual time at which it wants to be looked at again even if idle: its own timer (Sstc). `Infinity` for none, and once that timer has risen. When it has come, and the hart is asked, it is {@link Vcpu.runnable}
   * or has a later one: a time in the past means that the hart is to be asked again at once. The timer of a hart that runs is its own affair.
   */
  deadline(): number
  /**
   * Where it is, while it does not run, with a stack of at most `depth` addresses (1 or more). For profilers: it changes
   * nothing, neither in the guest nor in what the guest could notice, and whatever the guest left in its registers and
   * stacks, it answers soon. A CPU that cannot tell does not have it.
   */
  sample?(depth: number): VcpuSample
  /** For debuggers: made when it is first asked for. A CPU that cannot be debugged does not have it. */
  readonly debug?: VcpuDebug
  /** Plain data, structured-cloneable. */
  save(): unknown
  restore(state: unknown): void
}

/** A hart that counts its instructions: budgets are numbers of them, exact ones too, so time can be counted, runs recorded and profiled. */
export interface CountedVcpu extends Vcpu {
  /**
   * Runs until `budget` instructions (1 … 2^30) are done or another exit comes first. With `exact` it stops after
   * precisely that many, as counted time needs; without, it may run up to a page of code further, which is faster.
   *
   * @param again - it goes on with the last run, which its budget or a debugger cut short: what a run looks at when it begins was looked at
   * then. The budget may be 0: the run may have ended for two reasons, and a debugger's comes first
   */
  run(budget: number, exact: boolean, again?: boolean): Exit
  /**
   * Runs on for at most 256 instructions, and returns `'yield'` when it spins: it goes round in a short loop and nothing changes, so it waits
   * for what somebody else does. Other exits are those of `run`. For harts that others wait for; with `exact`, all that happens is a function
   * of the hart's state alone. A CPU that cannot tell does not have it.
   *
   * @param most - steps, from 1, after which it returns `'more'` when it does not know yet. After that, and after `'debug'`, the next call goes on
   */
  spin?(exact: boolean, most?: number): Exit | 'more'
  /** What it knows of a `run` or `spin` that was cut short, besides its state: plain data. A CPU that need not know anything does not have it. */
  saveRun?(): unknown
  /** Takes back what {@link CountedVcpu.saveRun} gave, which is checked; the next `run` or `spin` goes on. @throws a typed error when it is something else */
  restoreRun?(saved: unknown): void
}

/** A hart that hardware runs, which ends by the clock. It can be kicked from anywhere, at any time. */
export interface TimedVcpu extends Vcpu {
  /**
   * Runs here, and returns when virtual time is `until`, or for another reason before: with `'yield'` too when a hart that was away has come back. Accesses to devices are completed and it goes on, unless it was kicked: by an access, or by something else that happened meanwhile.
   */
  run(until: number): Exit
  /** Set by who runs it, for a hart that asks before `run` returns with `'yield'`: does what it would have left for, and says whether it may go on until then all the same. That costs less than to leave and come back. */
  goesOn?: (until: number) => boolean
  /** Nanoseconds for which a processor has worked for it in all, here or elsewhere: in its guest, and in what lies below it. Asked while it is not away; without it, the clock tells. */
  readonly ran?: number
  /** It comes back from elsewhere sooner than is worth the way: it had better run here, unless the processor elsewhere has nothing else to do. */
  readonly restless?: boolean
}

/**
 * Runs harts elsewhere: on other processors than that of the machine's own thread, several at once. Devices, and all else of the machine, are touched by its own thread alone: a hart that wants an access waits for it
 * to be finished. What is changed of a hart that is away (an input, a page that it must not reach any more) reaches it soon, as it would from another processor: that is the CPU's affair.
 */
export interface ParallelHarts {
  /**
   * Has a hart run elsewhere until virtual time is `until` or something else ends it; it is away then. False when no processor is free, or the hart had better run here.
   *
   * @param processor - the one that it runs on, which is free: somebody shares them out among machines (`Machine.lend`). Any one unless given
   */
  start(hart: number, until: number, processor?: number): boolean
  /**
   * The number of a hart that was away and has come back, which is told once; −1 when there is none.
   *
   * @param wait - return only when there is one. The harts that are away were kicked, so that it does not take long
   */
  exited(wait: boolean): number
  /** Does what a hart came back for, an access to a device say, and says why it came; `'budget'` when it can go on. What was begun is complete then, so its state can be saved. */
  finish(hart: number): Exit
}

/** The port space of processors that have one: 65536 ports, apart from memory. */
export interface PortBus {
  /** Unsigned; all ones of what nobody answers. */
  read(port: number, width: Width): number
  write(port: number, width: Width, value: number): void
}

/** What a CPU part can reach. Memory and bus are the machine's; both are typed by the packages that own them. */
export interface CpuContext<Memory = unknown, Bus = unknown, Wants extends BackendWants = BackendWants> {
  readonly name: string
  readonly memory: Memory
  /**
   * Device registers, to be read and written 1, 2 or 4 bytes at a time. An access of 8 bytes is two of 4, the lower address first, at one instant. Where nobody answers (a read gives −1, a write false), the hart takes an access fault.
   */
  readonly bus: Bus
  /** For a CPU whose spec has {@link CpuSpec.portSpace}; absent otherwise. */
  readonly ports?: PortBus
  /** Its `now` is cheap and, during a `run`, true to the instruction: what the guest sees as time. */
  readonly clock: Clock
  readonly counter: TimeCounter
  readonly backends: PortsOf<Wants>
  readonly trace: Trace
  /**
   * A hart takes the interrupt that is asserted at one of the CPU's inputs: the vector that its controller gives (`Device.acknowledge`), 255 when none does. Called from
   * within a run. Absent where nobody calls it.
   */
  acknowledge?(line: string): number
  /** The controllers that its harts have each one of, once the machine is made; null when it has none. Absent as `ports` is. */
  local?(): LocalController | null
  /** Has the machine looked at soon, which may be waiting: a hart that was away has come back. Between slices, from the host's event loop. */
  wake(): void
}

/** What a machine is told to start: all harts at `pc` with the given integer arguments (a0, a1, … on RISC-V). */
export interface BootEntry {
  readonly pc: number
  /** `'hartid'` stands for the number of the hart. */
  readonly args: readonly (number | 'hartid')[]
  /** What its kind of CPU begins with besides (x86: {@link X86Start}): plain data, which its `reset` knows and checks. */
  readonly start?: unknown
}

/** What all processors of a machine have, however they are run. */
export interface Processors {
  /**
   * Named interrupt inputs: `hart0.meip`, `hart0.seip`, `hart0.mtip`, `hart0.msip`, `hart0.ssip`; and `hart0.simsic`, which takes
   * messages: identities of external interrupts for supervisor mode (RISC-V AIA 1.0, chapter 3).
   */
  input(line: string): IrqLine | null
  /** Power-on state, about to begin at `entry`. */
  reset(kind: 'cold' | 'warm', entry: BootEntry): void
  /** Drops cached translations and decoded code for guest-physical bytes that somebody else wrote or moved. */
  memoryChanged(address: number, length: number): void
  /**
   * Guest-physical addresses of pages that its harts have used lately: a guess, from what they have at hand, at what they will use next. The likeliest first, none twice.
   */
  recentPages?(): readonly number[]
  /**
   * Makes the code anew that executes its harts and those of machines that share it, when it is generated: to the engine of the host's WebAssembly it is new, whatever that has
   * decided about the old. Not while a hart runs.
   */
  renewCode?(): void
  /** Counts of what its engine has done, by name, for people; which there are is the engine's affair. */
  readonly stats?: Readonly<Record<string, number>>
  dispose?(): void
}

/** Processors that count instructions: software. */
export interface CountedCpu extends Processors {
  readonly vcpus: readonly CountedVcpu[]
  readonly budget?: 'instructions'
}

/**
 * Processors that go by the clock: hardware. Counted time, recordings, profiles and exact stops are refused for them.
 */
export interface TimedCpu extends Processors {
  readonly vcpus: readonly TimedVcpu[]
  readonly budget: 'time'
  /**
   * Told when virtual time begins to run, and when it stands still: no hart runs then. What the counter is at virtual time zero is told by `TimeCounter.onWrite`.
   *
   * @param origin - the host's monotonic time that is virtual time zero, in nanoseconds; null while time stands still
   */
  timeRuns(origin: number | null): void
  /** Absent where harts run on the machine's own thread alone. */
  readonly parallel?: ParallelHarts
}

/** All processors of a machine, made together. */
export type Cpu = CountedCpu | TimedCpu

/** The kind of CPU a machine has. */
export interface CpuSpec<Config = unknown, Memory = unknown, Bus = unknown, Wants extends BackendWants = BackendWants> {
  readonly kind: string
  /** Version of the state that harts save. */
  readonly stateVersion: number
  readonly backends: Wants
  configure(input: unknown, name: string): Config
  /** It has a port space: devices with regions of ports are refused without. */
  readonly portSpace?: boolean
  /** How many harts a configuration has. */
  harts(config: Config): number
  /**
   * What a device tree calls one of the inputs by (see `Cpu.input`): the label of the hart's interrupt controller, and cells after its
   * phandle. Null for an input that it does not have, or cannot name.
   */
  inputReference?(line: string): { readonly ref: string; readonly cells: readonly number[] } | null
  create(config: Config, context: CpuContext<Memory, Bus, Wants>): Cpu
  /** Brings the state of a hart that an older version saved up to date. */
  migrate?(old: unknown, from: number): unknown
  /** Adds `/cpus`, each hart's interrupt controller (labelled `hart0`, …) and whatever its firmware contributes. */
  describe(config: Config, at: { readonly name: string; readonly timeFrequency: number }, out: { readonly fdt?: FdtNode; readonly acpi?: AcpiTables }): void
}
