import type { DmaSpace } from '@machinist/api'

/** One buffer of a descriptor chain, in guest-physical memory. Nothing says that it is RAM. */
export interface Segment {
  readonly address: number
  /** Bytes, below 2^32; never 0. */
  readonly length: number
}

/** The buffers of a request, and how many bytes they have in all. */
export interface Buffers {
  readonly readable: readonly Segment[]
  readonly writable: readonly Segment[]
  readonly readableLength: number
  readonly writableLength: number
}

/** What a {@link Chain} asks of its queue. */
export interface ChainOwner {
  readonly dma: DmaSpace
  /** Changes when the queue is reset: what was popped before is not to be touched any more. */
  readonly life: number
}

/**
 * A request of the driver: the buffers of one descriptor chain, copied out of the descriptor table once, so that what
 * the guest does to the table afterwards does not matter. First come the buffers that the device reads, then those
 * that it writes (virtio 1.2, 2.7.4.2). How a request is cut into buffers means nothing (2.7.4): devices address it by
 * byte offset.
 */
export class Chain {
  /** The request's name in its ring: the index of the first descriptor, or the Buffer ID of a packed ring. */
  readonly head: number
  /** Places that it takes in the ring. */
  readonly slots: number
  readonly readable: readonly Segment[]
  readonly writable: readonly Segment[]
  /** Bytes that the device may read, at most 2^32. */
  readonly readableLength: number
  /** Bytes that the device may write, at most 2^32. */
  readonly writableLength: number
  readonly #owner: ChainOwner
  readonly #life: number

  /** Made by {@link Virtqueue.pop} only. */
  constructor(owner: ChainOwner, head: number, slots: number, { readable, writable, readableLength, writableLength }: Buffers) {
    this.head = head
    this.slots = slots
    this.readable = readable
    this.writable = writable
    this.readableLength = readableLength
    this.writableLength = writableLength
    this.#owner = owner
    this.#life = owner.life
  }

  /** False once the queue was reset: memory then belongs to the guest again, and reads and writes here fail. */
  get live(): boolean {
    return this.#owner.life === this.#life
  }

  /** Copies device-readable bytes from byte `offset` on. False when they are not all there and in RAM. */
  read(offset: number, into: Uint8Array): boolean {
    return this.#copy(this.readable, offset, into, false)
  }

  /** The same, as words of four bytes, the low byte first. */
  readWords(offset: number, into: Uint32Array): boolean {
    const first = this.readable[0]
    // Nearly always the first buffer has all of it.
    if (this.#owner.life === this.#life && first !== undefined && offset + 4 * into.length <= first.length) return this.#owner.dma.readWords(first.address + offset, into)
    const bytes = new Uint8Array(4 * into.length)
    if (!this.read(offset, bytes)) return false
    const view = new DataView(bytes.buffer)
    for (let index = 0; index < into.length; index++) into[index] = view.getUint32(4 * index, true)
    return true
  }

  /**
   * Copies `from` to the device-writable bytes from byte `offset` on. False when they are not all there and in RAM;
   * then some may have been written.
   */
  write(offset: number, from: Uint8Array): boolean {
    return this.#copy(this.writable, offset, from, true)
  }

  /**
   * Views of device-writable bytes from byte `offset` on, in order, until the device returns to its caller: to be filled as a whole, for they count
   * as written. Null when they are not all there and in RAM, or would be more than `most` views.
   */
  views(offset: number, length: number, most: number): readonly Uint8Array[] | null {
    if (!this.live) return null
    const pieces: Segment[] = []
    for (const segment of this.writable) {
      if (length > 0 && offset < segment.length) {
        const count = Math.min(segment.length - offset, length)
        pieces.push({ address: segment.address + offset, length: count })
        length -= count
        offset = 0
      } else offset -= Math.min(offset, segment.length)
    }
    if (length > 0 || pieces.length > most) return null
    // Making a view may give pages their frames and so end the life of those made before; the second time all have theirs.
    const views = this.#map(pieces)
    if (views === null || views.length > most) return null
    return views.every(({ buffer }) => buffer === views[0]?.buffer) ? views : this.#map(pieces)
  }

  #map(pieces: readonly Segment[]): Uint8Array[] | null {
    const views: Uint8Array[] = []
    for (const { address, length } of pieces) {
      const mapped = this.#owner.dma.map(address, length, 'write')
      if (mapped === null) return null
      for (const view of mapped) views.push(view)
    }
    return views
  }

  #copy(segments: readonly Segment[], offset: number, bytes: Uint8Array, write: boolean): boolean {
    const { dma, life } = this.#owner
    if (life !== this.#life) return false
    const all = bytes.length
    let done = 0
    for (let index = 0; done < all; index++) {
      const segment = segments[index]
      if (segment === undefined) return false
      const { address, length } = segment
      if (offset >= length) {
        offset -= length
        continue
      }
      const room = length - offset
      // Nearly always one buffer has all of it.
      if (done === 0 && room >= all) return write ? dma.write(address + offset, bytes) : dma.read(address + offset, bytes)
      const count = Math.min(room, all - done)
      const piece = bytes.subarray(done, done + count)
      if (!(write ? dma.write(address + offset, piece) : dma.read(address + offset, piece))) return false
      done += count
      offset = 0
    }
    return true
  }
}

/** Buffers with their lengths. */
export function buffersOf(readable: readonly Segment[], writable: readonly Segment[]): Buffers {
  const total = (segments: readonly Segment[]): number => segments.reduce((sum, { length }) => sum + length, 0)
  return { readable, writable, readableLength: total(readable), writableLength: total(writable) }
}
