import type { BackendKind } from '@machinist/api'
import type { X86Protocol } from '@machinist/boot'

/** Name of the CPU part in routes and error messages. No device may have it. */
export const CPU_PART = 'cpu'

/** A range of guest-physical RAM. */
export interface MemoryRange {
  readonly name: string
  /** Guest-physical address, a multiple of 4096. */
  readonly base: number
  /** Bytes, a positive multiple of 4096. */
  readonly size: number
  /** For firmware alone, which is not told of it as RAM; false unless given. */
  readonly firmware?: boolean
}

/**
 * Where a backend comes from, as plain data: a name that the host knows (`'terminal'`), or an object whose `type`
 * the host knows (`{ type: 'disk', path: 'disk.img' }`). The machine itself answers to `'null'` (a stream that
 * swallows output and has no input, or a disk without bytes) and `{ type: 'share', with: 'uart0.console' }` (output to the stream of another
 * part, which keeps the input, unless with `input: true` either takes what it reads first).
 */
export type BackendDescriptor = string | { readonly type: string; readonly [option: string]: unknown }

/** A file's bytes, or where a host finds them; hosts replace `{ file }` before the machine is made. */
export type ImageSource = Uint8Array | { readonly file: string }

/** One wire from an interrupt output. */
export interface IrqConnection {
  /** A controller's name, or `'cpu'`. The default controller when absent. */
  readonly to?: string
  /** Input of the controller, or the name of an input of the CPU such as `'hart0.meip'`. */
  readonly line: number | string
  /** Level-triggered and shared: the line is asserted while any of its users asserts it. All users must say so. */
  readonly shared?: boolean
}

/** A number is an input of the default controller; null leaves the output unconnected. A list is of all the inputs that one output goes to. */
export type IrqChoice = number | IrqConnection | readonly IrqConnection[] | null

/**
 * Where a PCI device goes: the number of a device on the first PCI host, or host, device and function, of which what
 * is missing is chosen: function 0 of the lowest free device from 1 on.
 */
export type SlotChoice = number | { readonly on?: string; readonly device?: number; readonly function?: number }

/** One device of a machine, as plain data. */
export interface DeviceDefinition {
  /** The spec that makes it, found in the catalogue. */
  readonly kind: string
  /** Passed to the spec's `configure`. */
  readonly config?: unknown
  /** Base addresses of its regions, in order; what is missing is placed in {@link MachineDefinition.window}. */
  readonly at?: number | readonly number[]
  /** For PCI devices, instead of `at`. */
  readonly slot?: SlotChoice
  /** One choice for a device with one output, or one by output name; what is missing is routed by default. */
  readonly irq?: IrqChoice | Readonly<Record<string, IrqChoice>>
  /** By the names that the spec gives its backends. */
  readonly backends?: Readonly<Record<string, BackendDescriptor>>
}

/** The CPU part, as plain data. */
export interface CpuDefinition {
  readonly kind: string
  readonly config?: unknown
  readonly backends?: Readonly<Record<string, BackendDescriptor>>
}

/** `'real'` follows the host's monotonic clock; otherwise time counts retired instructions. */
export type TimeMode = 'real' | { readonly instructionsPerSecond: number }

/** Bytes to put into RAM before the harts start. */
export interface RawImage {
  readonly name: string
  readonly at: number
  readonly bytes: ImageSource
}

/** What the machine starts. */
export type BootDefinition =
  | {
      /** A Linux kernel, or firmware, by the conventions of RISC-V. */
      readonly protocol: 'riscv'
      readonly kernel?: ImageSource
      readonly initrd?: ImageSource
      /** An M-mode firmware image, which starts first and gets the kernel's address. */
      readonly firmware?: ImageSource
      /** The kernel's command line. */
      readonly append?: string
      /** Name of the device that `/chosen/stdout-path` points to. */
      readonly console?: string
    }
  | {
      /** A kernel for x86: `planX86Boot` of `@machinist/boot`. Without one the first processor begins as after a reset, below 4 GiB. */
      readonly protocol: 'x86'
      /** In the place of a kernel: firmware, which ends at 4 GiB, and whose last 128 KiB are below 1 MiB, too. */
      readonly firmware?: ImageSource
      /** Further files for firmware, by name: see `Device.firmware`. */
      readonly files?: readonly { readonly name: string; readonly bytes: ImageSource }[]
      /** A bzImage of Linux, or an ELF file for PVH, multiboot or Linux's protocol. */
      readonly kernel?: ImageSource
      /** The initial file system, or the only module. */
      readonly initrd?: ImageSource
      /** The kernel's command line. */
      readonly append?: string
      /** How to start it, where the kernel leaves a choice. */
      readonly start?: X86Protocol
    }
  | {
      /** Bytes at addresses, and where to begin. Argument 0 is the hart's number, argument 1 the device tree. */
      readonly protocol: 'raw'
      readonly images: readonly RawImage[]
      readonly entry: number
      /** Where to put the device tree; none is made when absent. */
      readonly fdt?: number
      readonly console?: string
    }

/**
 * A machine as plain data: the structured clone algorithm copies it, and JSON holds it (files by name), so it can
 * cross to a worker or come from a file. The order of devices matters: placement goes by it.
 */
export interface MachineDefinition {
  readonly version: 1
  readonly name: string
  readonly memory: readonly MemoryRange[]
  readonly cpu: CpuDefinition
  readonly devices: Readonly<Record<string, DeviceDefinition>>
  readonly time: TimeMode
  /** Ticks per second of the machine's counter (RISC-V `mtime`). 10 MHz unless given. */
  readonly timeFrequency?: number
  /** The controller of outputs that no route is given for; otherwise the first device that has inputs. */
  readonly interruptController?: string
  /** Where devices without an address go. 0x1000_0000, 256 MiB, unless given. */
  readonly window?: { readonly base: number; readonly size: number }
  /** Where random bytes come from: the host, or a generator that gives the same bytes each time (never for secrets). */
  readonly randomness?: 'host' | { readonly seed: number }
  /** Where the wall clock comes from: the host, or virtual time that began at `start` seconds after 1970. */
  readonly wallClock?: 'host' | { readonly start: number }
  readonly boot?: BootDefinition
}

/** Ticks per second of the counter, unless a definition says otherwise. */
export const DEFAULT_TIME_FREQUENCY = 10_000_000

/** Where devices without an address go, unless a definition says otherwise. */
export const DEFAULT_WINDOW: { readonly base: number; readonly size: number } = { base: 0x1000_0000, size: 0x1000_0000 }

/** The backend kinds that {@link MachineDefinition} can name. */
export const BACKEND_KINDS: readonly BackendKind[] = ['block', 'audio', 'char', 'net', 'display', 'files', 'input', 'vsock', 'balloon', 'hotplug', 'entropy', 'wallClock', 'power']
