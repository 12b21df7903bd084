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

interface InFlight<Request> {
  readonly request: Request
  /** Descriptors, of which the first is the request's name. */
  readonly count: number
  readonly writable: number
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
  /** By their first descriptors. */
  readonly #inFlight: (InFlight<Request> | undefined)[] = []
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
    const count = buffers.length
    if (count === 0 || count > this.#room) throw new RangeError('no room in the ring')
    const { view } = this.descriptors
    const head = this.#firstFree
    let writable = 0
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
      if (write) writable += length
      this.#firstFree = next
    }
    this.#room -= count
    this.#inFlight[head] = { request, count, writable }
    this.#pending++
    this.driver.view.setUint16(RING.entries + 2 * (this.#available % this.size), head, true)
    this.#available = (this.#available + 1) & 0xffff
    this.#fence()
    this.driver.view.setUint16(RING.index, this.#available, true)
  }

  /** Whether the device has finished something. */
  get ready(): boolean {
    return this.device.view.getUint16(RING.index, true) !== this.#seen
  }

  /**
   * What the device has finished next; null for nothing.
   *
   * @throws a typed error `'hardware-broken'` when that cannot be: the device must be reset, and nothing of what it has may be used before
   */
  take(): Finished<Request> | null {
    const ahead = (this.device.view.getUint16(RING.index, true) - this.#seen) & 0xffff
    if (ahead === 0) return null
    if (ahead > this.#pending) throw hardwareError('hardware-broken', this.#name, 'finished more requests than it was given', ahead)
    // What it wrote before the index is to be seen now.
    this.#fence()
    const at = RING.entries + 8 * (this.#seen % this.size)
    const head = this.device.view.getUint32(at, true)
    const written = this.device.view.getUint32(at + 4, true)
    const found = this.#inFlight[head]
    if (found === undefined) throw hardwareError('hardware-broken', this.#name, 'finished a request that it was not given', head)
    if (written > found.writable) throw hardwareError('hardware-broken', this.#name, `wrote more than the ${found.writable} bytes that it may`, written)
    this.#seen = (this.#seen + 1) & 0xffff
    this.#inFlight[head] = undefined
    this.#pending--
    let last = head
    for (let more = 1; more < found.count; more++) last = this.#next[last] ?? 0
    this.#next[last] = this.#firstFree
    this.#firstFree = head
    this.#room += found.count
    return { request: found.request, written }
  }

  /** Requests that will not be finished any more. */
  abandon(): readonly Request[] {
    const lost = this.#inFlight.flatMap((flight) => flight === undefined ? [] : [flight.request])
    this.#inFlight.length = 0
    this.#pending = 0
    return lost
  }
}
