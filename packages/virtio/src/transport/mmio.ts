import type { BackendWants, Device, DeviceContext, DeviceCopy, DeviceSpec, FdtNode, Resolved, Trace, Width } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { stateVersionOf, VirtioCore } from '../device/core.ts'
import type { CoreState } from '../device/core.ts'
import { configureMmio } from '../device/options.ts'
import type { MmioOptions } from '../device/options.ts'
import type { VirtioSpec } from '../device/spec.ts'
import { legacy, modern, selector } from './mmio-interface.ts'
import type { MmioHost, MmioInterface } from './mmio-interface.ts'
import { configOffset, mmioRegisters, regionSize } from './mmio-registers.ts'
import type { QueueAddresses, Virtqueue } from '../queue/queue.ts'

/** Both interfaces have them in the same places. */
const { QueueNotify, InterruptStatus } = mmioRegisters
/** Notifications that may be under way: more than any host lets. */
const MANY = 2 ** 16

/** The one interrupt output of a virtio MMIO device. */
export type VirtioIrq = 'irq'

/** Saved state of a virtio device behind the MMIO transport. */
export interface MmioState<S = unknown> {
  /** DeviceFeaturesSel, DriverFeaturesSel, QueueSel; in the legacy interface GuestPageSize, too. */
  readonly selectors: readonly number[]
  /** What the driver wrote for each queue: QueueNum, then low and high halves of descriptor table, available and used ring; legacy, QueueNum, QueueAlign and QueuePFN. */
  readonly staged: readonly (readonly number[])[]
  readonly core: CoreState<S>
}

/**
 * Puts a virtio device behind the MMIO transport (virtio 1.2, 4.2), version 2 or, as legacy, 1: one region, `'mmio'`, of 4096 bytes and
 * one level-triggered interrupt, `'irq'`. The result goes into a machine like any other device. Its configuration may
 * have the fields of {@link MmioOptions} beside those of `spec`.
 *
 * @throws typed errors: `'virtio-legacy'` for a legacy interface that there is not; when the device is made, `'queue-size'` for queues that the
 * format cannot have
 */
export function virtioMmio<Config, S, Wants extends BackendWants>(
  spec: VirtioSpec<Config, S, Wants>,
): DeviceSpec<Config & MmioOptions, MmioState<S>, VirtioIrq, Wants> {
  return {
    kind: spec.kind,
    stateVersion: stateVersionOf(spec),
    redoesRequests: true,
    backends: spec.backends,
    configure: (input, name) => configureMmio(spec, input, name),
    regions: () => [{ name: 'mmio', size: regionSize, space: 'mmio' }],
    irqs: () => ['irq'],
    shortcuts: () => [{ kind: 'doorbell', offset: QueueNotify.offset, width: 4 }, { kind: 'shadow', offset: InterruptStatus.offset, width: 4 }],
    memory: (config) => spec.memory?.(config) ?? [],
    create: (config, context) => new MmioTransport(spec, config, context),
    describe: (_config, at, out) => {
      if (out.fdt !== undefined) describeMmio(at, out.fdt)
      const [region, irq] = [at.regions[0], at.irqs[0]?.systemInterrupt]
      if (region === undefined || irq === undefined) return
      out.acpi?.device('VIO', 'LNRO0005').set('_CCA', 1).set('_CRS', { resources: [{ memory: region.base, size: region.size }, { interrupt: irq, level: true }] })
    },
  }
}

/** Adds the node of a virtio MMIO device (Linux's binding `virtio,mmio`). */
function describeMmio(at: Resolved, root: FdtNode): void {
  const region = at.regions[0]
  if (region === undefined) return
  const node = root.child('soc').child(`virtio_mmio@${region.base.toString(16)}`)
    .set('compatible', 'virtio,mmio')
    .set('reg', [{ u64: region.base }, { u64: region.size }])
    .set('dma-coherent', true)
    .label(at.name)
  const route = at.irqs[0]
  if (route !== undefined && route.cells.length > 0) {
    node.set('interrupt-parent', [{ ref: route.ref }]).set('interrupts', route.cells)
  }
}

class MmioTransport<Config, S, Wants extends BackendWants> implements Device<MmioState<S>>, MmioHost {
  readonly core: VirtioCore<Config, S, Wants>
  readonly name: string
  readonly trace: Trace
  readonly deviceId: number
  readonly vendorId: number
  readonly selectors: Uint32Array
  readonly #interface: MmioInterface
  readonly #registers: ReturnType<MmioInterface['registers']>
  readonly #staged: readonly Uint32Array[]

  constructor(spec: VirtioSpec<Config, S, Wants>, config: Config & MmioOptions, context: DeviceContext<VirtioIrq, Wants>) {
    this.name = context.name
    this.trace = context.trace
    this.deviceId = spec.deviceId
    this.vendorId = config.vendorId
    const [notify, status] = context.shortcuts ?? []
    this.core = new VirtioCore(spec, config, context, (asserted) => {
      status?.set(this.core.interrupts)
      context.irq.irq.set(asserted)
    })
    status?.set(0)
    notify?.set(MANY)
    this.#interface = config.legacy ? legacy : modern
    this.selectors = new Uint32Array(this.#interface.selectors)
    this.#staged = this.core.queues.map(() => new Uint32Array(this.#interface.words))
    this.#registers = this.#interface.registers(this)
  }

  read(_region: number, offset: number, width: Width): number {
    if (offset < configOffset) return this.#registers.read(offset, width)
    const at = offset - configOffset
    return at + width <= this.core.device.configSize ? (this.core.device.readConfig?.(at, width) ?? 0) >>> 0 : 0
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    if (offset < configOffset) return this.#registers.write(offset, width, value)
    const at = offset - configOffset
    if (at + width <= this.core.device.configSize) this.core.device.writeConfig?.(at, width, value)
    else this.warn(`ignored a write past the end of the configuration space, at 0x${at.toString(16)}`)
  }

  event(port: string): void {
    this.core.event(port)
  }

  reset(): void {
    this.#registers.reset()
    this.#forget()
    this.core.reset()
    this.core.device.powerOn?.()
  }

  save(): MmioState<S> {
    return { selectors: [...this.selectors], staged: this.#staged.map((words) => [...words]), core: this.core.save() }
  }

  restore(state: MmioState<S>): void {
    const { name } = this
    const data = plainData(name, state, 'state')
    const selectors = data.integers('selectors', this.#interface.selectors, 0, 0xffff_ffff)
    const given = data.unknown('staged')
    data.unknown('core')
    data.done()
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    const words = this.#staged.map((_, index) => plainData(name, { staged: list[index] }, 'state').integers('staged', this.#interface.words, 0, 0xffff_ffff))
    this.core.restore(state.core)
    for (const [index, queue] of this.#staged.entries()) queue.set(words[index] ?? [])
    this.selectors.set(selectors)
  }

  outside(): unknown {
    return this.core.device.outside?.()
  }

  takeUp(held: unknown, standsFor: <T extends object>(object: T) => T): void {
    this.core.device.takeUp?.(held, standsFor)
  }

  forked(copy: DeviceCopy): void {
    this.core.forked(copy)
  }

  dispose(): void {
    this.core.device.dispose?.()
  }

  get queue(): Virtqueue | undefined {
    return this.core.queues[this.selectors[selector.queue] ?? 0]
  }

  get words(): Uint32Array | undefined {
    return this.#staged[this.selectors[selector.queue] ?? 0]
  }

  stage(word: number, value: number): void {
    const { queue, words } = this
    const number = String(this.selectors[selector.queue])
    if (queue === undefined || words === undefined) this.warn(`ignored a write for queue ${number}, which does not exist`)
    else if (queue.ready) this.warn(`ignored a change of queue ${number}, which is in use`)
    else words[word] = value
  }

  enable(at: QueueAddresses): void {
    const { queue } = this
    const wrong = queue?.enable(at) ?? null
    if (wrong !== null) this.core.fail(`queue ${String(this.selectors[selector.queue])} was given ${wrong}`)
  }

  setStatus(value: number): void {
    this.core.setStatus(value)
    if (value !== 0) return
    // A reset of the device makes its queues forget where they were, too. The size of pages stays: Linux names it once, before its first reset.
    const pageSize = this.selectors[selector.guestPageSize] ?? 0
    this.#forget()
    this.selectors[selector.guestPageSize] = pageSize
  }

  warn(message: string): void {
    this.trace.warn(`${this.name}: ${message}`)
  }

  #forget(): void {
    this.selectors.fill(0)
    for (const words of this.#staged) words.fill(0)
  }
}
