import type { Frame, NetPort, Offloads } from '@machinist/api'
import { maximumFrame, noOffloads } from '@machinist/api'
import { ethernet } from '@machinist/packets'
import type { VirtioContext } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { writeHeader } from './header.ts'
import { packetHeader } from './layout.ts'
import { Pieces } from './pieces.ts'

/** Bytes given to the driver before something else gets its turn, and what a frame counts at least. */
const turn = 2 << 20
const leastCost = 1024

/** What the receiving side asks of the device. */
export interface ReceiveHost {
  accepts(bytes: Uint8Array): boolean
  /** Index of the receive queue for a frame. */
  queueFor(bytes: Uint8Array): number
  /** Asks for another call of {@link Receiver.pump} at the next opportunity. */
  again(): void
}

/** Takes frames from the network and puts them into the driver's buffers; while it has none, they wait in the network. */
export class Receiver {
  /** What the driver takes over. */
  offloads: Offloads = noOffloads
  /** A frame may go into several buffers: VIRTIO_NET_F_MRG_RXBUF. */
  mergeable = false
  /** Bytes of the header before a frame. */
  headerSize: number = packetHeader.size
  readonly #port: NetPort
  readonly #context: Pick<VirtioContext, 'queue' | 'running'>
  readonly #host: ReceiveHost
  readonly #header = new Uint8Array(packetHeader.size)
  /** Buffers taken from a queue that no frame was put into yet, by the queue's index. */
  readonly #held = new Map<number, Chain[]>()
  /** What waits for buffers. */
  readonly waiting: Pieces = new Pieces()

  constructor(port: NetPort, context: Pick<VirtioContext, 'queue' | 'running'>, host: ReceiveHost) {
    this.#port = port
    this.#context = context
    this.#host = host
  }

  pump(): void {
    let budget = turn
    const touched = new Set<Virtqueue>()
    while (budget > 0) {
      const frame = this.waiting.first ?? this.#next()
      if (frame === null) break
      budget -= leastCost
      if (frame === undefined) continue
      budget -= frame.bytes.length
      const queue = this.#queueFor(frame)
      if (queue !== null && !this.#put(queue, frame)) break
      if (queue !== null) touched.add(queue)
      this.waiting.next()
    }
    for (const queue of touched) queue.signal()
    if (budget <= 0) this.#host.again()
  }

  reset(): void {
    this.#held.clear()
    this.waiting.clear()
  }

  resetQueue(index: number): void {
    this.#held.delete(index)
  }

  /** The next frame that the driver wants: null when there is none, undefined when the one there was is nothing to it. */
  #next(): Frame | null | undefined {
    const frame = this.#port.receive()
    if (frame === null) return null
    const { length } = frame.bytes
    if (!this.#context.running || length < ethernet.length || length > maximumFrame || !this.#host.accepts(frame.bytes)) return undefined
    this.waiting.begin(frame, this.offloads)
    return this.waiting.first
  }

  #queueFor(frame: Frame): Virtqueue | null {
    const queue = this.#context.running ? this.#context.queue(this.#host.queueFor(frame.bytes)) : null
    return queue?.ready === true ? queue : null
  }

  /** False when the driver has too few buffers at the moment. */
  #put(queue: Virtqueue, frame: Frame): boolean {
    const total = this.headerSize + frame.bytes.length
    const held = this.#heldOf(queue)
    let room = 0
    let count = 0
    while (room < total && (this.mergeable || count === 0)) {
      const chain = held[count] ?? queue.pop()
      if (chain === null) {
        // The whole ring is too small for it: it never fits.
        return held.length >= queue.size || !queue.ready
      }
      if (count === held.length) held.push(chain)
      room += chain.writableLength
      count++
    }
    const first = held[0]
    // Nothing is cut off: a frame that does not fit is dropped (5.1.6.4.1). A header is in one piece.
    if (room < total) return true
    if (first === undefined || first.writableLength < this.headerSize) {
      for (const chain of held.splice(0, 1)) queue.push(chain, 0)
      return true
    }
    writeHeader(this.#header, frame, count, this.offloads.checksum)
    let at = 0
    for (const [index, chain] of held.splice(0, count).entries()) {
      const skip = index === 0 ? this.headerSize : 0
      const piece = frame.bytes.subarray(at, at + chain.writableLength - skip)
      at += piece.length
      const stored = (index > 0 || chain.write(0, this.#header.subarray(0, this.headerSize))) && chain.write(skip, piece)
      // Memory that is not there gets nothing, and the driver an empty buffer.
      queue.push(chain, stored ? skip + piece.length : 0)
    }
    return true
  }

  #heldOf(queue: Virtqueue): Chain[] {
    let held = this.#held.get(queue.index)
    if (held === undefined || held[0]?.live === false) this.#held.set(queue.index, held = [])
    return held
  }
}
