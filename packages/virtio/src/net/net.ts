import type { DeviceCopy, DeviceSpec, NetPort, Offloads } from '@machinist/api'
import { noOffloads } from '@machinist/api'
import { broadcast, macBytes } from '@machinist/packets'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import { virtioFeature } from '../device/spec.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { addressOf, configureNet } from './config.ts'
import type { NetConfig } from './config.ts'
import { NetControl } from './control.ts'
import type { ControlHost } from './control.ts'
import { ReceiveFilter } from './filter.ts'
import type { FilterState } from './filter.ts'
import { netConfig, netFeature, netStatus, packetHeader } from './layout.ts'
import type { CopiedState } from './readdressed.ts'
import { Readdressed } from './readdressed.ts'
import { Receiver } from './receive.ts'
import type { PiecesState } from './pieces.ts'
import { FlowTable, slots } from './steering.ts'
import { TransmitQueue } from './transmit.ts'

export type { NetConfig } from './config.ts'
export type { FilterState } from './filter.ts'
export type { PiecesState } from './pieces.ts'
export type { CopiedState } from './readdressed.ts'

/** Saved state of its own. */
export interface NetState {
  readonly mac: number
  /** Of a copy. */
  readonly copied?: CopiedState
  readonly pairs: number
  /** Feature bits of the guest's offloads that are on. */
  readonly guestOffloads: readonly number[]
  readonly filter: FilterState
  /** The driver has been asked to announce itself, and has not done so. */
  readonly announce: boolean
  /** Frames that each transmit queue has taken and the network has not, and what was taken from the network and waits for buffers. */
  readonly transmit: readonly (PiecesState | null)[]
  readonly receive: PiecesState | null
  /** Where conversations are, as a slot and a pair each. */
  readonly flows: readonly number[]
}

/** Backends of a network device: the network. */
export type NetBackends = Readonly<Record<'net', 'net'>>

const controlQueueSize = 64
const fullDuplex = 1
const unknown = { speed: 0xffff_ffff, duplex: 0xff }
const again = 'again'
const announce = 'announce'

/** Features that the driver may turn off again, and what each of them needs (5.1.3.1). */
const guestOffloadFeatures = [
  netFeature.guestCsum, netFeature.guestTso4, netFeature.guestTso6, netFeature.guestEcn, netFeature.guestUso4, netFeature.guestUso6,
] as const
const needs: readonly (readonly [feature: number, anyOf: readonly number[]])[] = [
  [netFeature.guestTso4, [netFeature.guestCsum]], [netFeature.guestTso6, [netFeature.guestCsum]], [netFeature.guestUso4, [netFeature.guestCsum]],
  [netFeature.guestUso6, [netFeature.guestCsum]], [netFeature.guestEcn, [netFeature.guestTso4, netFeature.guestTso6]],
  [netFeature.hostTso4, [netFeature.csum]], [netFeature.hostTso6, [netFeature.csum]], [netFeature.hostUso, [netFeature.csum]],
  [netFeature.hostEcn, [netFeature.hostTso4, netFeature.hostTso6]],
  ...[netFeature.ctrlRx, netFeature.ctrlVlan, netFeature.guestAnnounce, netFeature.mq, netFeature.ctrlMacAddr]
    .map((feature) => [feature, [netFeature.ctrlVq]] as const),
  [netFeature.ctrlRxExtra, [netFeature.ctrlVq]],
]

/** Network device (virtio 1.2, 5.1). */
export const netDevice: VirtioSpec<NetConfig, NetState, NetBackends> = {
  kind: 'virtio-net',
  deviceId: 1,
  stateVersion: 1,
  backends: { net: 'net' },
  configure: configureNet,
  create: (config, context) => new Net(config, context),
}

/** {@link netDevice} behind the MMIO transport. */
export const virtioNet: DeviceSpec<NetConfig & MmioOptions, MmioState<NetState>, VirtioIrq, NetBackends> = virtioMmio(netDevice)

/** {@link netDevice} behind the PCI transport. */
export const virtioNetPci: DeviceSpec<NetConfig & VirtioOptions, VirtioPciState<NetState>, VirtioPciIrq, NetBackends> = virtioPci(netDevice)

class Net implements VirtioDevice<NetState>, ControlHost {
  readonly features: readonly number[]
  readonly queueSizes: readonly number[]
  readonly configSize: number = netConfig.size
  readonly filter: ReceiveFilter = new ReceiveFilter()
  readonly maximumPairs: number
  readonly #context: VirtioContext<NetBackends>
  readonly #port: Readdressed
  readonly #config = new ConfigSpace(netConfig.size)
  readonly #flows = new FlowTable()
  readonly #transmit: readonly TransmitQueue[]
  readonly #receiver: Receiver
  readonly #control: NetControl
  #pairs = 1
  #guestOffloads: readonly number[] = []

  constructor(config: NetConfig, context: VirtioContext<NetBackends>) {
    const { net } = context.backends
    const port = new Readdressed(net, addressOf(config, context.name, net.address))
    if (config.mac !== null) net.claim?.(config.mac)
    this.#context = context
    this.#port = port
    this.maximumPairs = config.pairs
    this.queueSizes = [...new Array<number>(2 * config.pairs).fill(config.queueSize), controlQueueSize]
    this.features = featuresOf(config)
    const turnAgain = (): void => { context.clock.timer(again).arm(context.clock.now()) }
    this.#transmit = Array.from({ length: config.pairs }, (_, pair) =>
      new TransmitQueue(2 * pair + 1, port, context, turnAgain, (bytes) => { if (this.#pairs > 1) this.#flows.sent(bytes, pair) }))
    this.#receiver = new Receiver(port, context, {
      accepts: (bytes) => this.filter.accepts(bytes),
      queueFor: (bytes) => this.#pairs === 1 ? 0 : 2 * this.#flows.pairOf(bytes, this.#pairs),
      again: turnAgain,
    })
    this.#control = new NetControl(context, this)
    fillConfig(this.#config, config, port)
    this.#mac = port.station
    port.listen({
      readable: () => { this.#receiver.pump() },
      writable: () => { for (const queue of this.#transmit) queue.pump() },
      linkChanged: () => {
        this.#setStatus(netStatus.linkUp, port.link)
        if (context.has(netFeature.status)) context.configChanged()
      },
    })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number, _width: 1 | 2 | 4, _value: number): void {
    this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  /** A feature that needs another one is nothing without it (5.1.3.1). */
  negotiate(): boolean {
    const has = (feature: number): boolean => this.#context.has(feature)
    if (needs.some(([feature, anyOf]) => has(feature) && !anyOf.some(has))) return false
    this.#guestOffloads = guestOffloadFeatures.filter(has)
    this.#applyFeatures()
    return true
  }

  notify(queue: Virtqueue): void {
    if (queue.index === this.#controlQueue) {
      if (this.#control.pump(queue)) this.#context.clock.timer(again).arm(this.#context.clock.now())
    } else if (queue.index % 2 === 0) {
      this.#receiver.pump()
    } else {
      this.#transmit[queue.index >>> 1]?.pump()
    }
  }

  event(port: string): void {
    if (port === announce) {
      if (!this.#context.has(netFeature.guestAnnounce) || !this.#context.running) return
      this.#setStatus(netStatus.announce, true)
      return this.#context.configChanged()
    }
    const control = this.#context.queue(this.#controlQueue ?? this.queueSizes.length)
    if (control?.ready === true) this.notify(control)
    for (const queue of this.#transmit) queue.pump()
    this.#receiver.pump()
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#context.clock.timer(announce).cancel()
    this.#drop()
    this.#port.forget()
    this.#pairs = 1
    this.#guestOffloads = []
    this.#mac = this.#port.station
    this.filter.reset()
    this.#setStatus(netStatus.announce, false)
    this.#applyFeatures()
  }

  resetQueue(queue: Virtqueue): void {
    if (queue.index % 2 === 0) this.#receiver.resetQueue(queue.index)
    else this.#transmit[queue.index >>> 1]?.reset()
  }

  save(): NetState {
    const copied = this.#port.save()
    return {
      mac: this.#mac, ...(copied && { copied }), pairs: this.#pairs, guestOffloads: [...this.#guestOffloads], filter: this.filter.save(),
      announce: ((this.#config.bytes[netConfig.status] ?? 0) & netStatus.announce) !== 0,
      transmit: this.#transmit.map((queue) => queue.waiting.save()), receive: this.#receiver.waiting.save(), flows: this.#flows.save(),
    }
  }

  restore(state: NetState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const mac = data.integer('mac', 0, broadcast)
    const takeAddress = this.#port.load(name, data.unknown('copied'))
    const pairs = data.integer('pairs', 1, this.maximumPairs)
    const given = data.unknown('guestOffloads')
    const offloads = data.integers('guestOffloads', Array.isArray(given) ? Math.min(given.length, 64) : 0, 0, 63)
    const takeFilter = this.filter.load(plainData(name, data.unknown('filter'), 'state'))
    const announced = data.boolean('announce', false)
    const [transmit, receive, flows] = [data.unknown('transmit') ?? [], data.unknown('receive'), data.unknown('flows') ?? []]
    data.done()
    const list: readonly unknown[] = Array.isArray(transmit) ? transmit : []
    const takeFrames = [...this.#transmit.map((queue, pair) => queue.waiting.load(name, list[pair])), this.#receiver.waiting.load(name, receive)]
    const known = plainData(name, { flows }, 'state').integers('flows', Array.isArray(flows) ? Math.min(flows.length, 2 * slots) : 0, 0, slots - 1)
    this.#drop()
    takeFilter()
    takeAddress()
    this.#port.claim()
    this.#mac = mac
    this.#pairs = pairs
    this.#guestOffloads = guestOffloadFeatures.filter((bit) => offloads.includes(bit))
    this.#setStatus(netStatus.linkUp, this.#port.link)
    this.#setStatus(netStatus.announce, announced)
    this.#flows.restore(known, this.maximumPairs)
    this.#applyFeatures()
    for (const take of takeFrames) take()
  }

  /** It may be somewhere else now: whoever knew the way does not any more. Where it can meet the machine's, it is called otherwise. */
  forked(copy: DeviceCopy): void {
    if (copy.meets('net')) {
      const known = this.#context.running || this.#context.has(netFeature.mac)
      this.#port.rename(copy.number, this.#mac, known)
      this.#port.claim()
      this.#mac = known ? this.#mac : this.#port.station
    }
    this.#context.clock.timer(announce).arm(this.#context.clock.now())
  }

  setMac(mac: number): void {
    const { driver } = this.#port
    if (driver !== null && mac !== driver) {
      // A new address is one that is wanted. What was sent by the old one must not go out with it.
      for (const queue of this.#transmit) queue.reset()
      this.#port.forget()
    }
    this.#mac = mac
  }

  setPairs(pairs: number): void {
    this.#pairs = pairs
    this.#flows.clear()
  }

  announced(): void {
    this.#setStatus(netStatus.announce, false)
  }

  setGuestOffloads(bits: readonly number[]): boolean {
    const negotiated = guestOffloadFeatures.filter((feature) => this.#context.has(feature))
    if (!bits.every((bit) => negotiated.some((feature) => feature === bit))) return false
    this.#guestOffloads = bits
    this.#applyFeatures()
    return true
  }

  /** The last queue that the driver sees: with one pair it is the third (5.1.2). Null without VIRTIO_NET_F_CTRL_VQ. */
  get #controlQueue(): number | null {
    if (!this.#context.has(netFeature.ctrlVq)) return null
    return this.#context.has(netFeature.mq) ? 2 * this.maximumPairs : 2
  }

  get #mac(): number {
    return this.filter.mac
  }

  set #mac(mac: number) {
    this.filter.mac = mac
    // A driver that looks for the first time learns what it is called.
    this.#config.bytes.set(macBytes(this.#port.driver === null ? mac : this.#port.station), netConfig.mac)
  }

  #setStatus(bit: number, on: boolean): void {
    const status = this.#config.bytes[netConfig.status] ?? 0
    this.#config.bytes[netConfig.status] = on ? status | bit : status & ~bit
  }

  #drop(): void {
    for (const queue of this.#transmit) queue.reset()
    this.#receiver.reset()
    this.#flows.clear()
  }

  #applyFeatures(): void {
    const has = (feature: number): boolean => this.#context.has(feature)
    const on = (feature: number): boolean => this.#guestOffloads.includes(feature)
    const taken: Offloads = !on(netFeature.guestCsum) ? noOffloads : {
      checksum: true, tcp4: on(netFeature.guestTso4), tcp6: on(netFeature.guestTso6), udp: on(netFeature.guestUso4) && on(netFeature.guestUso6),
      ecn: on(netFeature.guestEcn),
    }
    this.#receiver.offloads = taken
    this.#receiver.mergeable = has(netFeature.mrgRxbuf)
    // Drivers from before version 1.0 have `num_buffers` only when they use it (5.1.6.1).
    const headerSize = has(virtioFeature.version1) || has(netFeature.mrgRxbuf) ? packetHeader.size : packetHeader.numBuffers
    this.#receiver.headerSize = headerSize
    this.#port.accept(taken)
    const given: Offloads = {
      checksum: has(netFeature.csum), tcp4: has(netFeature.hostTso4), tcp6: has(netFeature.hostTso6), udp: has(netFeature.hostUso), ecn: has(netFeature.hostEcn),
    }
    for (const queue of this.#transmit) {
      queue.offloads = given
      queue.headerSize = headerSize
    }
    this.filter.filtersVlans = has(netFeature.ctrlVlan)
  }
}

/** All of them, whatever the network takes: what it does not, we do ourselves. */
function featuresOf({ pairs, speed }: NetConfig): number[] {
  const { mq, speedDuplex, ...others } = netFeature
  return [...Object.values(others), ...pairs > 1 ? [mq] : [], ...speed > 0 ? [speedDuplex] : []]
}

function fillConfig({ view }: ConfigSpace, { pairs, speed }: NetConfig, port: NetPort): void {
  view.setUint16(netConfig.status, port.link ? netStatus.linkUp : 0, true)
  view.setUint16(netConfig.maxPairs, pairs, true)
  view.setUint16(netConfig.mtu, port.mtu, true)
  view.setUint32(netConfig.speed, speed > 0 ? speed : unknown.speed, true)
  view.setUint8(netConfig.duplex, speed > 0 ? fullDuplex : unknown.duplex)
}
