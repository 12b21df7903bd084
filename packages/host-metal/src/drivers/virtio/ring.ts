import { hardwareError } from '../hardware.ts'
import type { DmaMemory, DmaPiece } from '../dma-memory.ts'

/** 2.7.5 */
const DESCRIPTOR = { size: 16, next: 1, write: 2 } as const
/** 2.7.6 and 2.7.8: flags, index, and then the ring. */
const RING = { index: 2, entries: 4 } as const
const DESCRIPTOR_ALIGN = 16

/** A buffer of a request, in memory that drivers share with devices. */
export interface RingBuffer {
  readonly address: number
  readonly length: number
  /** Whether the device writes it. */
  readonly write: boolean
}

/** What a ring's device has finished. */
export interface Finished<Request> {
  readonly request: Request
  /** Bytes that the device says it wrote: never more than it may. */
  readonly written: number
}

/** 16-bit words of a piece. */
function halvesOf({ bytes }: DmaPiece): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1)
}

/**
 * A split virtqueue (2.7) from the driver's side. The device is not believed: what a driver needs to know of its requests is kept here, and nothing is read back from the ring but how far the device got,
 * which must be a request in flight and no more bytes than that has.
 */
export class Ring<Request> {
  readonly size: number
  readonly descriptors: DmaPiece
  /** Available ring. */
  readonly driver: DmaPiece
  /** Used ring. */
  readonly device: DmaPiece
  readonly #name: string
  readonly #fence: () => void
  /** Of each descriptor, the one that follows in its chain, or among those that are free. The device's copy is not believed. */
  readonly #next: Uint16Array
  #firstFree = 0
  #room: number
  /** Requests, by their first descriptors. */
  readonly #inFlight: (Request | undefined)[] = []
  /** Of each of them, descriptors to be free afterwards, and bytes that the device may write. */
  readonly #counts: Uint16Array
  readonly #writable: Float64Array
  // What has to be quick sees the rings as arrays: hosts of such devices are little-endian, as the rings are.
  readonly #available16: Uint16Array
  readonly #used16: Uint16Array
  readonly #used32: Uint32Array
  #pending = 0
  /** Modulo 2^16. */
  #available = 0
  #seen = 0

  /**
   * @param size - a power of two
   * @param name - for errors
   */
  constructor(memory: DmaMemory, size: number, name: string, fence: () => void) {
    this.size = size
    this.#name = name
    this.#fence = fence
    this.descriptors = memory.take(DESCRIPTOR.size * size, DESCRIPTOR_ALIGN)
    this.driver = memory.take(RING.entries + 2 * size + 2)
    this.device = memory.take(RING.entries + 8 * size + 2)
    this.#next = Uint16Array.from({ length: size }, (_, index) => index + 1)
    this.#room = size
    this.#counts = new Uint16Array(size)
    this.#writable = new Float64Array(size)
    this.#available16 = halvesOf(this.driver)
    this.#used16 = halvesOf(this.device)
    this.#used32 = new Uint32Array(this.device.bytes.buffer, this.device.bytes.byteOffset, (RING.entries + 8 * size) / 4)
  }

  /** Descriptors that are free. */
  get room(): number {
    return this.#room
  }

  /** Requests that the device has. */
  get pending(): number {
    return this.#pending
  }

  /** Gives a request to the device, which is not told of it yet. There must be room for its buffers. */
  add(request: Request, buffers: readonly RingBuffer[]): void {
    const head = this.#chain(buffers)
    this.#counts[head] = buffers.length
    let writable = 0
    for (const { length, write } of buffers) if (write) writable += length
    this.#offer(request, head, writable)
  }

  /**
   * Takes descriptors for good, for requests of the same buffers, one after another. There must be room.
   *
   * @returns the first of them; others follow in {@link Ring.following}
   */
  keep(buffers: readonly RingBuffer[]): number {
    return this.#chain(buffers)
  }

  /** The descriptor behind another of a chain that was kept. */
  following(descriptor: number): number {
    return this.#next[descriptor] ?? 0
  }

  /** Changes a descriptor of a chain that was kept and that the device does not have: its bytes, who writes them, and what follows, which must be of the same chain. */
  change(descriptor: number, length: number, write: boolean, next: number): void {
    const { view } = this.descriptors
    const at = DESCRIPTOR.size * descriptor
    view.setUint32(at + 8, length, true)
    view.setUint32(at + 12, (write ? DESCRIPTOR.write : 0) | DESCRIPTOR.next | (next << 16), true)
  }

  /**
   * Gives a chain that was kept to the device, which is not told of it yet.
   *
   * @param writable - bytes of it that the device may write
   */
  offer(request: Request, head: number, writable: number): void {
    if (this.#inFlight[head] !== undefined) throw new RangeError('the device has it already')
    this.#offer(request, head, writable)
  }

  #chain(buffers: readonly RingBuffer[]): number {
    const count = buffers.length
    if (count === 0 || count > this.#room) throw new RangeError('no room in the ring')
    const { view } = this.descriptors
    const head = this.#firstFree
    let left = count
    for (const { address, length, write } of buffers) {
      const at = DESCRIPTOR.size * this.#firstFree
      const next = this.#next[this.#firstFree] ?? 0
      const last = --left === 0
      view.setUint32(at, address % 2 ** 32, true)
      view.setUint32(at + 4, Math.floor(address / 2 ** 32), true)
      view.setUint32(at + 8, length, true)
      view.setUint16(at + 12, (write ? DESCRIPTOR.write : 0) | (last ? 0 : DESCRIPTOR.next), true)
      view.setUint16(at + 14, last ? 0 : next, true)
      this.#firstFree = next
    }
    this.#room -= count
    return head
  }

  #offer(request: Request, head: number, writable: number): void {
    this.#writable[head] = writable
    this.#inFlight[head] = request
    this.#pending++
    const available = this.#available16
    available[RING.entries / 2 + (this.#available & (this.size - 1))] = head
    this.#available = (this.#available + 1) & 0xffff
    this.#fence()
    available[RING.index / 2] = this.#available
  }

  /** Whether the device has finished something. */
  get ready(): boolean {
    return this.#used16[RING.index / 2] !== this.#seen
  }

  /**
   * What the device has finished next; null for nothing.
   *
   * @throws a typed error `'hardware-broken'` when that cannot be: the device must be reset, and nothing of what it has may be used before
   */
  take(): Finished<Request> | null {
    const ahead = ((this.#used16[RING.index / 2] ?? 0) - this.#seen) & 0xffff
    if (ahead === 0) return null
    if (ahead > this.#pending) throw hardwareError('hardware-broken', this.#name, 'finished more requests than it was given', ahead)
    // What it wrote before the index is to be seen now.
    this.#fence()
    const at = RING.entries / 4 + 2 * (this.#seen & (this.size - 1))
    const head = this.#used32[at] ?? 0
    const written = this.#used32[at + 1] ?? 0
    const request = this.#inFlight[head]
    if (request === undefined) throw hardwareError('hardware-broken', this.#name, 'finished a request that it was not given', head)
    const writable = this.#writable[head] ?? 0
    if (written > writable) throw hardwareError('hardware-broken', this.#name, `wrote more than the ${writable} bytes that it may`, written)
    this.#seen = (this.#seen + 1) & 0xffff
    this.#inFlight[head] = undefined
    this.#pending--
    const count = this.#counts[head] ?? 0
    if (count > 0) this.#free(head, count)
    return { request, written }
  }

  #free(head: number, count: number): void {
    let last = head
    for (let more = 1; more < count; more++) last = this.#next[last] ?? 0
    this.#next[last] = this.#firstFree
    this.#firstFree = head
    this.#room += count
    this.#counts[head] = 0
  }

  /** Requests that will not be finished any more. */
  abandon(): readonly Request[] {
    const lost = this.#inFlight.filter((request) => request !== undefined)
    this.#inFlight.length = 0
    this.#pending = 0
    return lost
  }
}
