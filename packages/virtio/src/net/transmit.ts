import type { NetPort, Offloads } from '@machinist/api'
import { maximumFrame, noOffloads } from '@machinist/api'
import { ethernet } from '@machinist/packets'
import type { VirtioContext } from '../device/spec.ts'
import type { Virtqueue } from '../queue/queue.ts'
import { frameOf } from './header.ts'
import { packetHeader } from './layout.ts'
import { Pieces } from './pieces.ts'

/** Bytes taken from one queue before something else gets its turn, and what a frame counts at least. */
const turn = 2 << 20
const leastCost = 1024

/** One transmit queue: takes the driver's frames as fast as the network does. */
export class TransmitQueue {
  /** What the driver may leave to us. */
  offloads: Offloads = noOffloads
  /** Bytes of the header before a frame. */
  headerSize: number = packetHeader.size
  readonly #index: number
  readonly #port: NetPort
  readonly #context: Pick<VirtioContext, 'queue' | 'running'>
  readonly #again: () => void
  readonly #sent: (bytes: Uint8Array) => void
  /** What the network has not taken yet. While there is any, the queue waits. */
  readonly waiting: Pieces = new Pieces()

  /**
   * @param index - of the queue in its device
   * @param again - asks for another call of {@link pump} at the next opportunity
   * @param sent - told of each frame
   */
  constructor(index: number, port: NetPort, context: Pick<VirtioContext, 'queue' | 'running'>, again: () => void, sent: (bytes: Uint8Array) => void) {
    this.#index = index
    this.#port = port
    this.#context = context
    this.#again = again
    this.#sent = sent
  }

  pump(): void {
    const queue = this.#context.queue(this.#index)
    if (queue === null || !this.#context.running) return
    let budget = turn
    while (budget > 0 && this.#flush()) {
      const packet = this.#take(queue)
      if (packet === null) break
      budget -= Math.max(packet.length, leastCost)
      const frame = packet.length < this.headerSize ? null : frameOf(packet, this.headerSize, this.offloads)
      if (frame === null) continue
      this.#sent(frame.bytes)
      this.waiting.begin(frame, this.#port.offloads)
    }
    queue.signal()
    if (budget <= 0) this.#again()
  }

  reset(): void {
    this.waiting.clear()
  }

  /** A copy of the next packet, empty when it cannot be one; null when there is none. */
  #take(queue: Virtqueue): Uint8Array | null {
    const chain = queue.pop()
    if (chain === null) return null
    const { readableLength } = chain
    const fits = readableLength >= this.headerSize + ethernet.length && readableLength <= this.headerSize + maximumFrame
    const packet = new Uint8Array(fits ? readableLength : 0)
    const taken = chain.read(0, packet)
    queue.push(chain, 0)
    return taken ? packet : packet.subarray(0, 0)
  }

  /** Sends what waits. False when the network is full; it says when it is not. */
  #flush(): boolean {
    for (let frame = this.waiting.first; frame !== undefined; frame = this.waiting.first) {
      if (!this.#port.send(frame)) return false
      this.waiting.next()
    }
    return true
  }
}
