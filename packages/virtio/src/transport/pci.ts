import type { BackendWants, Device, DeviceContext, DeviceCopy, DeviceSpec, PciFunctionSpec, Width } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState, type WriteHook } from '@machinist/registers'
import { type CoreState, type NotificationSource, stateVersionOf, VirtioCore } from '../device/core.ts'
import { configureVirtio, type VirtioOptions } from '../device/options.ts'
import { virtioFeature, type VirtioSpec } from '../device/spec.ts'
import {
  accessRegisters, accessSize, barSize, cfgType, classCodes, commonRegisters, notifyMultiplier, noVector, otherClass, pciDeviceBase, pciVendor, structure,
} from './pci-registers.ts'

/** The one interrupt pin of a virtio PCI device, for guests without MSI-X. */
export type VirtioPciIrq = 'intx'

/** Saved state of a virtio device behind the PCI transport. Configuration space and MSI-X table are the PCI host's. */
export interface VirtioPciState<S = unknown> {
  /** device_feature_select, driver_feature_select, queue_select. */
  readonly selectors: readonly number[]
  /** MSI-X vectors: of the configuration, then of each queue. */
  readonly vectors: readonly number[]
  /** What the driver wrote for each queue: queue_size, then low and high halves of queue_desc, queue_driver and queue_device. */
  readonly staged: readonly (readonly number[])[]
  /** The configuration access capability. */
  readonly access: RegisterState
  readonly core: CoreState<S>
}

/** Words of one queue in {@link VirtioPciState.staged}. */
const staged = { size: 0, desc: 1, driver: 3, device: 5, length: 7 }

/** Regions of the device, and the BARs: one for its structures, one for MSI-X. */
const region = { structures: 0, access: 1 }
const bar = { structures: 0, msix: 4 }
/** Vectors: one for the configuration, and one for each queue of any device that there is; drivers share them if need be. */
const vectors = 64
/** Vendor-specific capability (PCI 3.0, appendix H). */
const vendorSpecific = 0x09
/** Revision of a device that is no transitional one (4.1.2). */
const revision = 1

/**
 * Puts a virtio device behind the PCI transport (virtio 1.2, 4.1), as a modern device: a PCI function for a machine with
 * a PCI host. It has one interrupt pin, `'intx'`, and MSI-X with a vector for the configuration and each queue. Its kind
 * is that of `spec` with `-pci`.
 *
 * @throws (when the device is made) a typed error, `'queue-size'`, for queues that the format cannot have
 */
export function virtioPci<Config, S, Wants extends BackendWants>(
  spec: VirtioSpec<Config, S, Wants>,
): DeviceSpec<Config & VirtioOptions, VirtioPciState<S>, VirtioPciIrq, Wants> {
  return {
    kind: `${spec.kind}-pci`,
    stateVersion: stateVersionOf(spec),
    redoesRequests: true,
    backends: spec.backends,
    configure: (input, name) => configureVirtio(spec, input, name),
    regions: () => [{ name: 'virtio', size: barSize, space: 'mmio' }, { name: 'access', size: accessSize, space: 'config' }],
    irqs: () => ['intx'],
    memory: (config) => spec.memory?.(config) ?? [],
    pci: () => describeFunction(spec.deviceId),
    create: (config, context) => new PciTransport(spec, config, context),
  }
}

function describeFunction(deviceId: number): PciFunctionSpec {
  const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]
  // virtio_pci_cap (4.1.4): length, type, BAR, id, padding, offset, length; what follows its identifier and next pointer.
  const capability = (type: number, offset: number, more: readonly number[] = []): { id: number, body: number[] } => ({
    id: vendorSpecific, body: [16 + more.length, type, bar.structures, 0, 0, 0, ...word(offset), ...word(structure.size), ...more],
  })
  return {
    vendorId: pciVendor,
    deviceId: pciDeviceBase + deviceId,
    revision,
    classCode: classCodes.get(deviceId) ?? otherClass,
    subsystemVendorId: pciVendor,
    subsystemId: pciDeviceBase + deviceId,
    bars: [{ index: bar.structures, type: 'memory64', region: region.structures }],
    capabilities: [
      capability(cfgType.common, structure.common),
      capability(cfgType.notify, structure.notify, word(notifyMultiplier)),
      capability(cfgType.isr, structure.isr),
      capability(cfgType.device, structure.device),
      { id: vendorSpecific, body: { region: region.access } },
    ],
    msix: { vectors, bar: bar.msix },
  }
}

class PciTransport<Config, S, Wants extends BackendWants> implements Device<VirtioPciState<S>> {
  readonly #core: VirtioCore<Config, S, Wants>
  readonly #common: RegisterBlock<typeof commonRegisters>
  readonly #access: RegisterBlock<typeof accessRegisters>
  readonly #context: DeviceContext<VirtioPciIrq, Wants>
  readonly #staged: readonly Uint32Array[]
  readonly #vectors: Uint16Array

  constructor(spec: VirtioSpec<Config, S, Wants>, config: Config, context: DeviceContext<VirtioPciIrq, Wants>) {
    this.#context = context
    const core = new VirtioCore(spec, config, context, (asserted, raised) => { this.#notify(asserted, raised) })
    this.#core = core
    this.#staged = core.queues.map(() => new Uint32Array(staged.length))
    this.#vectors = new Uint16Array(1 + core.queues.length)
    const { name, trace } = context
    const word = (at: number) => ({ read: (half: 0 | 1) => this.#words?.[at + half] ?? 0, write: (value: number, half: 0 | 1) => { this.#stage(at + half, value) } })
    const [desc, driver, device] = [word(staged.desc), word(staged.driver), word(staged.device)]
    const address = (of: typeof desc): WriteHook => (value, _old, _index, half) => { of.write(value, half) }
    const common: RegisterBlock<typeof commonRegisters> = new RegisterBlock(commonRegisters, {
      name, trace,
      read: {
        device_feature: () => core.offered(common.get('device_feature_select')),
        driver_feature: () => this.#accepted(common.get('driver_feature_select')),
        config_msix_vector: () => this.#vectors[0] ?? noVector,
        num_queues: () => core.queues.length,
        device_status: () => core.status,
        config_generation: () => core.generation,
        queue_size: () => this.#words?.[staged.size] ?? 0,
        queue_msix_vector: () => this.#queue === undefined ? noVector : this.#vectors[1 + this.#selected] ?? noVector,
        queue_enable: () => this.#queue?.ready === true ? 1 : 0,
        queue_notify_off: () => this.#queue === undefined ? 0 : this.#selected,
        queue_desc: (_stored, _index, half) => desc.read(half),
        queue_driver: (_stored, _index, half) => driver.read(half),
        queue_device: (_stored, _index, half) => device.read(half),
        queue_reset: () => 0, // at once, so it is never seen in progress
      },
      write: {
        driver_feature: (value) => { core.accept(common.get('driver_feature_select'), value) },
        config_msix_vector: (value) => { this.#vectors[0] = this.#vector(value) },
        device_status: (value) => { this.#setStatus(value) },
        queue_size: (value) => { this.#stage(staged.size, value) },
        queue_msix_vector: (value) => { if (this.#queue !== undefined) this.#vectors[1 + this.#selected] = this.#vector(value) },
        queue_enable: (value) => { this.#enable(value) },
        queue_desc: address(desc),
        queue_driver: address(driver),
        queue_device: address(device),
        queue_reset: (value) => { this.#resetQueue(value) },
      },
    })
    this.#common = common
    this.#access = new RegisterBlock(accessRegisters, {
      name, trace,
      read: { pci_cfg_data: () => this.#reach((offset, width) => this.#readStructure(offset, width)) ?? 0 },
      write: { pci_cfg_data: (value) => { this.#reach((offset, width) => { this.#writeStructure(offset, width, value % 2 ** (8 * width)) }) } },
    })
    this.#forget()
  }

  read(where: number, offset: number, width: Width): number {
    return where === region.access ? this.#access.read(offset, width) : this.#readStructure(offset, width)
  }

  write(where: number, offset: number, width: Width, value: number): void {
    if (where === region.access) this.#access.write(offset, width, value)
    else this.#writeStructure(offset, width, value)
  }

  event(port: string): void {
    this.#core.event(port)
  }

  reset(): void {
    this.#access.reset()
    this.#forget()
    this.#core.reset()
    this.#core.device.powerOn?.()
  }

  save(): VirtioPciState<S> {
    const { device_feature_select: device = 0, driver_feature_select: driver = 0 } = this.#common.save()
    return {
      selectors: [Number(device), Number(driver), this.#selected],
      vectors: [...this.#vectors],
      staged: this.#staged.map((words) => [...words]),
      access: this.#access.save(),
      core: this.#core.save(),
    }
  }

  restore(state: VirtioPciState<S>): void {
    const part = this.#context.name
    const data = plainData(part, state, 'state')
    const [device = 0, driver = 0, queue = 0] = data.integers('selectors', 3, 0, 0xffff_ffff)
    const saved = data.integers('vectors', this.#vectors.length, 0, noVector)
    const given = data.unknown('staged')
    const access = data.unknown('access')
    data.unknown('core')
    data.done()
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    const words = this.#staged.map((_, index) => plainData(part, { staged: list[index] }, 'state').integers('staged', staged.length, 0, 0xffff_ffff))
    const before = this.#access.save()
    this.#access.restore(access)
    try {
      this.#core.restore(state.core)
    } catch (error) {
      this.#access.restore(before)
      throw error
    }
    this.#vectors.set(saved.map((vector) => this.#vector(vector)))
    for (const [index, queue] of this.#staged.entries()) queue.set(words[index] ?? [])
    this.#common.set('device_feature_select', device)
    this.#common.set('driver_feature_select', driver)
    this.#common.set('queue_select', queue)
  }

  outside(): unknown {
    return this.#core.device.outside?.()
  }

  takeUp(held: unknown, standsFor: <T extends object>(object: T) => T): void {
    this.#core.device.takeUp?.(held, standsFor)
  }

  forked(copy: DeviceCopy): void {
    this.#core.forked(copy)
  }

  dispose(): void {
    this.#core.device.dispose?.()
  }

  get #selected(): number {
    return this.#common.get('queue_select')
  }

  get #queue() {
    return this.#core.queues[this.#selected]
  }

  get #words(): Uint32Array | undefined {
    return this.#staged[this.#selected]
  }

  #readStructure(offset: number, width: Width): number {
    const at = offset % structure.size
    switch (offset - at) {
      case structure.common: return this.#common.read(at, width)
      case structure.isr: return at === 0 ? this.#readIsr() : 0
      case structure.device: return at + width <= this.#core.device.configSize ? (this.#core.device.readConfig?.(at, width) ?? 0) >>> 0 : 0
      default: return 0
    }
  }

  #writeStructure(offset: number, width: Width, value: number): void {
    const at = offset % structure.size
    switch (offset - at) {
      case structure.common: return this.#common.write(at, width, value)
      case structure.device:
        if (at + width <= this.#core.device.configSize) this.#core.device.writeConfig?.(at, width, value)
        else this.#warn(`ignored a write past the end of the configuration space, at 0x${at.toString(16)}`)
        return
      case structure.notify:
        if (width > 1 && at % notifyMultiplier === 0) this.#core.notify(value)
        return
      default:
    }
  }

  /** Reading the ISR status acknowledges what it shows (4.1.4.5). */
  #readIsr(): number {
    const pending = this.#core.interrupts
    if (pending !== 0) this.#core.acknowledge(pending)
    return pending
  }

  /** An access by way of the configuration access capability, if the driver has set it up as 4.1.4.9.2 wants. */
  #reach<T>(access: (offset: number, width: Width) => T): T | null {
    const offset = this.#access.get('offset')
    const width = this.#access.get('length')
    if (width !== 1 && width !== 2 && width !== 4) return null
    if (this.#access.get('bar') !== bar.structures || offset % width !== 0 || offset + width > barSize) return null
    return access(offset, width)
  }

  /** Tells the driver (4.1.5.3, 4.1.5.4): the PCI host lets the pin through without MSI-X, and the message with it. */
  #notify(asserted: boolean, raised: NotificationSource | null): void {
    this.#context.irq.intx.set(asserted)
    if (raised === null) return
    const vector = this.#vectors[raised === 'config' ? 0 : 1 + raised] ?? noVector
    if (vector !== noVector) this.#context.msi?.send(vector)
  }

  /** A vector that there is, or none (4.1.5.1.2.1). */
  #vector(value: number): number {
    return value < (this.#context.msi?.vectors ?? 0) ? value : noVector
  }

  #accepted(select: number): number {
    let bits = 0
    for (let bit = 0; bit < 32; bit++) if (this.#core.has(select * 32 + bit)) bits |= 1 << bit
    return bits >>> 0
  }

  /** Size and addresses are settled by queue_enable; a live queue cannot be moved (4.1.4.3.2). */
  #stage(at: number, value: number): void {
    const words = this.#words
    if (words === undefined) this.#warn(`ignored a write for queue ${String(this.#selected)}, which does not exist`)
    else if (this.#queue?.ready === true) this.#warn(`ignored a change of queue ${String(this.#selected)}, which is in use`)
    else words[at] = value
  }

  #enable(value: number): void {
    const queue = this.#queue
    const words = this.#words
    if (queue === undefined || words === undefined) return this.#warn(`ignored queue_enable of queue ${String(this.#selected)}, which does not exist`)
    if (value !== 1) return this.#warn(`ignored ${String(value)} for queue_enable, which is set only`)
    if (queue.ready) return
    const address = (low: number): number => (words[low] ?? 0) + (words[low + 1] ?? 0) * 2 ** 32
    const wrong = queue.enable({ size: words[staged.size] ?? 0, desc: address(staged.desc), driver: address(staged.driver), device: address(staged.device) })
    if (wrong !== null) this.#core.fail(`queue ${String(queue.index)} was given ${wrong}`)
  }

  #resetQueue(value: number): void {
    const queue = this.#queue
    if (value !== 1 || queue === undefined) return
    if (this.#core.has(virtioFeature.ringReset)) this.#core.resetQueue(queue)
    else this.#warn('ignored queue_reset, which was not negotiated')
  }

  #setStatus(value: number): void {
    this.#core.setStatus(value)
    if (value === 0) this.#forget()
  }

  /** What a reset of the device makes of its common configuration (4.1.4.3.1). */
  #forget(): void {
    this.#common.reset()
    this.#vectors.fill(noVector)
    for (const [index, words] of this.#staged.entries()) {
      words.fill(0)
      words[staged.size] = this.#core.queues[index]?.maximumSize ?? 0
    }
  }

  #warn(message: string): void {
    this.#context.trace.warn(`${this.#context.name}: ${message}`)
  }
}
