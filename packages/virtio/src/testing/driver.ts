/**
 * The other side, for tests of virtio devices: a driver that negotiates, builds rings in RAM and makes requests through
 * the MMIO transport, as a guest's kernel would. Works on the `testDevice` of `@machinist/registers/testing`.
 */
import { deviceStatus, virtioFeature } from '../device/spec.ts'
import { configOffset } from '../transport/mmio-registers.ts'
import { Ram } from './ram.ts'
import { PackedDriverRing, SplitDriverRing } from './rings.ts'
import type { DriverBuffer } from './rings.ts'

/** What the driver needs of a device under test; `testDevice` returns one. */
export interface DriverTarget {
  read(offset: number, width?: 1 | 2 | 4): number
  write(offset: number, value: number, width?: 1 | 2 | 4): void
  readonly context: { readonly memory: Uint8Array, readonly memoryBase: number }
}

/** The driver cannot go on: the test asks too much of it, or the device did what no device may. */
export class DriverError extends RangeError {
  override readonly name: string = 'DriverError'
}

/** What a {@link VirtioDriver} chooses. */
export interface DriverOptions {
  /** Feature bits to accept, if offered. VIRTIO_F_VERSION_1 always is, unless `firstWord`. Default: all that are offered. */
  readonly features?: readonly number[]
  /** Knows features 0 to 31 alone, as drivers from before version 1.0 do. Default: false. */
  readonly firstWord?: boolean
  /** Entries of every queue, at most. Default: what the device offers, at most 16. */
  readonly queueSize?: number
  /** Uses indirect descriptors. Default: false. */
  readonly indirect?: boolean
}

/** A request made by {@link VirtioDriver.submit}. */
export interface DriverRequest {
  /** Null until the device has used it; then the length that it reported. */
  written: number | null
  /** What the device wrote, once used: copies of the device-writable buffers. */
  readonly answers: Uint8Array[]
}

interface InFlight {
  readonly request: DriverRequest
  readonly answers: readonly DriverBuffer[]
}

/** One queue as the driver sees it: a ring of either format, and the requests in it. */
export type DriverQueue = (SplitDriverRing | PackedDriverRing) & { readonly inFlight: Map<number, InFlight> }

/** A small virtio driver. */
export class VirtioDriver {
  readonly queues: DriverQueue[] = []
  readonly ram: Ram
  readonly #target: DriverTarget
  readonly #options: DriverOptions
  #accepted: readonly [number, number] = [0, 0]
  #arena: number
  #next: number

  constructor(target: DriverTarget, options: DriverOptions = {}) {
    this.#target = target
    this.#options = options
    this.ram = new Ram(target.context.memory, target.context.memoryBase)
    this.#arena = this.#next = this.ram.memoryBase
  }

  /** Initialises the device (3.1.1) with every queue that it has, laid out from the start of RAM. Returns the status. */
  start(): number {
    this.#write(0x070, 0)
    this.queues.length = 0
    this.#arena = this.#next = this.ram.memoryBase
    this.#write(0x070, deviceStatus.acknowledge)
    this.#write(0x070, deviceStatus.acknowledge | deviceStatus.driver)
    const words = (this.#options.firstWord === true ? [0] : [0, 1]).map((word) => {
      this.#write(0x014, word)
      const offered = this.#target.read(0x010)
      const wanted = [...this.#options.features ?? Array.from({ length: 64 }, (_, bit) => bit), virtioFeature.version1]
      const mask = wanted.filter((bit) => bit >>> 5 === word).reduce((sum, bit) => sum | (1 << (bit & 31)), 0)
      this.#write(0x024, word)
      this.#write(0x020, (offered & mask) >>> 0)
      return (offered & mask) >>> 0
    })
    this.#accepted = [words[0] ?? 0, words[1] ?? 0]
    this.#write(0x070, deviceStatus.acknowledge | deviceStatus.driver | deviceStatus.featuresOk)
    for (let index = 0; ; index++) {
      this.#write(0x030, index)
      const maximum = this.#target.read(0x034)
      if (maximum === 0) break
      this.setUp(index, Math.min(maximum, this.#options.queueSize ?? 16))
    }
    this.#write(0x070, deviceStatus.acknowledge | deviceStatus.driver | deviceStatus.featuresOk | deviceStatus.driverOk)
    return this.#target.read(0x070)
  }

  /** Gives queue `index` a ring of `size` entries and makes it ready. */
  setUp(index: number, size: number): DriverQueue {
    const ring = new (this.has(virtioFeature.ringPacked) ? PackedDriverRing : SplitDriverRing)(size, this.#next)
    const queue: DriverQueue = Object.assign(ring, { inFlight: new Map<number, InFlight>() })
    this.queues[index] = queue
    this.#arena = this.#next = queue.end
    const { memory, memoryBase } = this.ram
    memory.fill(0, queue.desc - memoryBase, queue.end - memoryBase)
    this.#write(0x030, index)
    this.#write(0x038, size)
    for (const [register, address] of [[0x080, queue.desc], [0x090, queue.avail], [0x0a0, queue.used]] as const) {
      this.#write(register, address % 2 ** 32)
      this.#write(register + 4, Math.floor(address / 2 ** 32))
    }
    this.#write(0x044, 1)
    return queue
  }

  has(feature: number): boolean {
    return ((this.#accepted[feature >>> 5 === 0 ? 0 : 1] >>> (feature & 31)) & 1) !== 0
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#target.read(configOffset + offset, width)
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    this.#target.write(configOffset + offset, value, width)
  }

  /** Space in RAM; given back when no request is in flight. */
  allocate(length: number): number {
    const address = this.#next
    this.#next += Math.ceil(length / 16) * 16
    const { memory, memoryBase } = this.ram
    if (this.#next > memoryBase + memory.length) throw new DriverError('the test needs more RAM')
    return address
  }

  /** Makes a request available, without telling the device. Buffers are where the driver puts them. */
  submit(index: number, out: readonly Uint8Array[], answers: readonly number[]): DriverRequest {
    const queue = this.queue(index)
    const buffers: DriverBuffer[] = []
    for (const bytes of out) {
      const address = this.allocate(bytes.length)
      this.ram.memory.set(bytes, address - this.ram.memoryBase)
      buffers.push({ address, length: bytes.length, write: false })
    }
    for (const length of answers) buffers.push({ address: this.allocate(length), length, write: true })
    const indirect = (this.#options.indirect ?? false) && this.has(virtioFeature.indirectDescriptors)
    // An indirect table may not be longer than the queue either (2.7.5.3.1).
    if (buffers.length === 0 || buffers.length > queue.size || queue.room < (indirect ? 1 : buffers.length)) throw new DriverError('the test needs a larger queue, or another request')
    const request: DriverRequest = { written: null, answers: [] }
    const id = queue.add(this.ram, buffers, indirect ? this.allocate(16 * buffers.length) : null)
    queue.inFlight.set(id, { request, answers: buffers.filter(({ write }) => write) })
    return request
  }

  /** Writes one descriptor into a table of the split format. */
  setDescriptor(table: number, index: number, address: number, length: number, flags: number, next: number): void {
    this.ram.setDescriptor(table, index, address, length, flags, next)
  }

  /** Adds `head` to the available ring of a split queue. */
  makeAvailable(queue: DriverQueue, head: number): void {
    if (queue instanceof SplitDriverRing) queue.makeAvailable(this.ram, head)
  }

  /** Notifies the device about queue `index`. */
  notify(index: number): void {
    // With VIRTIO_F_NOTIFICATION_DATA the upper half says more (2.9); a device has no need of it.
    this.#write(0x050, this.has(virtioFeature.notificationData) ? (index & 0xffff | 0x5a5a_0000) >>> 0 : index)
  }

  /** Acknowledges interrupts and takes what the device has used from queue `index`. Returns the number. */
  collect(index: number): number {
    this.#write(0x064, this.#target.read(0x060))
    const queue = this.queue(index)
    let count = 0
    for (let used = queue.take(this.ram); used !== null; used = queue.take(this.ram)) {
      const flight = queue.inFlight.get(used.id)
      if (flight === undefined) throw new DriverError(`the device used request ${String(used.id)}, which is not in flight`)
      flight.request.written = used.written
      for (const { address, length } of flight.answers) flight.request.answers.push(this.ram.copy(address, length))
      queue.inFlight.delete(used.id)
      count += 1
    }
    // Next interrupt with the next entry (2.7.7.2, 2.8.10).
    queue.arm(this.ram, this.has(virtioFeature.eventIdx))
    if (this.queues.every(({ inFlight }) => inFlight.size === 0)) this.#next = this.#arena
    return count
  }

  /** Notifies the device if it wants to hear of what was submitted since this was called last. Returns whether it did. */
  notifyIfWanted(index: number): boolean {
    const wanted = this.queue(index).wanted(this.ram, this.has(virtioFeature.eventIdx))
    if (wanted) this.notify(index)
    return wanted
  }

  queue(index: number): DriverQueue {
    const queue = this.queues[index]
    if (queue === undefined) throw new DriverError(`no queue ${String(index)}`)
    return queue
  }

  get16(address: number): number {
    return this.ram.get16(address)
  }

  set16(address: number, value: number): void {
    this.ram.set16(address, value)
  }

  #write(offset: number, value: number): void {
    this.#target.write(offset, value)
  }
}
