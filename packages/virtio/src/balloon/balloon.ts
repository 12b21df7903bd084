import type { BalloonPort, BalloonStatistics, DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { balloonConfig, balloonFeature, balloonPage, balloonQueue, statisticNames, statisticSize } from './layout.ts'

export { balloonControl } from './control.ts'
export type { BalloonControl, BalloonControlOptions } from './control.ts'
export { balloonFeature } from './layout.ts'

/** Backends of a balloon device. */
export type BalloonBackends = Readonly<Record<'host', 'balloon'>>

/** What a balloon device may be told. */
export interface BalloonConfig {
  /** Lets the guest take memory back when it has no other left (VIRTIO_BALLOON_F_DEFLATE_ON_OOM). Default: true. */
  readonly deflateOnOom: boolean
  /** Lets the guest say which pages it does not use, and takes their memory (VIRTIO_BALLOON_F_PAGE_REPORTING). Default: true. */
  readonly pageReporting: boolean
}

/** Saved state of a balloon device: what the driver wrote, and the target that it was told last. */
export interface BalloonState {
  /** Pages that were asked for. After a restore the host's target counts. */
  readonly target: number
  /** Pages in the balloon. */
  readonly actual: number
  readonly poison: number
}

/** Page numbers of a request that are looked at. Linux sends 256. What is beyond stays with the guest, which costs only the host. */
const mostNumbers = 8192
/** Bytes of reported pages in one request that are given back: Linux reports at most 128 MiB. */
const mostReported = 256 * 2 ** 20
/** Statistics of one report that are looked at. */
const mostStatistics = 64
/** Work in one turn: page numbers, and pages of reports. The rest waits for the next. */
const turn = 16384
const again = 'again'

/**
 * Memory balloon device (virtio 1.2, 5.5). Pages that the guest puts into the balloon, or reports as free, go back to
 * the host: they read as zeros until the guest uses them again, which it may at any time, for they are still promised
 * to it. Free page hints are offered, so that all queues have the numbers of the specification, and never asked for.
 */
export const balloonDevice: VirtioSpec<BalloonConfig, BalloonState, BalloonBackends> = {
  kind: 'virtio-balloon',
  deviceId: 5,
  stateVersion: 1,
  backends: { host: 'balloon' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config = { deflateOnOom: data.boolean('deflateOnOom', true), pageReporting: data.boolean('pageReporting', true) }
    data.done()
    return config
  },
  create: (config, context) => new Balloon(config, context),
}

/** {@link balloonDevice} behind the MMIO transport. */
export const virtioBalloon: DeviceSpec<BalloonConfig & MmioOptions, MmioState<BalloonState>, VirtioIrq, BalloonBackends> = virtioMmio(balloonDevice)
/** {@link balloonDevice} behind the PCI transport. */
export const virtioBalloonPci: DeviceSpec<BalloonConfig & VirtioOptions, VirtioPciState<BalloonState>, VirtioPciIrq, BalloonBackends> = virtioPci(balloonDevice)

class Balloon implements VirtioDevice<BalloonState> {
  readonly features: readonly number[]
  readonly queueSizes: readonly number[] = [128, 128, 16, 64, 64]
  readonly configSize: number = balloonConfig.size
  readonly #context: VirtioContext<BalloonBackends>
  readonly #port: BalloonPort
  readonly #config = new ConfigSpace(balloonConfig.size)
  readonly #numbers: DataView = new DataView(new ArrayBuffer(4 * 1024))
  /** The driver's buffer for statistics: it comes back when the host wants new ones (5.5.6.3). */
  #statistics: Chain | null = null

  constructor({ deflateOnOom, pageReporting }: BalloonConfig, context: VirtioContext<BalloonBackends>) {
    const { mustTellHost, statsVq, freePageHint, pagePoison } = balloonFeature
    this.features = [
      mustTellHost, statsVq, freePageHint, pagePoison,
      ...deflateOnOom ? [balloonFeature.deflateOnOom] : [], ...pageReporting ? [balloonFeature.pageReporting] : [],
    ]
    this.#context = context
    this.#port = context.backends.host
    this.#setTarget()
    this.#port.listen({
      targetChanged: () => { this.#takeTarget() },
      statisticsWanted: () => { this.#askStatistics() },
    })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const { actual, poison } = balloonConfig
    if ((offset === actual || offset === poison) && width === 4) {
      this.#config.view.setUint32(offset, value, true)
      if (offset === actual) this.#port.resized(value * balloonPage)
    } else this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    if (queue.index === balloonQueue.stats) return this.#takeStatistics(queue)
    for (let left = turn; left > 0;) {
      const chain = queue.pop()
      if (chain === null) return queue.signal()
      left -= 1 + this.#take(queue.index, chain)
      queue.push(chain, 0)
    }
    queue.signal()
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  event(): void {
    this.#takeTarget()
    for (let index = 0; index < this.queueSizes.length && this.#context.running; index++) {
      const queue = this.#context.queue(index)
      if (queue !== null) this.notify(queue)
    }
  }

  reset(): void {
    this.#statistics = null
    this.#config.bytes.fill(0)
    this.#setTarget()
    this.#port.resized(0)
    this.#context.clock.timer(again).cancel()
  }

  resetQueue(queue: Virtqueue): void {
    if (queue.index === balloonQueue.stats) this.#statistics = null
  }

  save(): BalloonState {
    const { view } = this.#config
    return { target: view.getUint32(balloonConfig.numPages, true), actual: view.getUint32(balloonConfig.actual, true), poison: view.getUint32(balloonConfig.poison, true) }
  }

  restore(state: BalloonState): void {
    const data = plainData(this.#context.name, state, 'state')
    const target = data.integer('target', 0, 0xffff_ffff)
    const actual = data.integer('actual', 0, 0xffff_ffff)
    const poison = data.integer('poison', 0, 0xffff_ffff)
    data.done()
    // The queue gives the buffer out again.
    this.#statistics = null
    this.#config.view.setUint32(balloonConfig.numPages, target, true)
    this.#config.view.setUint32(balloonConfig.actual, actual, true)
    this.#config.view.setUint32(balloonConfig.poison, poison, true)
    this.#port.resized(actual * balloonPage)
    // The host may want something else meanwhile.
    if (this.#wanted !== target) this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  /** The host's target, in pages. */
  get #wanted(): number {
    return Math.min(0xffff_ffff, Math.floor(this.#port.target / balloonPage))
  }

  #takeTarget(): void {
    if (this.#setTarget()) this.#context.configChanged()
  }

  /** Takes the host's target; whether the driver sees a difference. */
  #setTarget(): boolean {
    const { view } = this.#config
    const pages = this.#wanted
    if (view.getUint32(balloonConfig.numPages, true) === pages) return false
    view.setUint32(balloonConfig.numPages, pages, true)
    return true
  }

  /** Serves a request; returns how much work it was. Pages of the deflate queue need nothing: they come when they are touched. */
  #take(queue: number, chain: Chain): number {
    switch (queue) {
      case balloonQueue.inflate:
        return this.#inflate(chain)
      case balloonQueue.reporting:
        return this.#takeReport(chain)
      default:
        return 0
    }
  }

  /** Gives back the pages whose numbers are in a request, runs of them at once. Numbers of what is not RAM are ignored. */
  #inflate(chain: Chain): number {
    const count = Math.min(mostNumbers, Math.floor(chain.readableLength / 4))
    const view = this.#numbers
    let [first, end] = [0, 0]
    for (let done = 0; done < count;) {
      const part = Math.min(count - done, view.byteLength / 4)
      if (!chain.read(4 * done, new Uint8Array(view.buffer, 0, 4 * part))) break
      for (let index = 0; index < part; index++) {
        const page = view.getUint32(4 * index, true)
        if (page !== end) {
          this.#release(first, end)
          first = page
        }
        end = page + 1
      }
      done += part
    }
    this.#release(first, end)
    return count
  }

  #release(first: number, end: number): void {
    if (first < end) this.#context.dma.release(first * balloonPage, (end - first) * balloonPage)
  }

  /** Free pages, as buffers to write to, although nothing is written (5.5.6.7). */
  #takeReport(chain: Chain): number {
    // What is given back reads as zeros. A guest that fills free pages with something else must find it again.
    const filled = this.#context.has(balloonFeature.pagePoison) && this.#config.view.getUint32(balloonConfig.poison, true) !== 0
    let left = filled ? 0 : mostReported
    for (const { address, length } of chain.writable) {
      const given = Math.min(left, length)
      if (given > 0) this.#context.dma.release(address, given)
      left -= given
    }
    return filled ? 0 : (mostReported - left) / balloonPage
  }

  #takeStatistics(queue: Virtqueue): void {
    if (this.#statistics?.live === true) return
    const chain = queue.pop()
    if (chain === null) return
    this.#statistics = chain
    const bytes = new Uint8Array(Math.min(mostStatistics * statisticSize, chain.readableLength))
    if (!chain.read(0, bytes)) return
    const view = new DataView(bytes.buffer)
    const found: { -readonly [Name in keyof BalloonStatistics]: number } = {}
    for (let at = 0; at + statisticSize <= bytes.length; at += statisticSize) {
      const name = statisticNames[view.getUint16(at, true)]
      if (name !== undefined) found[name] = view.getUint32(at + 6, true) * 2 ** 32 + view.getUint32(at + 2, true)
    }
    this.#port.report(found)
  }

  #askStatistics(): void {
    const queue = this.#context.queue(balloonQueue.stats)
    const chain = this.#statistics
    if (queue === null || chain === null || !this.#context.running) return
    this.#statistics = null
    queue.push(chain, 0)
    queue.signal()
    // A driver that gave us more than one buffer has answered already.
    this.#takeStatistics(queue)
  }
}
