import type { RegionSpec, Width } from './device.ts'
import type { DmaSpace } from './dma.ts'
import type { MsiPort } from './interrupt.ts'

/** Where a PCI function is on its bus: device 0 … 31, function 0 … 7. */
export interface PciSlot {
  readonly device: number
  readonly function: number
}

/** Where a function has one of its regions: behind a base address register, which the guest sets (PCI 3.0, 6.2.5). */
export interface PciBar {
  /** 0 … 5; a 64-bit one takes the next as well. */
  readonly index: number
  readonly type: 'memory32' | 'memory64' | 'io'
  /** Number of the region in `regions(config)`. Its size is a power of two: at least 16 bytes, or 4 for I/O. */
  readonly region: number
}

/** An entry of the capabilities list (PCI 3.0, 6.7). */
export interface PciCapability {
  /** Capability ID: 9 is the vendor-specific one. */
  readonly id: number
  /**
   * What follows ID and next pointer, for capabilities that only tell something; or the number of a region of the
   * device, of space `'config'`, that answers accesses to the whole capability. Offset 0 of that region is the ID.
   */
  readonly body: readonly number[] | { readonly region: number }
}

/** What a device says of itself as a PCI function. It has one interrupt output at most, which becomes its interrupt pin. */
export interface PciFunctionSpec {
  readonly vendorId: number
  readonly deviceId: number
  readonly revision: number
  /** Base class, sub-class and programming interface: 0x010000 for a SCSI storage controller. */
  readonly classCode: number
  readonly subsystemVendorId: number
  readonly subsystemId: number
  readonly bars: readonly PciBar[]
  readonly capabilities: readonly PciCapability[]
  /** MSI-X: how many vectors, 1 … 2048, and the free 32-bit BAR that its table and pending bits go behind. */
  readonly msix?: { readonly vectors: number; readonly bar: number }
  /** Registers of its own in configuration space: the region of the device, of space `'config'`, that answers from offset `at` on, a multiple of 4 from 0x40, behind all capabilities. */
  readonly registers?: { readonly region: number; readonly at: number }
  /** It is a host bridge, and takes slot 0.0 in the place of its host's own. */
  readonly hostBridge?: true
  /** Bits of the command register that are always 1; none when absent. */
  readonly command?: number
  /** False: its interrupt outputs are wires of its own, as those of a bridge to ISA, and it has no interrupt pin. */
  readonly pin?: false
}

/** A function as its bus sees it. */
export interface PciFunctionPort {
  /** The name of the device in the machine. */
  readonly name: string
  /** Whether it has an interrupt output. */
  readonly interrupts: boolean
  read(region: number, offset: number, width: Width): number
  write(region: number, offset: number, width: Width, value: number): void
  /** Guest memory, whether or not the guest lets the function be a bus master. */
  readonly dma: DmaSpace
  /** Sends a message-signalled interrupt: `data`, of 32 bits, to `address`, to which an interrupt controller listens. */
  message(address: number, data: number): void
}

/** What a function's device gets of its bus: both work while the guest lets it be a bus master. */
export interface PciFunctionContext {
  readonly dma: DmaSpace
  /** Null when it has no MSI-X. */
  readonly msi: MsiPort | null
}

/** The facet of a device that PCI functions are plugged into. */
export interface PciHost {
  /**
   * Plugs a function in, while the machine is being built. Its interrupt output drives input {@link pciInput} of the
   * host's device.
   *
   * @throws a typed error, `'pci-function'`, for a function that cannot be
   */
  plug(slot: PciSlot, spec: PciFunctionSpec, regions: readonly RegionSpec[], port: PciFunctionPort): PciFunctionContext
}

/** Devices on a bus. */
export const PCI_DEVICES = 32
/** Functions of a device. */
export const PCI_FUNCTIONS = 8

/** The input of a PCI host that a function's interrupt output drives. */
export function pciInput(slot: PciSlot): number {
  return slot.device * PCI_FUNCTIONS + slot.function
}
