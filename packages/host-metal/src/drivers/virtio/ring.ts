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
  readonly chain: readonly number[]
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
  readonly #free: number[]
  readonly #inFlight = new Map<number, InFlight<Request>>()
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
    this.#free = Array.from({ length: size }, (_, index) => size - 1 - index)
  }

  /** Descriptors that are free. */
  get room(): number {
    return this.#free.length
  }

  /** Requests that the device has. */
  get pending(): number {
    return this.#inFlight.size
  }

  /** Gives a request to the device, which is not told of it yet. There must be room for its buffers. */
  add(request: Request, buffers: readonly RingBuffer[]): void {
    if (buffers.length === 0 || buffers.length > this.#free.length) throw new RangeError('no room in the ring')
    const chain = buffers.map(() => this.#free.pop() ?? 0)
    const head = chain[0] ?? 0
    const { view } = this.descriptors
    let writable = 0
    buffers.forEach(({ address, length, write }, index) => {
      const at = DESCRIPTOR.size * (chain[index] ?? 0)
      const next = chain[index + 1]
      view.setUint32(at, address % 2 ** 32, true)
      view.setUint32(at + 4, Math.floor(address / 2 ** 32), true)
      view.setUint32(at + 8, length, true)
      view.setUint16(at + 12, (write ? DESCRIPTOR.write : 0) | (next === undefined ? 0 : DESCRIPTOR.next), true)
      view.setUint16(at + 14, next ?? 0, true)
      if (write) writable += length
    })
    this.#inFlight.set(head, { request, chain, writable })
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
    if (ahead > this.#inFlight.size) throw hardwareError('hardware-broken', this.#name, 'finished more requests than it was given', ahead)
    // What it wrote before the index is to be seen now.
    this.#fence()
    const at = RING.entries + 8 * (this.#seen % this.size)
    const head = this.device.view.getUint32(at, true)
    const written = this.device.view.getUint32(at + 4, true)
    const found = this.#inFlight.get(head)
    if (found === undefined) throw hardwareError('hardware-broken', this.#name, 'finished a request that it was not given', head)
    if (written > found.writable) throw hardwareError('hardware-broken', this.#name, `wrote more than the ${found.writable} bytes that it may`, written)
    this.#seen = (this.#seen + 1) & 0xffff
    this.#inFlight.delete(head)
    this.#free.push(...found.chain)
    return { request: found.request, written }
  }

  /** Requests that will not be finished any more. */
  abandon(): readonly Request[] {
    const lost = [...this.#inFlight.values()].map(({ request }) => request)
    this.#inFlight.clear()
    return lost
  }
}
