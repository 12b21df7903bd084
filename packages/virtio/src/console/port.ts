import type { CharLine } from '@machinist/api'
import type { VirtioContext } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'

/** Bytes moved in one direction before something else gets its turn. */
const turn = 65536
const pieceSize = 4096
/** What a buffer counts at least, so that empty ones are bounded, too. */
const leastCost = 64

/** One port of a console device: a receive queue, a transmit queue and a byte stream of the host (virtio 1.2, 5.3.6). */
export class ConsolePort {
  readonly char: CharLine
  readonly receiveQueue: number
  readonly transmitQueue: number
  readonly #context: Pick<VirtioContext, 'queue' | 'running'>
  readonly #again: () => void
  readonly #scratch = new Uint8Array(pieceSize)
  /** A buffer for input, taken before there was any. */
  #receiving: Chain | null = null
  /** Output that the host has taken in part. */
  #sending: Chain | null = null
  #sent = 0

  /** @param again - asks for another call of {@link pump} at the next opportunity */
  constructor(char: CharLine, receiveQueue: number, context: Pick<VirtioContext, 'queue' | 'running'>, again: () => void) {
    this.char = char
    this.receiveQueue = receiveQueue
    this.transmitQueue = receiveQueue + 1
    this.#context = context
    this.#again = again
  }

  /** Moves what can be moved, both ways. */
  pump(): void {
    this.receive()
    this.transmit()
  }

  /** Host to guest: as long as the guest has buffers and the host has bytes. */
  receive(): void {
    const queue = this.#context.queue(this.receiveQueue)
    if (queue === null || !this.#context.running) return
    let budget = turn
    while (budget > 0) {
      const chain = this.#live(this.#receiving) ?? queue.pop()
      this.#receiving = chain
      if (chain === null) break
      const room = Math.min(chain.writableLength, pieceSize)
      const bytes = this.#scratch.subarray(0, room)
      const count = room === 0 ? 0 : this.char.read(bytes)
      if (room > 0 && count === 0) break // keep the buffer for the next input
      const stored = chain.write(0, bytes.subarray(0, count))
      queue.push(chain, stored ? count : 0)
      this.#receiving = null
      budget -= Math.max(count, leastCost)
    }
    queue.signal()
    if (budget <= 0) this.#again()
  }

  /** Guest to host: as long as the guest has output and the host takes it. */
  transmit(): void {
    const queue = this.#context.queue(this.transmitQueue)
    if (queue === null || !this.#context.running) return
    let budget = turn
    while (budget > 0) {
      const chain = this.#nextOutput(queue)
      if (chain === null) break
      const bytes = this.#scratch.subarray(0, Math.min(chain.readableLength - this.#sent, pieceSize))
      if (bytes.length > 0 && chain.read(this.#sent, bytes)) {
        const count = this.char.write(bytes)
        this.#sent += count
        budget -= count
        if (count < bytes.length) break // until `writable`
        if (this.#sent < chain.readableLength) continue
      }
      queue.push(chain, 0)
      this.#sending = null
      this.#sent = 0
      budget -= leastCost
    }
    queue.signal()
    if (budget <= 0) this.#again()
  }

  /** Drops everything, at a reset. */
  reset(): void {
    this.#receiving = this.#sending = null
    this.#sent = 0
  }

  /** Bytes of the output in flight that the host has already taken. */
  save(): number {
    // Without a chain it is that of one which a restored queue has yet to give out.
    return this.#sending?.live === false ? 0 : this.#sent
  }

  /** @param sent - what {@link save} gave: the output that the queue gives out first begins there */
  restore(sent: number): void {
    this.reset()
    this.#sent = sent
  }

  #nextOutput(queue: Virtqueue): Chain | null {
    const current = this.#live(this.#sending)
    if (current !== null) return current
    // Output of an earlier life takes its count along; without any, the count belongs to a restored one.
    if (this.#sending !== null) this.#sent = 0
    const chain = queue.pop()
    if (chain === null || this.#sent > chain.readableLength) this.#sent = 0
    this.#sending = chain
    return chain
  }

  #live(chain: Chain | null): Chain | null {
    return chain?.live === true ? chain : null
  }
}
