import type { AcpiTables } from './acpi.ts'
import type { BackendWants, PortsOf } from './backend.ts'
import type { Clock, TimeCounter } from './clock.ts'
import type { DmaSpace } from './dma.ts'
import type { FdtNode } from './fdt.ts'
import type { FirmwareInfo } from './firmware.ts'
import type { IrqLine, IrqRoute, MsiPort } from './interrupt.ts'
import type { LocalController } from './local-controller.ts'
import type { PciFunctionSpec, PciHost } from './pci.ts'
import type { Shortcut, ShortcutSpec } from './shortcut.ts'
import type { Trace } from './trace.ts'

/** Bytes of one register access. A 64-bit guest access arrives as two of 4 bytes, low address first, at one instant. */
export type Width = 1 | 2 | 4

/**
 * A device model. Everything is synchronous; nothing here may throw because of what the guest did.
 *
 * @typeParam S - saved state: plain data that the structured clone algorithm can copy
 */
export interface Device<S = unknown> {
  /** Guest read of `width` bytes at `offset` of region number `region`. Returns an unsigned number below 2^(8·width). */
  read(region: number, offset: number, width: Width): number
  /** Guest write; `value` is unsigned and below 2^(8·width). */
  write(region: number, offset: number, width: Width, value: number): void
  /** A timer of this device expired (`payload` is undefined), in order with everything else from outside. */
  event?(port: string, payload: unknown): void
  /** An input line changed; only for interrupt controllers. `line` is below `spec.inputs(config)`. */
  input?(line: number, level: boolean): void
  /** A message came to an input ({@link IrqLine.send}); only for controllers with inputs that take some. */
  receive?(line: number, data: number): void
  /** A message-signalled interrupt was sent to one of its registers; only for controllers that take such messages. */
  message?(region: number, offset: number, data: number): void
  /**
   * A processor takes the interrupt that one of its outputs asks for, and gets the vector, 0 … 255; only for controllers whose processors ask them for vectors (x86). −1 − n: the
   * controller that asserts its input n has the vector.
   *
   * @param output - place of the output in `irqs(config)`
   */
  acknowledge?(output: number): number
  /** Only for controllers of which each hart has one. */
  readonly local?: LocalController
  /** Only for PCI host bridges; see {@link DeviceSpec.slots}. */
  readonly pci?: PciHost
  /** What firmware may ask, at each start of a machine that begins with firmware, after {@link Device.reset}; only for devices that firmware asks. */
  firmware?(info: FirmwareInfo): void
  /** `cold`: power on. `warm`: the machine was reset while running. Drops what is in flight. */
  reset(kind: 'cold' | 'warm'): void
  save(): S
  /** Takes back what `save` gave; throws a typed error when `state` is not valid, leaving the device as it was. */
  restore(state: S): void
  /**
   * What it got from outside and still has, such as files that are open: not in what `save` gives, since it makes no sense elsewhere. It stays as it is. Only for a device of the
   * same state, which gets it from {@link Device.takeUp}; asked while nothing is under way. Absent, or undefined, for one that has no such things.
   */
  outside?(): unknown
  /**
   * Called after `restore` gave it the state that belongs to what another device {@link Device.outside}: it goes on with the same, as if it were that device.
   *
   * @param standsFor - gives what stands for an object of the outside that the other one had
   */
  takeUp?(held: unknown, standsFor: <T extends object>(object: T) => T): void
  /** The machine is a copy of another that goes on: called once its state was restored, before it runs. What must not be the same in two machines changes. */
  forked?(copy: DeviceCopy): void
  /** Hot-unplug, or the end of the machine. */
  dispose?(): void
}

/** What a device learns of the copy that it is part of; see {@link Device.forked}. */
export interface DeviceCopy {
  /** Which of the machine's copies it is, from 1; 0 for a machine that goes on from a snapshot. */
  readonly number: number
  /** Whether this device and that of the machine may meet at the other end of a port: that end was given to the copy, and is not one that was made for it alone. */
  meets(port: string): boolean
}

/** A range of a device's registers. */
export interface RegionSpec {
  readonly name: string
  /** Bytes, a positive multiple of 4; of ports (`'pio'`) any positive number. */
  readonly size: number
  /** `'pio'`: in the port space of processors that have one. `'config'` is for PCI functions: a capability in their configuration space. */
  readonly space: 'mmio' | 'pio' | 'config'
  /** Its address or port by custom, where the definition does not say; of a PCI function, one that no BAR moves. */
  readonly at?: number
  /** Of ports: only accesses of this width are for it, and others go to whoever has the same ports besides. */
  readonly width?: Width
}

/** Memory that a device brings along: the guest uses it like RAM, but no firmware table names it. */
export interface MemorySpec {
  readonly name: string
  /** Bytes, a positive multiple of 4096. */
  readonly size: number
  /** What its address is a multiple of, a power of two from 4096; 4096 unless given. */
  readonly align?: number
}

/**
 * Where a {@link MemorySpec} ended up. It keeps its content over a reset. A range that is not all inside is refused: what
 * was asked for returns false then.
 */
export interface DeviceMemory {
  /** Guest-physical address. */
  readonly base: number
  readonly size: number
  read(offset: number, into: Uint8Array): boolean
  write(offset: number, from: Uint8Array): boolean
  /** Gives the frames of all whole pages of a range back: they read as zeros until they are touched again. */
  release(offset: number, length: number): boolean
  /** Offsets of the pages (4096 bytes) that anybody has written since this was called last, in order. */
  takeDirty(): readonly number[]
}

/** A device's only capabilities. */
export interface DeviceContext<Irq extends string = string, Wants extends BackendWants = BackendWants> {
  /** The name of this instance in the machine. */
  readonly name: string
  readonly irq: Readonly<Record<Irq, IrqLine>>
  readonly msi: MsiPort | null
  readonly dma: DmaSpace
  /** The memory that its spec asked for, in that order. */
  readonly ownMemory: readonly DeviceMemory[]
  readonly clock: Clock
  /** The machine's time counter (RISC-V `mtime`). */
  readonly counter: TimeCounter
  readonly backends: PortsOf<Wants>
  readonly trace: Trace
  /** For what its spec declares, in that order. Absent where nobody makes use of it. */
  readonly shortcuts?: readonly Shortcut[] | undefined
}

/**
 * What a device is: how it is made, and what it tells firmware and operating system about itself.
 * `regions`, `irqs` and `inputs` are functions of the configuration because some devices (a PLIC) grow with it.
 */
export interface DeviceSpec<Config = unknown, S = unknown, Irq extends string = string, Wants extends BackendWants = BackendWants> {
  /** Stable name in machine definitions, kebab case: `'uart-16550a'`. */
  readonly kind: string
  /** Version of the saved state `S`. */
  readonly stateVersion: number
  /** Which backends it needs; `{}` for none. */
  readonly backends: Wants
  /** Checks a configuration from a file: throws a typed error that names the field, the value and the remedy. */
  configure(input: unknown, name: string): Config
  regions(config: Config): readonly RegionSpec[]
  irqs(config: Config): readonly Irq[]
  /** Registers for which a host need not ask the device each time: see {@link ShortcutKind}. Those of PCI functions are not made use of. */
  shortcuts?(config: Config): readonly ShortcutSpec[]
  /** Memory of its own. The machine puts it behind all RAM. */
  memory?(config: Config): readonly MemorySpec[]
  /** Number of input lines, numbered from 0; only for interrupt controllers. */
  inputs?(config: Config): number
  /** What a device tree calls an input by, after the controller's phandle (`#interrupt-cells`); its number alone when absent. */
  inputCells?(line: number): readonly number[]
  /** What ACPI calls an input: its number among all interrupts of the system; only for I/O APICs. */
  systemInterrupt?(line: number, config: Config): number | undefined
  /** Makes a PCI function of the device: its regions are behind BARs, and it has a slot instead of an address. */
  pci?(config: Config): PciFunctionSpec
  /** How many PCI devices it has room for; only for PCI host bridges. */
  slots?(config: Config): number
  /** Requests to disks that are under way when it is saved are in its state, and a device that is restored does them again, from the beginning. */
  readonly redoesRequests?: boolean
  /** Its outputs are those of a controller that every hart has some of: a machine with a hart that is left out is refused. */
  readonly perHart?: boolean
  /** Where outputs go that the definition does not route: for controllers, whose outputs are harts' inputs. */
  defaultRoute?(irq: Irq, config: Config): IrqRoute | null
  create(config: Config, context: DeviceContext<Irq, Wants>): Device<S>
  /** Brings a state saved by an older version up to date. */
  migrate?(old: unknown, from: number): S
  /** Adds this device's nodes to firmware tables. */
  describe?(config: Config, at: Resolved, out: { readonly fdt?: FdtNode; readonly acpi?: AcpiTables }): void
}

/** Where an interrupt output goes; see {@link Resolved}. */
export interface ResolvedIrq {
  readonly irq: string
  readonly to: string
  readonly line: number | string
  readonly ref: string
  readonly cells: readonly number[]
  /** What ACPI calls it, where that can. */
  readonly systemInterrupt?: number | undefined
}

/** Where the machine put a device. */
export interface Resolved {
  readonly name: string
  /** One entry for each region, in order: guest-physical (or port) base address and size. */
  readonly regions: readonly { readonly base: number; readonly size: number }[]
  /**
   * For each interrupt output that is connected: the part that it goes to and the input there, and what a device tree calls that input by:
   * a label, which becomes a phandle, and cells. No cells: a device tree has no words for it.
   */
  readonly irqs: readonly ResolvedIrq[]
  /** Number of harts of the CPU and the machine's time frequency, for tables that list them. Which harts a controller serves, `irqs` tells. */
  readonly harts: number
  readonly timeFrequency: number
}
