import type { Chain, ChainOwner, Segment } from './chain.ts'
import type { QueueAddresses, RingCounters } from './state.ts'

/** Features that decide how a ring is read and written. */
export interface RingFeatures {
  /** VIRTIO_F_RING_PACKED */
  readonly packed: boolean
  /** VIRTIO_F_EVENT_IDX */
  readonly eventIdx: boolean
  /** VIRTIO_F_INDIRECT_DESC */
  readonly indirect: boolean
}

/**
 * A format of virtqueues in memory: how requests are found and answers given. It keeps no requests: {@link Virtqueue}
 * does, which is the same for every format.
 */
export interface Ring {
  /** How far it got. */
  readonly counters: RingCounters
  /** Takes its place in memory, and goes on from `counters`. */
  start(at: QueueAddresses, counters: RingCounters): void
  /** Takes the driver's next request; null when there is none, or the driver broke the rules. */
  next(): Chain | null
  /** Gives a request back, with the number of bytes written to it. False when the ring is not in RAM. */
  use(chain: Chain, written: number): boolean
  /** Whether the driver wants to hear of what was used since this was asked last. */
  signal(): boolean
}

/** What a ring knows of its queue. */
export interface RingOwner extends ChainOwner {
  /** Requests that were taken and not yet given back. */
  readonly inFlight: number
  /** Whether a request of that name is in flight. */
  holds(id: number): boolean
  /** The driver broke the rules. */
  broken(reason: string): null
}

/** Flags of descriptors, the same in both formats (2.7.5, 2.8.5). */
export const descriptorFlag = { next: 1, write: 2, indirect: 4 } as const
/** Bytes of a descriptor, in both formats. */
export const descriptorSize: number = 16

/** Longest request in bytes (2.7.5.2). */
const longestRequest = 2 ** 32

const none: readonly Segment[] = []

/** A list with one more. That of one, which most are, is made as a whole. */
function grown(list: readonly Segment[], segment: Segment): readonly Segment[] {
  if (list === none) return [segment]
  const own = list as Segment[]
  own.push(segment)
  return own
}

/** The buffers of a request while it is read, checked as they come. One serves a ring for all its requests, one at a time. */
export class Gathering {
  readable: readonly Segment[] = none
  writable: readonly Segment[] = none
  /** Bytes of them. */
  readableLength = 0
  writableLength = 0
  #most = 0
  #count = 0

  /** A request begins. @param most - descriptors, at most: those of the queue (2.7.5.3.1) */
  begin(most: number): void {
    this.readable = this.writable = none
    this.readableLength = this.writableLength = 0
    this.#most = most
    this.#count = 0
  }

  /** Adds a buffer. Returns what is wrong with it, or null. */
  add(address: number, length: number, write: boolean): string | null {
    // A loop shows as a chain longer than the queue, which is forbidden anyhow.
    if (++this.#count > this.#most) return 'a chain longer than the queue'
    if (this.readableLength + this.writableLength + length > longestRequest) return 'a chain longer than 2^32 bytes'
    if (write) this.writableLength += length
    else if (this.writable.length > 0) return 'a device-readable buffer after a device-writable one'
    else this.readableLength += length
    // An empty buffer is pointless and not forbidden.
    if (length === 0) return null
    const segment: Segment = { address, length }
    if (write) this.writable = grown(this.writable, segment)
    else this.readable = grown(this.readable, segment)
    return null
  }
}

/** What is wrong with an indirect table of `length` bytes, or null (2.7.5.3, 2.8.7). */
export function tableProblem(length: number, negotiated: boolean): string | null {
  if (!negotiated) return 'an indirect table, which was not negotiated'
  return length === 0 || length % descriptorSize !== 0 ? `an indirect table of ${String(length)} bytes` : null
}
