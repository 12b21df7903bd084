import { machinistError } from '@machinist/api'
import type { BackendWants, DeviceContext, DeviceCopy } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { isLegacy, ringOf } from './options.ts'
import { deviceStatus, virtioFeature } from './spec.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from './spec.ts'
import { checkQueueState } from '../queue/state.ts'
import type { QueueState } from '../queue/state.ts'
import { maximumQueueSize, Virtqueue } from '../queue/queue.ts'
import type { Chain, QueueHost } from '../queue/queue.ts'

/** What every transport saves. */
export interface CoreState<S = unknown> {
  readonly status: number
  /** Features that the driver accepted: bits 0 to 31, then 32 to 63. */
  readonly features: readonly number[]
  readonly generation: number
  /** Pending notifications: bit 0 used buffers, bit 1 configuration. */
  readonly interrupts: number
  readonly queues: readonly QueueState[]
  readonly device: S
}

/** Bits of the interrupt status (4.2.2, InterruptStatus). */
export const interruptBit: { readonly used: 1, readonly config: 2 } = { used: 1, config: 2 }

/** Version of {@link CoreState}, less what belongs to the device. */
const coreStateVersion = 2

/** What a transport declares as `stateVersion`: that of the core in hundreds, and that of the device. */
export function stateVersionOf(spec: { readonly stateVersion: number }): number {
  return 100 * coreStateVersion + spec.stateVersion
}

/** What a notification is about: the queue of that number, or the configuration. */
export type NotificationSource = number | 'config'

const knownStatus = 0b1000_1111
const resumePort = 'virtio-resume'
/** Timer by which requests that were in flight are given out again after a restore. */
const againPort = 'virtio-again'
/** Requests that {@link VirtioContext.answer} takes at once. */
const requestsPerTurn = 64

/**
 * What a virtio device is behind any transport: status, feature negotiation, queues, the configuration's generation and
 * pending notifications (virtio 1.2, chapters 2 and 3). A transport translates registers into these calls.
 */
export class VirtioCore<Config, S, Wants extends BackendWants> {
  readonly device: VirtioDevice<S>
  readonly queues: readonly Virtqueue[]
  readonly #context: DeviceContext<string, Wants>
  readonly #interruptLine: (asserted: boolean, raised: NotificationSource | null) => void
  readonly #offered: Uint32Array = new Uint32Array(2)
  readonly #accepted: Uint32Array = new Uint32Array(2)
  #status = 0
  /** DRIVER_OK is set and nothing has failed: as queues and the device see it, too. */
  #running = false
  readonly #hosts: { running: boolean }[] = []
  #generation = 0
  #interrupts = 0

  /**
   * @param interruptLine - called at each change with whether a notification is pending, and at each notification with
   *   what it is about
   */
  constructor(
    spec: VirtioSpec<Config, S, Wants>, config: Config, context: DeviceContext<string, Wants>, interruptLine: (asserted: boolean, raised: NotificationSource | null) => void,
  ) {
    this.#context = context
    this.#interruptLine = interruptLine
    this.device = spec.create(config, this.#virtioContext())
    const hostOf = (index: number): QueueHost => {
      const host = {
        running: false,
        interrupt: () => { this.#raise(interruptBit.used, index) },
        fail: (reason: string) => { this.fail(reason) },
      }
      this.#hosts.push(host)
      return host
    }
    this.queues = this.device.queueSizes.map((size, index) => {
      const host = hostOf(index)
      if (!Number.isInteger(size) || size < 1 || size > maximumQueueSize || (size & (size - 1)) !== 0) {
        throw machinistError(
          { code: 'queue-size', part: context.name, value: size, remedy: `Use a power of two up to ${String(maximumQueueSize)}` },
          `queue ${String(index)} cannot have such a size`)
      }
      return new Virtqueue(context.dma, index, size, host)
    })
    const common = [
      virtioFeature.indirectDescriptors, virtioFeature.eventIdx, virtioFeature.version1, virtioFeature.notificationData, virtioFeature.ringReset,
      ...ringOf(config) === 'packed' ? [virtioFeature.ringPacked] : [],
    ]
    const all = [...this.device.features, ...common]
    // The legacy interface has bits 0 to 31, and a bit that says what all others promise (2.2.3, 6.3).
    for (const bit of isLegacy(config) ? [...all.filter((each) => each < 32), virtioFeature.anyLayout] : all) {
      this.#offered[bit >>> 5] = (this.#offered[bit >>> 5] ?? 0) | (1 << (bit & 31))
    }
  }

  get status(): number {
    return this.#status
  }

  get generation(): number {
    return this.#generation
  }

  get interrupts(): number {
    return this.#interrupts
  }

  /** DRIVER_OK is set and nothing has failed. */
  get running(): boolean {
    return this.#running
  }

  #changeStatus(status: number): void {
    this.#status = status
    this.#running = (status & (deviceStatus.driverOk | deviceStatus.needsReset | deviceStatus.failed)) === deviceStatus.driverOk
    for (const host of this.#hosts) host.running = this.#running
  }

  /** 32 of the offered features: bits 32·`word` and up. */
  offered(word: number): number {
    return this.#offered[word] ?? 0
  }

  /** The driver's choice of 32 features. Fixed once FEATURES_OK is set (3.1.1). */
  accept(word: number, bits: number): void {
    if ((this.#status & deviceStatus.featuresOk) !== 0) return this.#warn('features chosen after FEATURES_OK')
    if (word < this.#accepted.length) this.#accepted[word] = bits
    else if (bits !== 0) this.#warn(`features that do not exist, from bit ${String(word * 32)}`)
  }

  has(feature: number): boolean {
    return featureIn(this.#accepted, feature)
  }

  /** The driver writes the status (2.1.1). Zero resets; bits are only ever added. */
  setStatus(value: number): void {
    if (value === 0) return this.reset()
    const before = this.#status
    let added = value & knownStatus & ~before
    if ((added & deviceStatus.featuresOk) !== 0 && !this.#featuresAcceptable()) added &= ~deviceStatus.featuresOk
    // Drivers that know no FEATURES_OK have chosen when they say DRIVER_OK (3.1.2).
    if ((added & deviceStatus.driverOk) !== 0 && ((before | added) & deviceStatus.featuresOk) === 0) {
      if ((value & deviceStatus.featuresOk) === 0 && this.#featuresAcceptable()) added |= deviceStatus.featuresOk
      else added &= ~deviceStatus.driverOk
    }
    this.#changeStatus(before | added)
    if ((added & deviceStatus.featuresOk) !== 0) this.#negotiateQueues()
    if ((added & deviceStatus.driverOk) !== 0) this.notifyAll()
  }

  /**
   * The driver says that it added buffers to a queue.
   *
   * @param value - number of the queue; with VIRTIO_F_NOTIFICATION_DATA (2.9), what is above bit 15 says how far the
   *   driver got, which its ring says, too, and better
   */
  notify(value: number): void {
    const index = value > 0xffff && this.has(virtioFeature.notificationData) ? value & 0xffff : value
    const queue = this.queues[index]
    if (queue === undefined || !queue.ready) return this.#warn(`a notification for queue ${String(index)}, which is not there`)
    // Before DRIVER_OK nothing may be consumed (3.1.2); it is looked at then.
    if (this.#running) this.device.notify(queue)
  }

  /** Looks at every queue. */
  notifyAll(): void {
    for (const queue of this.queues) if (queue.ready && this.running) this.device.notify(queue)
  }

  acknowledge(bits: number): void {
    this.#interrupts &= ~bits
    this.#interruptLine(this.#interrupts !== 0, null)
  }

  /** Sets DEVICE_NEEDS_RESET (2.1.2) and stops. */
  fail(reason: string): void {
    if ((this.#status & deviceStatus.needsReset) !== 0) return
    this.#warn(`needs a reset: ${reason}`)
    const running = this.#running
    this.#changeStatus(this.#status | deviceStatus.needsReset)
    for (const queue of this.queues) queue.stop()
    if (running) this.#raise(interruptBit.config, 'config')
  }

  reset(): void {
    this.#changeStatus(0)
    this.#interrupts = 0
    this.#accepted.fill(0)
    for (const queue of this.queues) queue.reset()
    this.#negotiateQueues()
    for (const port of [resumePort, againPort]) this.#context.clock.timer(port).cancel()
    this.device.reset()
    this.#interruptLine(false, null)
  }

  /** Resets one queue (2.6.1), or stops it for good until it is made ready again. */
  resetQueue(queue: Virtqueue): void {
    queue.reset()
    this.device.resetQueue?.(queue)
  }

  event(port: string): void {
    if (port === resumePort) this.notifyAll()
    else if (port === againPort) this.#giveOutAgain()
    else this.device.event?.(port)
  }

  save(): CoreState<S> {
    return {
      status: this.#status,
      features: [...this.#accepted],
      generation: this.#generation,
      interrupts: this.#interrupts,
      queues: this.queues.map((queue) => queue.save()),
      device: this.device.save(),
    }
  }

  restore(state: CoreState<S>): void {
    const part = this.#context.name
    const data = plainData(part, state, 'state')
    const status = data.integer('status', 0, 255)
    const features = data.integers('features', 2, 0, 0xffff_ffff)
    const generation = data.integer('generation', 0, 0xffff_ffff)
    const interrupts = data.integer('interrupts', 0, 3)
    const given = data.unknown('queues')
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    data.unknown('device')
    data.done()
    // Until it sets FEATURES_OK a driver may have written bits that were not offered: they are part of the state.
    const negotiated = (status & deviceStatus.featuresOk) !== 0
    if (list.length !== this.queues.length || (negotiated && features.some((bits, word) => (bits & ~this.offered(word)) !== 0))) {
      throw machinistError(
        { code: 'state', part, remedy: 'Restore it with the configuration that it was saved with' },
        'the saved state is for a device with other queues or features')
    }
    const packed = negotiated && featureIn(features, virtioFeature.ringPacked)
    const queues = this.queues.map((queue, index) => checkQueueState(`${part}.queue${String(index)}`, list[index], queue.maximumSize, packed))
    // The device last of what may throw. It sees the features it had: they decide what its state means.
    const before = [...this.#accepted]
    this.#accepted.set(features)
    try {
      this.device.restore(state.device)
    } catch (error) {
      this.#accepted.set(before)
      throw error
    }
    this.#changeStatus(status)
    this.#generation = generation
    this.#interrupts = interrupts
    this.#negotiateQueues()
    for (const [index, queue] of this.queues.entries()) {
      const saved = queues[index]
      if (saved !== undefined) queue.restore(saved)
      if ((status & deviceStatus.needsReset) !== 0) queue.stop()
    }
    this.#interruptLine(interrupts !== 0, null)
    // Not now: guest memory may be restored after us. What the driver has yet to tell of stays untouched, as it would have without a restore.
    if (this.running && queues.some(({ inFlight }) => inFlight.length > 0)) this.#context.clock.timer(againPort).arm(this.#context.clock.now())
  }

  /** The machine is a copy of another: its backends may have something that nobody told of. */
  forked(copy: DeviceCopy): void {
    this.device.forked?.(copy)
    if (this.running) this.#resume()
  }

  /**
   * A driver that leaves out VIRTIO_F_VERSION_1 is served all the same, which 6.2 leaves to devices: many small kernels look at the first 32 bits
   * alone. Where the formats differ, as with the header of network packets, it gets what drivers had before.
   */
  #featuresAcceptable(): boolean {
    for (const [word, bits] of this.#accepted.entries()) {
      if ((bits & ~this.offered(word)) !== 0) {
        this.#warn('the driver accepted features that were not offered')
        return false
      }
    }
    if (this.device.negotiate?.() ?? true) return true
    this.#warn('the device refuses this choice of features')
    return false
  }

  /** What was accepted counts from FEATURES_OK on. */
  #negotiateQueues(): void {
    const chosen = (feature: number): boolean => (this.#status & deviceStatus.featuresOk) !== 0 && this.has(feature)
    const features = { packed: chosen(virtioFeature.ringPacked), eventIdx: chosen(virtioFeature.eventIdx), indirect: chosen(virtioFeature.indirectDescriptors) }
    for (const queue of this.queues) queue.negotiate(features)
  }

  #answer(queue: Virtqueue, handle: (chain: Chain) => number | null, limit: number): void {
    for (let left = limit; left > 0; left--) {
      const chain = queue.pop()
      if (chain === null) return queue.signal()
      const written = handle(chain)
      if (written !== null) queue.push(chain, written)
    }
    queue.signal()
    this.#resume()
  }

  /** Has the device take what was in flight. Where it could get on with that, what comes behind is next. */
  #giveOutAgain(): void {
    const held = this.queues.filter((queue) => queue.ready && queue.inFlight > 0).map((queue) => ({ queue, before: queue.inFlight }))
    for (const queue of this.queues) queue.onlyAgain = true
    try {
      for (const { queue } of held) if (this.running) this.device.notify(queue)
    } finally {
      for (const queue of this.queues) queue.onlyAgain = false
    }
    for (const { queue, before } of held) if (queue.inFlight < before && this.running) this.device.notify(queue)
  }

  /** Looks at every queue in a turn to come. */
  #resume(): void {
    this.#context.clock.timer(resumePort).arm(this.#context.clock.now())
  }

  #raise(bit: number, source: NotificationSource): void {
    this.#interrupts |= bit
    this.#interruptLine(true, source)
  }

  #warn(message: string): void {
    this.#context.trace.warn(`${this.#context.name}: ${message}`)
  }

  #virtioContext(): VirtioContext<Wants> {
    const core = this
    const { name, dma, ownMemory, clock, backends, trace } = this.#context
    return {
      name, dma, ownMemory, clock, backends, trace,
      get running() { return core.running },
      has: (feature) => core.has(feature),
      queue: (index) => core.queues[index] ?? null,
      answer: (queue, handle, limit = requestsPerTurn) => { core.#answer(queue, handle, limit) },
      configChanged() {
        core.#generation = (core.#generation + 1) >>> 0
        if (core.running) core.#raise(interruptBit.config, 'config')
      },
      fail: (reason) => { core.fail(reason) },
    }
  }
}

function featureIn(words: ArrayLike<number>, feature: number): boolean {
  return (((words[feature >>> 5] ?? 0) >>> (feature & 31)) & 1) !== 0
}
