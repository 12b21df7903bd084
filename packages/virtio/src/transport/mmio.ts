import type { BackendWants, Device, DeviceContext, DeviceSpec, FdtNode, Resolved, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import type { WriteHook } from '@machinist/registers'
import { stateVersionOf, VirtioCore } from '../device/core.ts'
import type { CoreState } from '../device/core.ts'
import { configureVirtio } from '../device/options.ts'
import type { VirtioOptions } from '../device/options.ts'
import { virtioFeature } from '../device/spec.ts'
import type { VirtioSpec } from '../device/spec.ts'
import { configOffset, mmioRegisters, regionSize } from './mmio-registers.ts'
import type { Virtqueue } from '../queue/queue.ts'

/** The one interrupt output of a virtio MMIO device. */
export type VirtioIrq = 'irq'

/** Saved state of a virtio device behind the MMIO transport. */
export interface MmioState<S = unknown> {
  /** DeviceFeaturesSel, DriverFeaturesSel, QueueSel. */
  readonly selectors: readonly number[]
  /** What the driver wrote for each queue: QueueNum, then low and high halves of descriptor table, available and used ring. */
  readonly staged: readonly (readonly number[])[]
  readonly core: CoreState<S>
}

/** Words of one queue in {@link MmioState.staged}. */
const staged = { num: 0, desc: 1, driver: 3, device: 5, length: 7 }

/**
 * Puts a virtio device behind the MMIO transport, version 2 (virtio 1.2, 4.2): one region, `'mmio'`, of 4096 bytes and
 * one level-triggered interrupt, `'irq'`. The result goes into a machine like any other device. Its configuration may
 * have the fields of {@link VirtioOptions} beside those of `spec`.
 *
 * @throws (when the device is made) a typed error, `'queue-size'`, for queues that the format cannot have
 */
export function virtioMmio<Config, S, Wants extends BackendWants>(
  spec: VirtioSpec<Config, S, Wants>,
): DeviceSpec<Config & VirtioOptions, MmioState<S>, VirtioIrq, Wants> {
  return {
    kind: spec.kind,
    stateVersion: stateVersionOf(spec),
    backends: spec.backends,
    configure: (input, name) => configureVirtio(spec, input, name),
    regions: () => [{ name: 'mmio', size: regionSize, space: 'mmio' }],
    irqs: () => ['irq'],
    memory: (config) => spec.memory?.(config) ?? [],
    create: (config, context) => new MmioTransport(spec, config, context),
    describe: (_config, at, out) => {
      if (out.fdt !== undefined) describeMmio(at, out.fdt)
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
    node.set('interrupt-parent', [{ ref: route.to }]).set('interrupts', route.cells)
  }
}

class MmioTransport<Config, S, Wants extends BackendWants> implements Device<MmioState<S>> {
  readonly #core: VirtioCore<Config, S, Wants>
  readonly #registers: RegisterBlock<typeof mmioRegisters>
  readonly #context: DeviceContext<VirtioIrq, Wants>
  readonly #staged: readonly Uint32Array[]
  #deviceFeaturesSel = 0
  #driverFeaturesSel = 0
  #queueSel = 0

  constructor(spec: VirtioSpec<Config, S, Wants>, config: Config, context: DeviceContext<VirtioIrq, Wants>) {
    this.#context = context
    const core = new VirtioCore(spec, config, context, (asserted) => { context.irq.irq.set(asserted) })
    this.#core = core
    this.#staged = core.queues.map(() => new Uint32Array(staged.length))
    const stage = (word: number): WriteHook => (value) => { this.#stage(word, value) }
    this.#registers = new RegisterBlock(mmioRegisters, {
      name: context.name,
      trace: context.trace,
      reset: { DeviceID: spec.deviceId },
      read: {
        DeviceFeatures: () => core.offered(this.#deviceFeaturesSel),
        QueueNumMax: () => this.#queue?.maximumSize ?? 0,
        QueueReady: () => this.#queue?.ready === true ? 1 : 0,
        QueueReset: () => 0, // at once, so it is never seen in progress
        InterruptStatus: () => core.interrupts,
        Status: () => core.status,
        ConfigGeneration: () => core.generation,
      },
      write: {
        DeviceFeaturesSel: (value) => { this.#deviceFeaturesSel = value },
        DriverFeatures: (value) => { core.accept(this.#driverFeaturesSel, value) },
        DriverFeaturesSel: (value) => { this.#driverFeaturesSel = value },
        QueueSel: (value) => { this.#queueSel = value },
        QueueNum: stage(staged.num),
        QueueDescLow: stage(staged.desc),
        QueueDescHigh: stage(staged.desc + 1),
        QueueDriverLow: stage(staged.driver),
        QueueDriverHigh: stage(staged.driver + 1),
        QueueDeviceLow: stage(staged.device),
        QueueDeviceHigh: stage(staged.device + 1),
        QueueReady: (value) => { this.#setReady((value & 1) !== 0) },
        QueueReset: (value) => { this.#resetQueue(value) },
        QueueNotify: (value) => { core.notify(value) },
        InterruptACK: (value) => { core.acknowledge(value) },
        Status: (value) => { this.#setStatus(value) },
      },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    if (offset < configOffset) return this.#registers.read(offset, width)
    const at = offset - configOffset
    return at + width <= this.#core.device.configSize ? (this.#core.device.readConfig?.(at, width) ?? 0) >>> 0 : 0
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    if (offset < configOffset) return this.#registers.write(offset, width, value)
    const at = offset - configOffset
    if (at + width <= this.#core.device.configSize) this.#core.device.writeConfig?.(at, width, value)
    else this.#warn(`ignored a write past the end of the configuration space, at 0x${at.toString(16)}`)
  }

  event(port: string): void {
    this.#core.event(port)
  }

  reset(): void {
    this.#registers.reset()
    this.#deviceFeaturesSel = this.#driverFeaturesSel = this.#queueSel = 0
    for (const words of this.#staged) words.fill(0)
    this.#core.reset()
    this.#core.device.powerOn?.()
  }

  save(): MmioState<S> {
    return {
      selectors: [this.#deviceFeaturesSel, this.#driverFeaturesSel, this.#queueSel],
      staged: this.#staged.map((words) => [...words]),
      core: this.#core.save(),
    }
  }

  restore(state: MmioState<S>): void {
    const part = this.#context.name
    const data = plainData(part, state, 'state')
    const [deviceFeaturesSel = 0, driverFeaturesSel = 0, queueSel = 0] = data.integers('selectors', 3, 0, 0xffff_ffff)
    const given = data.unknown('staged')
    data.unknown('core')
    data.done()
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    const words = this.#staged.map((_, index) => plainData(part, { staged: list[index] }, 'state').integers('staged', staged.length, 0, 0xffff_ffff))
    this.#core.restore(state.core)
    for (const [index, queue] of this.#staged.entries()) queue.set(words[index] ?? [])
    this.#deviceFeaturesSel = deviceFeaturesSel
    this.#driverFeaturesSel = driverFeaturesSel
    this.#queueSel = queueSel
  }

  dispose(): void {
    this.#core.device.dispose?.()
  }

  get #queue(): Virtqueue | undefined {
    return this.#core.queues[this.#queueSel]
  }

  /** Size and addresses are settled by QueueReady; a live queue cannot be moved (4.2.2.2). */
  #stage(word: number, value: number): void {
    const words = this.#staged[this.#queueSel]
    if (words === undefined) this.#warn(`ignored a write for queue ${String(this.#queueSel)}, which does not exist`)
    else if (this.#queue?.ready === true) this.#warn(`ignored a change of queue ${String(this.#queueSel)}, which is in use`)
    else words[word] = value
  }

  #setReady(ready: boolean): void {
    const queue = this.#queue
    const words = this.#staged[this.#queueSel]
    if (queue === undefined || words === undefined) return this.#warn(`ignored QueueReady of queue ${String(this.#queueSel)}, which does not exist`)
    if (queue.ready === ready) return
    if (!ready) return this.#core.resetQueue(queue)
    const address = (low: number): number => (words[low] ?? 0) + (words[low + 1] ?? 0) * 2 ** 32
    const wrong = queue.enable({
      size: words[staged.num] ?? 0,
      desc: address(staged.desc),
      driver: address(staged.driver),
      device: address(staged.device),
    })
    if (wrong !== null) this.#core.fail(`queue ${String(queue.index)} was given ${wrong}`)
  }

  #resetQueue(value: number): void {
    const queue = this.#queue
    if (value !== 1 || queue === undefined) return
    if (this.#core.has(virtioFeature.ringReset)) this.#core.resetQueue(queue)
    else this.#warn('ignored QueueReset, which was not negotiated')
  }

  #setStatus(value: number): void {
    this.#core.setStatus(value)
    if (value !== 0) return
    // A reset of the device makes its queues forget where they were, too.
    this.#deviceFeaturesSel = this.#driverFeaturesSel = this.#queueSel = 0
    for (const words of this.#staged) words.fill(0)
  }

  #warn(message: string): void {
    this.#context.trace.warn(`${this.#context.name}: ${message}`)
  }
}
