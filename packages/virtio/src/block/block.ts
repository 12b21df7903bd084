import { machinistError } from '@machinist/api'
import type { BlockPort, DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { blockConfig, blockFeature, blockLimits, headerSize, idSize, sectorSize } from './layout.ts'
import { runRequest } from './request.ts'
import type { RequestHost } from './request.ts'
import { BufferPool } from '../device/buffer-pool.ts'
import { ConfigSpace } from '../device/config-space.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'

/** Configuration of a block device, checked. */
export interface BlockConfig {
  /** Refuses writes, also when the disk would take them. Default: false. */
  readonly readOnly: boolean
  /** What the guest sees as serial number, at most 20 printable ASCII characters. Default: the name of the device, cut. */
  readonly serial: string
  /** Logical block size in bytes, 512 or 4096. Default: 512. */
  readonly blockSize: 512 | 4096
  /** Number of request queues, 1 to 16. Default: 1. */
  readonly queues: number
  /** Entries of each queue, a power of two from 4 to 1024. Default: 256. */
  readonly queueSize: number
}

/** Saved state of its own. */
export interface BlockState {
  /** Whether the driver wants a write-back cache. */
  readonly writeback: boolean
}

/** Backends of a block device: the disk. */
export type BlockBackends = Readonly<Record<'disk', 'block'>>

/** Bytes of buffers in use at once, for all requests, including those of an earlier life that the host has not finished. */
const inFlightLimit = 8 << 20
/** What a request counts at least, so that their number is bounded, too. */
const leastCost = 4096
/** Requests that one access of the guest, or one event, begins at most. A disk that answers at once does all their work meanwhile. */
const requestsAtOnce = 64
const again = 'again'

/** Block device (virtio 1.2, 5.2). */
export const blockDevice: VirtioSpec<BlockConfig, BlockState, BlockBackends> = {
  kind: 'virtio-blk',
  deviceId: 2,
  stateVersion: 1,
  backends: { disk: 'block' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const serial = data.string('serial', name.slice(0, idSize).replaceAll(/[^\x20-\x7e]/g, '-'))
    if (!/^[\x20-\x7e]{0,20}$/.test(serial)) {
      throw machinistError({ code: 'config', part: `${name}.serial`, value: serial.slice(0, 80), remedy: 'Give at most 20 printable ASCII characters' },
        'not an acceptable value')
    }
    const config: BlockConfig = {
      readOnly: data.boolean('readOnly', false),
      serial,
      blockSize: data.oneOf('blockSize', [512, 4096], 512),
      queues: data.integer('queues', 1, 16, 1),
      queueSize: data.oneOf('queueSize', [4, 8, 16, 32, 64, 128, 256, 512, 1024], 256),
    }
    data.done()
    return config
  },
  create: (config, context) => new Block(config, context),
}

/** {@link blockDevice} behind the MMIO transport. */
export const virtioBlock: DeviceSpec<BlockConfig & MmioOptions, MmioState<BlockState>, VirtioIrq, BlockBackends> = virtioMmio(blockDevice)

/** {@link blockDevice} behind the PCI transport. */
export const virtioBlockPci: DeviceSpec<BlockConfig & VirtioOptions, VirtioPciState<BlockState>, VirtioPciIrq, BlockBackends> = virtioPci(blockDevice)

class Block implements VirtioDevice<BlockState>, RequestHost {
  readonly features: readonly number[]
  readonly queueSizes: readonly number[]
  readonly configSize: number = blockConfig.size
  readonly port: BlockPort
  readonly readOnly: boolean
  readonly pool: BufferPool = new BufferPool(inFlightLimit)
  readonly id: Uint8Array
  readonly #context: VirtioContext<BlockBackends>
  readonly #config = new ConfigSpace(blockConfig.size)
  readonly #status = new Uint8Array(1)
  #inFlight = 0
  /** Requests wait in their queues because too much is in flight. */
  #stalled = false

  constructor(config: BlockConfig, context: VirtioContext<BlockBackends>) {
    const port = context.backends.disk
    if (port.size % config.blockSize !== 0) {
      throw machinistError({ code: 'disk-size', part: context.name, value: port.size, remedy: `Use a disk that is a multiple of ${String(config.blockSize)} bytes` },
        'the disk does not end at the end of a block')
    }
    this.#context = context
    this.port = port
    this.readOnly = config.readOnly || port.readOnly
    this.id = Uint8Array.from({ length: idSize }, (_, index) => index < config.serial.length ? config.serial.charCodeAt(index) : 0)
    this.queueSizes = new Array<number>(config.queues).fill(config.queueSize)
    this.features = featuresOf(port, this.readOnly, config)
    fillConfig(this.#config, port, config)
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    if (offset === blockConfig.writeback && width === 1 && this.#context.has(blockFeature.configWce)) this.#writeback = (value & 1) !== 0
    else this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  /** Without the flush command the driver cannot have a write-back cache (5.2.5.2). */
  negotiate(): boolean {
    this.#writeback = this.#context.has(blockFeature.flush)
    return true
  }

  notify(queue: Virtqueue): void {
    // An event looks at all queues; and another hart may be adding to them all the while.
    const most = requestsAtOnce / this.queueSizes.length
    for (let taken = 0; taken < most; taken++) {
      // A request is taken only when the largest piece would fit: what it needs is not known before.
      if (this.#inFlight + blockLimits.transfer > inFlightLimit) {
        this.#stalled = true
        return
      }
      const chain = queue.pop()
      if (chain === null) return
      this.#start(queue, chain)
    }
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  event(): void {
    for (let index = 0; index < this.queueSizes.length; index++) {
      const queue = this.#context.queue(index)
      if (queue?.ready === true) this.notify(queue)
    }
  }

  writeThrough(): boolean {
    return !this.#writeback
  }

  reset(): void {
    // Memory of requests in flight stays counted: the host is still at it.
    this.#writeback = true
    this.#context.clock.timer(again).cancel()
  }

  save(): BlockState {
    return { writeback: this.#writeback }
  }

  restore(state: BlockState): void {
    const data = plainData(this.#context.name, state, 'state')
    const writeback = data.boolean('writeback')
    data.done()
    this.#writeback = writeback
  }

  get #writeback(): boolean {
    return this.#config.bytes[blockConfig.writeback] === 1
  }

  set #writeback(on: boolean) {
    this.#config.bytes[blockConfig.writeback] = on ? 1 : 0
  }

  #start(queue: Virtqueue, chain: Chain): void {
    if (chain.readableLength < headerSize || chain.writableLength < 1) {
      return this.#context.fail(`queue ${String(queue.index)}: a request without room for header and status`)
    }
    this.#inFlight += costOf(chain)
    runRequest(this, queue, chain)
  }

  finish(queue: Virtqueue, chain: Chain, status: number, written: number): void {
    this.#inFlight -= costOf(chain)
    const statusOffset = chain.writableLength - 1
    this.#status[0] = status
    const stored = chain.write(statusOffset, this.#status)
    // The length covers what was written without a gap (2.7.8.2).
    queue.push(chain, stored && written === statusOffset ? written + 1 : written)
    queue.signal()
    if (!this.#stalled || this.#inFlight + blockLimits.transfer > inFlightLimit) return
    this.#stalled = false
    this.event()
  }
}

/** What a request counts for while it is in flight, in bytes. */
function costOf({ readableLength, writableLength }: Chain): number {
  const length = readableLength > writableLength ? readableLength : writableLength
  return length < leastCost ? leastCost : length > blockLimits.transfer ? blockLimits.transfer : length
}

function featuresOf(port: BlockPort, readOnly: boolean, config: BlockConfig): number[] {
  const features: number[] = [blockFeature.sizeMax, blockFeature.segMax, blockFeature.blockSize, blockFeature.flush, blockFeature.topology]
  if (config.queues > 1) features.push(blockFeature.multiQueue)
  if (readOnly) return [...features, blockFeature.readOnly]
  features.push(blockFeature.configWce)
  if (port.discard !== undefined) features.push(blockFeature.discard)
  if (port.writeZeroes !== undefined) features.push(blockFeature.writeZeroes)
  return features
}

function fillConfig(space: ConfigSpace, port: BlockPort, config: BlockConfig): void {
  const { view } = space
  const physical = Math.min(Math.max(port.blockSize, config.blockSize), 65536)
  space.set64(blockConfig.capacity, port.size / sectorSize)
  view.setUint32(blockConfig.sizeMax, blockLimits.transfer, true)
  // A chain may be as long as the queue, less header and status.
  view.setUint32(blockConfig.segMax, config.queueSize - 2, true)
  view.setUint32(blockConfig.blockSize, config.blockSize, true)
  view.setUint8(blockConfig.physicalBlockExp, Math.floor(Math.log2(physical / config.blockSize)))
  view.setUint16(blockConfig.minIoSize, physical / config.blockSize, true)
  view.setUint8(blockConfig.writeback, 1)
  view.setUint16(blockConfig.numQueues, config.queues, true)
  view.setUint32(blockConfig.maxDiscardSectors, blockLimits.discardSectors, true)
  view.setUint32(blockConfig.maxDiscardSegments, blockLimits.discardSegments, true)
  view.setUint32(blockConfig.discardSectorAlignment, physical / sectorSize, true)
  view.setUint32(blockConfig.maxWriteZeroesSectors, blockLimits.writeZeroesSectors, true)
  view.setUint32(blockConfig.maxWriteZeroesSegments, blockLimits.writeZeroesSegments, true)
  view.setUint8(blockConfig.writeZeroesMayUnmap, 1)
}
