/**
 * Virtqueues, device side (virtio 1.2, 2.6 to 2.8). Everything in the rings is the guest's and may be nonsense: each
 * field is read once, checked, and used from the copy. Nonsense breaks the queue, and with it the device, which then
 * waits for a reset; it never costs more than one walk of at most `size` descriptors.
 */
import type { DmaSpace } from '@machinist/api'
import { buffersOf, Chain } from './chain.ts'
import type { ChainOwner } from './chain.ts'
import { PackedRing } from './packed.ts'
import type { Ring, RingFeatures, RingOwner } from './ring.ts'
import { SplitRing } from './split.ts'
import { addressProblem, noAddresses, requestOf, segmentsOf } from './state.ts'
import type { QueueAddresses, QueueState } from './state.ts'

export { Chain } from './chain.ts'
export type { ChainOwner, Segment } from './chain.ts'
export type { RingFeatures } from './ring.ts'
export type { QueueAddresses, QueueState, RequestState, RingCounters } from './state.ts'

/** Largest queue that the formats allow (2.7, 2.8). */
export const maximumQueueSize: number = 32768

const plain: RingFeatures = { packed: false, eventIdx: false, indirect: false }
const fresh = { available: 0, used: 0, signalled: 0 }

/** What a queue tells the device around it. */
export interface QueueHost {
  /** Whether requests may be taken: DRIVER_OK is set and nothing has failed. */
  readonly running: boolean
  /** Sends a used buffer notification. */
  interrupt(): void
  /** The driver broke the rules: the device must be reset. */
  fail(reason: string): void
}

/** One virtqueue, split or packed as the driver negotiated. */
export class Virtqueue implements ChainOwner {
  /** Number of the queue in its device. */
  readonly index: number
  readonly maximumSize: number
  readonly dma: DmaSpace
  readonly #host: QueueHost
  readonly #owner: RingOwner & { life: number; inFlight: number }
  #features: RingFeatures = plain
  #ring: Ring
  #at: QueueAddresses = noAddresses
  #ready = false
  #stopped = false
  /** Requests in flight by name, in order of popping; bounded by `size`, because no request takes less than a place in the ring. */
  readonly #inFlight = new Map<number, Chain>()
  /** The same, as long as there is but one: then it is not in the map. */
  #only: Chain | null = null
  /** Requests to give out again after a restore. */
  #replay: Chain[] = []
  /** True: {@link pop} gives out those alone. */
  onlyAgain = false

  /**
   * @param maximumSize - entries that the device offers, a power of two up to 32768
   */
  constructor(dma: DmaSpace, index: number, maximumSize: number, host: QueueHost) {
    this.dma = dma
    this.index = index
    this.maximumSize = maximumSize
    this.#host = host
    this.#owner = {
      dma,
      life: 0,
      inFlight: 0,
      holds: (id) => this.#only === null ? this.#inFlight.has(id) : this.#only.head === id,
      broken: (reason) => {
        host.fail(`queue ${String(index)}: ${reason}`)
        return null
      },
    }
    this.#ring = new SplitRing(this.#owner, plain)
  }

  get ready(): boolean {
    return this.#ready
  }

  /** Entries as the driver chose them; 0 while not ready. */
  get size(): number {
    return this.#ready ? this.#at.size : 0
  }

  get life(): number {
    return this.#owner.life
  }

  /** Requests popped and not yet pushed. */
  get inFlight(): number {
    return this.#owner.inFlight
  }

  /**
   * Takes the driver's next request, or null when there is none (or the queue is not ready, or broken). While the ring
   * is empty the driver is asked to notify about the next one.
   */
  pop(): Chain | null {
    if (!this.#ready || this.#stopped || !this.#host.running) return null
    if (this.#replay.length > 0 || this.onlyAgain) return this.#replay.shift() ?? null
    const chain = this.#ring.next()
    if (chain !== null) this.#hold(chain)
    return chain
  }

  #hold(chain: Chain): void {
    const only = this.#only
    if (this.#owner.inFlight++ === 0) {
      this.#only = chain
      return
    }
    if (only !== null) this.#inFlight.set(only.head, only)
    this.#only = null
    this.#inFlight.set(chain.head, chain)
  }

  #forget(): void {
    this.#owner.inFlight = 0
    this.#only = null
    this.#inFlight.clear()
  }

  get #held(): readonly Chain[] {
    return this.#only === null ? [...this.#inFlight.values()] : [this.#only]
  }

  /**
   * Returns a request to the driver (2.7.8, 2.8.6). Ignored when the queue was reset since. Call {@link signal} after
   * the last of a batch.
   *
   * @param written - bytes written at the start of the device-writable part
   */
  push(chain: Chain, written: number): void {
    if (!chain.live || (this.#only ?? this.#inFlight.get(chain.head)) !== chain || !this.#ring.use(chain, written)) return
    this.#owner.inFlight--
    if (this.#only === null) this.#inFlight.delete(chain.head)
    else this.#only = null
  }

  /** Notifies the driver of what was pushed, unless it does not want to know (2.7.7.2, 2.8.10). */
  signal(): void {
    if (this.#ready && !this.#stopped && this.#ring.signal()) this.#host.interrupt()
  }

  /** Fixes what was negotiated, for the core. A queue that was made ready before, in another format, is no more. */
  negotiate(features: RingFeatures): void {
    if (features.packed !== this.#features.packed) this.reset()
    const { counters } = this.#ring
    this.#features = features
    this.#ring = new (features.packed ? PackedRing : SplitRing)(this.#owner, features)
    this.#ring.start(this.#at, counters)
  }

  /** Starts the queue, for the transport. Returns what is wrong with `at`, or null. */
  enable(at: QueueAddresses): string | null {
    const wrong = addressProblem(at, this.maximumSize, this.#features.packed)
    if (wrong !== null) return wrong
    this.reset()
    this.#at = { size: at.size, desc: at.desc, driver: at.driver, device: at.device }
    this.#ring.start(this.#at, fresh)
    this.#ready = true
    return null
  }

  /** Stops the queue and forgets everything, for the transport. Requests in flight are dropped when they complete. */
  reset(): void {
    this.#owner.life += 1
    this.#ready = false
    this.#stopped = false
    this.#at = noAddresses
    this.#ring.start(noAddresses, fresh)
    this.#forget()
    this.#replay = []
  }

  /** No more requests until the reset, and none of those in flight is finished: the device needs a reset. */
  stop(): void {
    this.#owner.life += 1
    this.#stopped = true
  }

  save(): QueueState {
    return { ...this.#at, ready: this.#ready, ...this.#ring.counters, inFlight: this.#held.map(requestOf) }
  }

  /** Takes back a state that `checkQueueState` accepted, of the format that was negotiated. */
  restore(state: QueueState): void {
    this.reset()
    this.#at = { size: state.size, desc: state.desc, driver: state.driver, device: state.device }
    this.#ready = state.ready
    this.#ring.start(this.#at, state)
    for (const { id, slots, readable, writable } of state.inFlight) {
      this.#hold(new Chain(this.#owner, id, slots, buffersOf(segmentsOf(readable), segmentsOf(writable))))
    }
    this.#replay = [...this.#held]
  }
}
