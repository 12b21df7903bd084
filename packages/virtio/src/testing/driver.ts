/**
 * The other side, for tests of virtio devices: a driver that negotiates, builds rings in RAM and makes requests through
 * the MMIO transport, as a guest's kernel would. Works on the `testDevice` of `@machinist/registers/testing`.
 */
import { deviceStatus, virtioFeature } from '../device/spec.ts'
import { configOffset } from '../transport/mmio-registers.ts'

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
  /** Feature bits to accept, if offered. VIRTIO_F_VERSION_1 always is. Default: all that are offered. */
  readonly features?: readonly number[]
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
  readonly descriptors: readonly number[]
  readonly buffers: readonly { readonly address: number, readonly length: number }[]
}

/** One queue as the driver sees it. Addresses are guest-physical; a test may write there what it likes. */
export class DriverQueue {
  readonly size: number
  readonly desc: number
  readonly avail: number
  readonly used: number
  /** Entries made available, modulo 2^16. */
  available = 0
  /** Entries of the used ring seen, modulo 2^16. */
  seen = 0
  readonly free: number[]
  readonly inFlight: Map<number, InFlight> = new Map<number, InFlight>()

  constructor(size: number, base: number) {
    this.size = size
    this.desc = base
    this.avail = base + 16 * size
    this.used = Math.ceil((this.avail + 6 + 2 * size) / 4) * 4
    this.free = Array.from({ length: size }, (_, index) => size - 1 - index)
  }

  get end(): number {
    return Math.ceil((this.used + 6 + 8 * this.size) / 16) * 16
  }
}

/** A small virtio driver. */
export class VirtioDriver {
  /** Register offsets of the MMIO transport that it uses (virtio 1.2, 4.2.2). */
  readonly queues: DriverQueue[] = []
  readonly #target: DriverTarget
  readonly #view: DataView
  readonly #options: DriverOptions
  #accepted: readonly [number, number] = [0, 0]
  #arena: number
  #next: number

  constructor(target: DriverTarget, options: DriverOptions = {}) {
    this.#target = target
    this.#options = options
    const { memory, memoryBase } = target.context
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
    this.#arena = this.#next = memoryBase
  }

  /** Initialises the device (3.1.1) with every queue that it has, laid out from the start of RAM. Returns the status. */
  start(): number {
    this.#write(0x070, 0)
    this.queues.length = 0
    this.#arena = this.#next = this.#target.context.memoryBase
    this.#write(0x070, deviceStatus.acknowledge)
    this.#write(0x070, deviceStatus.acknowledge | deviceStatus.driver)
    const words = [0, 1].map((word) => {
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
    const queue = new DriverQueue(size, this.#arena)
    this.queues[index] = queue
    this.#arena = this.#next = queue.end
    const { memory, memoryBase } = this.#target.context
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
    const { memory, memoryBase } = this.#target.context
    if (this.#next > memoryBase + memory.length) throw new DriverError('the test needs more RAM')
    return address
  }

  /** Makes a request available, without telling the device. Buffers are where the driver puts them. */
  submit(index: number, out: readonly Uint8Array[], answers: readonly number[]): DriverRequest {
    const queue = this.queue(index)
    const { memory, memoryBase } = this.#target.context
    const buffers: { address: number, length: number, write: boolean }[] = []
    for (const bytes of out) {
      const address = this.allocate(bytes.length)
      memory.set(bytes, address - memoryBase)
      buffers.push({ address, length: bytes.length, write: false })
    }
    for (const length of answers) buffers.push({ address: this.allocate(length), length, write: true })

    const descriptors: number[] = []
    const indirect = (this.#options.indirect ?? false) && this.has(virtioFeature.indirectDescriptors)
    const needed = indirect ? 1 : buffers.length
    if (queue.free.length < needed) throw new DriverError('the test needs a larger queue')
    for (let count = 0; count < needed; count++) descriptors.push(queue.free.pop() ?? 0)
    const table = indirect ? this.allocate(16 * buffers.length) : queue.desc
    for (const [position, { address, length, write }] of buffers.entries()) {
      const last = position === buffers.length - 1
      const slot = indirect ? position : descriptors[position] ?? 0
      const next = last ? 0 : indirect ? position + 1 : descriptors[position + 1] ?? 0
      this.setDescriptor(table, slot, address, length, (last ? 0 : 1) | (write ? 2 : 0), next)
    }
    const head = descriptors[0] ?? 0
    if (indirect) this.setDescriptor(queue.desc, head, table, 16 * buffers.length, 4, 0)
    const request: DriverRequest = { written: null, answers: [] }
    queue.inFlight.set(head, { request, descriptors, buffers: buffers.filter(({ write }) => write) })
    this.makeAvailable(queue, head)
    return request
  }

  /** Writes one descriptor into a table. */
  setDescriptor(table: number, index: number, address: number, length: number, flags: number, next: number): void {
    const at = table + 16 * index - this.#target.context.memoryBase
    this.#view.setUint32(at, address % 2 ** 32, true)
    this.#view.setUint32(at + 4, Math.floor(address / 2 ** 32), true)
    this.#view.setUint32(at + 8, length, true)
    this.#view.setUint16(at + 12, flags, true)
    this.#view.setUint16(at + 14, next, true)
  }

  /** Adds `head` to the available ring. */
  makeAvailable(queue: DriverQueue, head: number): void {
    this.set16(queue.avail + 4 + 2 * (queue.available % queue.size), head)
    queue.available = (queue.available + 1) & 0xffff
    this.set16(queue.avail + 2, queue.available)
  }

  /** Notifies the device about queue `index`. */
  notify(index: number): void {
    this.#write(0x050, index)
  }

  /** Acknowledges interrupts and takes what the device has used from queue `index`. Returns the number. */
  collect(index: number): number {
    this.#write(0x064, this.#target.read(0x060))
    const queue = this.queue(index)
    const { memory, memoryBase } = this.#target.context
    let count = 0
    for (const used = this.get16(queue.used + 2); queue.seen !== used; count++) {
      const at = queue.used + 4 + 8 * (queue.seen % queue.size) - memoryBase
      const head = this.#view.getUint32(at, true)
      const flight = queue.inFlight.get(head)
      if (flight === undefined) throw new DriverError(`the device used descriptor ${String(head)}, which is not in flight`)
      flight.request.written = this.#view.getUint32(at + 4, true)
      for (const { address, length } of flight.buffers) flight.request.answers.push(memory.slice(address - memoryBase, address - memoryBase + length))
      queue.inFlight.delete(head)
      queue.free.push(...flight.descriptors)
      queue.seen = (queue.seen + 1) & 0xffff
    }
    // Next interrupt with the next entry (2.7.7.2).
    this.set16(queue.avail + 4 + 2 * queue.size, queue.seen)
    if (this.queues.every(({ inFlight }) => inFlight.size === 0)) this.#next = this.#arena
    return count
  }

  queue(index: number): DriverQueue {
    const queue = this.queues[index]
    if (queue === undefined) throw new DriverError(`no queue ${String(index)}`)
    return queue
  }

  get16(address: number): number {
    return this.#view.getUint16(address - this.#target.context.memoryBase, true)
  }

  set16(address: number, value: number): void {
    this.#view.setUint16(address - this.#target.context.memoryBase, value, true)
  }

  #write(offset: number, value: number): void {
    this.#target.write(offset, value)
  }
}
