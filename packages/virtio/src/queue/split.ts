/**
 * Split virtqueues, device side (virtio 1.2, 2.7). Everything in the rings is the guest's and may be nonsense: each
 * field is read once, checked, and used from the copy. Nonsense breaks the queue, and with it the device, which then
 * waits for a reset; it never costs more than one walk of at most `size` descriptors.
 */
import type { DmaSpace } from '@machinist/api'
import { Chain } from './chain.ts'
import type { ChainOwner, Segment } from './chain.ts'
import { addressProblem } from './state.ts'
import type { QueueAddresses, QueueState } from './state.ts'

export { Chain } from './chain.ts'
export type { ChainOwner, Segment } from './chain.ts'
export type { QueueAddresses, QueueState } from './state.ts'

/** Largest queue that the format allows (2.7). */
export const maximumQueueSize: number = 32768

/** Bits of `flags` in a descriptor (2.7.5). */
const descriptorFlag = { next: 1, write: 2, indirect: 4 }
/** Bit of `flags` in the available ring: the driver does not want used buffer notifications (2.7.7). */
const availNoInterrupt = 1
const descriptorSize = 16
/** Longest chain in bytes (2.7.5.2). */
const maximumChainLength = 2 ** 32

/** What a queue tells the device around it. */
export interface QueueHost {
  /** Whether requests may be taken: DRIVER_OK is set and nothing has failed. */
  readonly running: boolean
  /** Sends a used buffer notification. */
  interrupt(): void
  /** The driver broke the rules: the device must be reset. */
  fail(reason: string): void
}

/** One split virtqueue. */
export class Virtqueue implements ChainOwner {
  /** Number of the queue in its device. */
  readonly index: number
  readonly maximumSize: number
  readonly dma: DmaSpace
  readonly #host: QueueHost
  readonly #scratch = new Uint8Array(descriptorSize)
  readonly #view: DataView = new DataView(this.#scratch.buffer)
  readonly #two: Uint8Array = this.#scratch.subarray(0, 2)
  readonly #eight: Uint8Array = this.#scratch.subarray(0, 8)
  #at: QueueAddresses = { size: 0, desc: 0, driver: 0, device: 0 }
  #ready = false
  #stopped = false
  #life = 0
  #eventIdx = false
  #indirect = false
  /** Entries of the available ring that we have taken, modulo 2^16. */
  #lastAvail = 0
  /** The driver's index when we last looked; never more than `size` ahead of `#lastAvail`. */
  #availIdx = 0
  /** Our index in the used ring. */
  #used = 0
  /** Its value when we last decided about a notification. */
  #signalled = 0
  /** Heads in flight, in order of popping; bounded by `size`, because a head cannot be in flight twice. */
  readonly #inFlight = new Set<number>()
  /** Heads to give out again after a restore. */
  #replay: number[] = []

  /**
   * @param maximumSize - entries that the device offers, a power of two up to 32768
   */
  constructor(dma: DmaSpace, index: number, maximumSize: number, host: QueueHost) {
    this.dma = dma
    this.index = index
    this.maximumSize = maximumSize
    this.#host = host
  }

  get ready(): boolean {
    return this.#ready
  }

  /** Entries as the driver chose them; 0 while not ready. */
  get size(): number {
    return this.#ready ? this.#at.size : 0
  }

  get life(): number {
    return this.#life
  }

  /** Requests popped and not yet pushed. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * Takes the driver's next request, or null when there is none (or the queue is not ready, or broken). While the ring
   * is empty the driver is asked to notify about the next one.
   */
  pop(): Chain | null {
    if (!this.#ready || this.#stopped || !this.#host.running) return null
    const again = this.#replay.shift()
    if (again !== undefined) return this.#walk(again)

    if (this.#lastAvail === this.#availIdx && !this.#lookForMore()) return null
    const { size, driver } = this.#at
    if (this.#inFlight.size >= size) return this.#broken('more requests in flight than it has entries')
    const head = this.#read16(driver + 4 + 2 * (this.#lastAvail & (size - 1)))
    if (head === null) return this.#broken('its available ring is not in RAM')
    if (head >= size) return this.#broken(`descriptor ${String(head)} does not exist`)
    if (this.#inFlight.has(head)) return this.#broken(`descriptor ${String(head)} is in flight already`)
    this.#lastAvail = (this.#lastAvail + 1) & 0xffff
    this.#inFlight.add(head)
    return this.#walk(head)
  }

  /**
   * Returns a request to the driver (2.7.8). Ignored when the queue was reset since. Call {@link signal} after the last
   * of a batch.
   *
   * @param written - bytes written at the start of the device-writable part
   */
  push(chain: Chain, written: number): void {
    if (!chain.live || !this.#inFlight.delete(chain.head)) return
    const { size, device } = this.#at
    this.#view.setUint32(0, chain.head, true)
    this.#view.setUint32(4, written >>> 0, true)
    if (!this.dma.write(device + 4 + 8 * (this.#used & (size - 1)), this.#eight)) return void this.#broken('its used ring is not in RAM')
    this.#used = (this.#used + 1) & 0xffff
    // The index after the element: the driver may look at any time.
    this.#write16(device + 2, this.#used)
  }

  /** Notifies the driver of what was pushed, unless it does not want to know (2.7.7.2). */
  signal(): void {
    const before = this.#signalled
    if (!this.#ready || this.#stopped || this.#used === before) return
    this.#signalled = this.#used
    const { size, driver } = this.#at
    if (this.#eventIdx) {
      const event = this.#read16(driver + 4 + 2 * size)
      if (event === null) return void this.#broken('its available ring is not in RAM')
      if (((this.#used - event - 1) & 0xffff) >= ((this.#used - before) & 0xffff)) return
    } else {
      const flags = this.#read16(driver)
      if (flags === null) return void this.#broken('its available ring is not in RAM')
      if ((flags & availNoInterrupt) !== 0) return
    }
    this.#host.interrupt()
  }

  /** Fixes what was negotiated, for the transport. */
  negotiate(eventIdx: boolean, indirect: boolean): void {
    this.#eventIdx = eventIdx
    this.#indirect = indirect
  }

  /** Starts the queue, for the transport. Returns what is wrong with `at`, or null. */
  enable(at: QueueAddresses): string | null {
    const wrong = addressProblem(at, this.maximumSize)
    if (wrong !== null) return wrong
    this.reset()
    this.#at = { size: at.size, desc: at.desc, driver: at.driver, device: at.device }
    this.#ready = true
    return null
  }

  /** Stops the queue and forgets everything, for the transport. Requests in flight are dropped when they complete. */
  reset(): void {
    this.#life += 1
    this.#ready = false
    this.#stopped = false
    this.#lastAvail = this.#availIdx = this.#used = this.#signalled = 0
    this.#inFlight.clear()
    this.#replay = []
  }

  /** No more requests until the reset, and none of those in flight is finished: the device needs a reset. */
  stop(): void {
    this.#life += 1
    this.#stopped = true
  }

  save(): QueueState {
    return {
      ...this.#at, ready: this.#ready, lastAvail: this.#lastAvail, used: this.#used, signalled: this.#signalled,
      inFlight: [...this.#inFlight],
    }
  }

  /** Takes back a state that {@link checkQueueState} accepted. */
  restore(state: QueueState): void {
    this.reset()
    this.#at = { size: state.size, desc: state.desc, driver: state.driver, device: state.device }
    this.#ready = state.ready
    this.#lastAvail = this.#availIdx = state.lastAvail
    this.#used = state.used
    this.#signalled = state.signalled
    for (const head of state.inFlight) this.#inFlight.add(head)
    this.#replay = [...state.inFlight]
  }

  #lookForMore(): boolean {
    const { size, driver, device } = this.#at
    for (let looks = 0; looks < 2; looks++) {
      const idx = this.#read16(driver + 2)
      if (idx === null) return this.#broken('its available ring is not in RAM') !== null
      const waiting = (idx - this.#lastAvail) & 0xffff
      if (waiting > size) return this.#broken(`its available index jumped by ${String(waiting)}`) !== null
      if (waiting > 0) {
        this.#availIdx = idx
        return true
      }
      if (!this.#eventIdx) return false
      // Ask for a notification, and look again: the driver may have added one without seeing that we ask (2.7.10).
      if (looks === 0 && !this.#write16(device + 4 + 8 * size, this.#lastAvail)) return false
    }
    return false
  }

  /** Copies a chain out of the descriptor table (2.7.5), following at most one indirect table (2.7.5.3). */
  #walk(head: number): Chain | null {
    const { size } = this.#at
    let table = this.#at.desc
    let entries = size
    let inside = false
    let index = head
    let count = 0
    let bytes = 0
    const readable: Segment[] = []
    const writable: Segment[] = []
    for (;;) {
      if (index >= entries) return this.#broken(`descriptor ${String(index)} does not exist`)
      if (!this.dma.read(table + descriptorSize * index, this.#scratch)) return this.#broken('a descriptor table is not in RAM')
      const address = this.#view.getUint32(0, true) + this.#view.getUint32(4, true) * 2 ** 32
      const length = this.#view.getUint32(8, true)
      const flags = this.#view.getUint16(12, true)
      const next = this.#view.getUint16(14, true)

      if ((flags & descriptorFlag.indirect) !== 0) {
        if (!this.#indirect) return this.#broken('an indirect table, which was not negotiated')
        if (inside) return this.#broken('an indirect table inside another')
        if ((flags & descriptorFlag.next) !== 0) return this.#broken('an indirect table that is not the end of its chain')
        if (length === 0 || length % descriptorSize !== 0) return this.#broken(`an indirect table of ${String(length)} bytes`)
        inside = true
        table = address
        entries = length / descriptorSize
        index = 0
        continue
      }

      // A loop shows as a chain longer than the queue, which is forbidden anyhow (2.7.5.3.1).
      count += 1
      if (count > size) return this.#broken('a chain longer than the queue')
      bytes += length
      if (bytes > maximumChainLength) return this.#broken('a chain longer than 2^32 bytes')
      const write = (flags & descriptorFlag.write) !== 0
      if (!write && writable.length > 0) return this.#broken('a device-readable buffer after a device-writable one')
      // An empty buffer is pointless and not forbidden.
      if (length > 0) (write ? writable : readable).push({ address, length })
      if ((flags & descriptorFlag.next) === 0) return new Chain(this, head, readable, writable)
      index = next
    }
  }

  #broken(reason: string): null {
    this.#host.fail(`queue ${String(this.index)}: ${reason}`)
    return null
  }

  #read16(address: number): number | null {
    return this.dma.read(address, this.#two) ? this.#view.getUint16(0, true) : null
  }

  #write16(address: number, value: number): boolean {
    this.#view.setUint16(0, value, true)
    if (this.dma.write(address, this.#two)) return true
    this.#broken('its used ring is not in RAM')
    return false
  }
}
