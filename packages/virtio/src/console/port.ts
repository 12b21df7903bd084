import type { CharLine } from '@machinist/api'
import type { VirtioContext } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'

/** Bytes moved in one direction before something else gets its turn. */
const turn = 65536
const pieceSize = 4096
/** What a buffer counts at least, so that empty ones are bounded, too. */
const leastCost = 64
/** How often a console is looked at, {@link settleInterval} apart, before it gets input. */
export const settleTurns = 10

/**
 * Virtual nanoseconds. Linux makes buffers available a moment before it knows that the port is a console, and drops what comes between;
 * nothing tells when that is over. Several short waits, for one alone may be spent by a host that is busy elsewhere.
 */
export const settleInterval = 20_000_000

/** One port of a console device: a receive queue, a transmit queue and a byte stream of the host (virtio 1.2, 5.3.6). */
export class ConsolePort {
  readonly char: CharLine
  readonly receiveQueue: number
  readonly transmitQueue: number
  readonly #context: Pick<VirtioContext, 'queue' | 'running'>
  readonly #again: () => void
  readonly #onEnd: () => void
  readonly #scratch = new Uint8Array(pieceSize)
  /** A buffer for input, taken before there was any. */
  #receiving: Chain | null = null
  /** Output that the host has taken in part. */
  #sending: Chain | null = null
  #sent = 0
  /** The host was told that the queue has more. */
  #more = false
  /** The guest takes input. What it is given earlier it throws away. */
  #open = false
  #settling = settleTurns

  /**
   * @param again - asks for another call of {@link pump} at the next opportunity
   * @param onEnd - told, perhaps several times, that all input has been taken and no more will come
   */
  constructor(char: CharLine, receiveQueue: number, context: Pick<VirtioContext, 'queue' | 'running'>, again: () => void, onEnd: () => void) {
    this.char = char
    this.receiveQueue = receiveQueue
    this.transmitQueue = receiveQueue + 1
    this.#context = context
    this.#again = again
    this.#onEnd = onEnd
  }

  /** Moves what can be moved, both ways. */
  pump(): void {
    this.receive()
    this.transmit()
  }

  /** The guest opened or closed it. */
  set open(value: boolean) {
    this.#open = value
    if (value) this.receive()
  }

  /** The driver of a console has had some more time; whether it needs no more. */
  settle(): boolean {
    if (this.#settling > 0) this.#settling--
    if (this.#settling === 0) this.open = true
    return this.#open
  }

  /** Turns of {@link settle} that are left. */
  get settling(): number {
    return this.#settling
  }

  /** So many are left, after {@link restore}. */
  goOn(turns: number): void {
    this.#settling = turns
  }

  /** Host to guest: as long as the guest has buffers and the host has bytes. */
  receive(): void {
    const queue = this.#context.queue(this.receiveQueue)
    if (queue === null || !this.#context.running || !this.#open) return
    let budget = turn
    while (budget > 0) {
      const chain = this.#live(this.#receiving) ?? queue.pop()
      this.#receiving = chain
      if (chain === null) break
      const room = Math.min(chain.writableLength, pieceSize)
      const bytes = this.#scratch.subarray(0, room)
      const count = room === 0 ? 0 : this.char.read(bytes)
      if (room > 0 && count === 0) {
        if (this.char.ended === true) this.#onEnd()
        break // keep the buffer for the next input
      }
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
    this.#sayMore(budget <= 0)
    if (budget <= 0) this.#again()
  }

  /** Drops everything, at a reset. */
  reset(): void {
    this.#sayMore(false)
    this.#receiving = this.#sending = null
    this.#sent = 0
    this.#open = false
    this.#settling = settleTurns
  }

  /** Whether the guest takes input, for {@link restore}. */
  get isOpen(): boolean {
    return this.#open
  }

  /** Bytes of the output in flight that the host has already taken. */
  save(): number {
    // Without a chain it is that of one which a restored queue has yet to give out.
    return this.#sending?.live === false ? 0 : this.#sent
  }

  /**
   * @param sent - what {@link save} gave: the output that the queue gives out first begins there
   * @param open - what {@link isOpen} gave
   */
  restore(sent: number, open: boolean): void {
    this.reset()
    this.#sent = sent
    this.#open = open
  }

  #sayMore(is: boolean): void {
    if (this.#more !== is) this.char.more(is)
    this.#more = is
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
