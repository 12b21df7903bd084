import type { BackendWants, Clock, DeviceCopy, DeviceMemory, DmaSpace, MemorySpec, PortsOf, Trace } from '@machinist/api'
import type { Chain, Virtqueue } from '../queue/queue.ts'

/**
 * A virtio device without its transport: what its chapter of the specification says, and nothing about registers.
 * Wrap its spec in a transport (`virtioMmio`) to get a `DeviceSpec`. Nothing here may throw because of what the guest
 * did; for a guest that breaks the rules there is {@link VirtioContext.fail}.
 *
 * @typeParam S - saved state of its own: plain data that the structured clone algorithm can copy. Queues, features,
 * status and requests in flight are saved by the transport.
 */
export interface VirtioDevice<S = unknown> {
  /** Numbers of the feature bits that it offers, its own only: the transport adds those of queues and transport. */
  readonly features: readonly number[]
  /** Entries that each queue may have, powers of two up to 32768. */
  readonly queueSizes: readonly number[]
  /** Bytes of its configuration space; accesses beyond it do not reach the device. */
  readonly configSize: number
  /**
   * Guest read of `width` bytes at `offset` of the configuration space. Little-endian, unsigned. May be absent when
   * there is no such space.
   */
  readConfig?(offset: number, width: 1 | 2 | 4): number
  /** Guest write; ignored when absent, for a space without fields that a driver writes. */
  writeConfig?(offset: number, width: 1 | 2 | 4, value: number): void
  /** The driver chose features (FEATURES_OK); false refuses the choice. */
  negotiate?(): boolean
  /**
   * The driver made buffers available in `queue`, or may have (after DRIVER_OK, for every queue); or buffers that were in flight when the device was
   * saved are to be taken again.
   * Bounds its work and goes on later, as {@link VirtioContext.answer} does.
   */
  notify(queue: Virtqueue): void
  /** A timer of its own expired. */
  event?(port: string): void
  /** Back to the state after power on. Its queues are reset already: chains in flight are not `live` any more. */
  reset(): void
  /** The machine was switched on or reset; `reset` came just before. */
  powerOn?(): void
  /** One queue was reset alone (VIRTIO_F_RING_RESET). Drops what it holds of that queue. */
  resetQueue?(queue: Virtqueue): void
  save(): S
  /**
   * Takes back what `save` gave; throws a typed error when `state` is not valid, leaving the device as it was. It drops
   * whatever chains it holds: the queues give requests in flight out again, in order, and `notify` follows.
   */
  restore(state: S): void
  /** As `Device.outside` and `Device.takeUp`. */
  outside?(): unknown
  takeUp?(held: unknown, standsFor: <T extends object>(object: T) => T): void
  /** As `Device.forked`. Its queues are looked at afterwards. */
  forked?(copy: DeviceCopy): void
  dispose?(): void
}

/** A virtio device's only capabilities. */
export interface VirtioContext<Wants extends BackendWants = BackendWants> {
  /** The name of this instance in the machine. */
  readonly name: string
  readonly dma: DmaSpace
  /** The memory that its spec asked for. */
  readonly ownMemory: readonly DeviceMemory[]
  readonly clock: Clock
  readonly backends: PortsOf<Wants>
  readonly trace: Trace
  /** Whether the driver has set DRIVER_OK and the device has not failed since: only then may queues be used. */
  readonly running: boolean
  /** Whether the driver accepted a feature bit. */
  has(feature: number): boolean
  /** Queue number `index`, or null. Not yet there while `create` runs. */
  queue(index: number): Virtqueue | null
  /**
   * Takes the requests that wait in `queue`, gives each back with the number of bytes that `handle` wrote, and notifies
   * the driver. A request for which `handle` returns null is the device's to keep, and to `push` and `signal` later.
   * After `limit` requests, 64 unless given, the device is notified again in a turn to come: a guest that keeps adding
   * does not hold its host, and no request is left lying.
   */
  answer(queue: Virtqueue, handle: (chain: Chain) => number | null, limit?: number): void
  /** The configuration space changed by itself: changes the generation and notifies the driver (2.5). */
  configChanged(): void
  /** The driver broke the rules: sets DEVICE_NEEDS_RESET (2.1.2) and stops every queue until the driver resets. */
  fail(reason: string): void
}

/** What a virtio device is, for a transport to wrap. */
export interface VirtioSpec<Config = unknown, S = unknown, Wants extends BackendWants = BackendWants> {
  /** Stable name in machine definitions: `'virtio-blk'`. */
  readonly kind: string
  /** Device type (virtio 1.2, chapter 5): 2 for a block device. */
  readonly deviceId: number
  /** Version of the saved state `S`. */
  readonly stateVersion: number
  /** Which backends it needs. */
  readonly backends: Wants
  /** Checks a configuration from a file: throws a typed error that names the field, the value and the remedy. */
  configure(input: unknown, name: string): Config
  /** Memory of its own, which the guest finds by the configuration space. */
  memory?(config: Config): readonly MemorySpec[]
  create(config: Config, context: VirtioContext<Wants>): VirtioDevice<S>
}

/** Feature bits that do not belong to a device type (virtio 1.2, chapter 6). */
export const virtioFeature: {
  /** Of the legacy interface alone. */
  readonly anyLayout: 27
  readonly indirectDescriptors: 28
  readonly eventIdx: 29
  readonly version1: 32
  readonly ringPacked: 34
  readonly notificationData: 38
  readonly ringReset: 40
} = { anyLayout: 27, indirectDescriptors: 28, eventIdx: 29, version1: 32, ringPacked: 34, notificationData: 38, ringReset: 40 }

/** Bits of the device status (2.1). */
export const deviceStatus: {
  readonly acknowledge: 1
  readonly driver: 2
  readonly driverOk: 4
  readonly featuresOk: 8
  readonly needsReset: 64
  readonly failed: 128
} = { acknowledge: 1, driver: 2, driverOk: 4, featuresOk: 8, needsReset: 64, failed: 128 }
