import { Chain } from './chain.ts'
import { descriptorFlag, descriptorSize, Gathering, tableProblem } from './ring.ts'
import type { Ring, RingFeatures, RingOwner } from './ring.ts'
import { noAddresses } from './state.ts'
import type { QueueAddresses, RingCounters } from './state.ts'

/** Bit of `flags` in the available ring: the driver does not want used buffer notifications (2.7.7). */
const availNoInterrupt = 1

const { next: NEXT, write: WRITE, indirect: INDIRECT } = descriptorFlag
const DESCRIPTOR_WORDS = descriptorSize / 4
/** Descriptors that are copied at once: most chains have no more. */
const AT_ONCE = 8

/** Split virtqueues, device side (virtio 1.2, 2.7): a descriptor table, an available ring and a used ring. */
export class SplitRing implements Ring {
  readonly #owner: RingOwner
  readonly #features: RingFeatures
  /** Some descriptors of a chain (2.7.5), each of 4 words: address, length, flags below next. */
  readonly #words = new Uint32Array(AT_ONCE * DESCRIPTOR_WORDS)
  readonly #one = new Uint32Array(DESCRIPTOR_WORDS)
  readonly #gathering = new Gathering()
  #at: QueueAddresses = noAddresses
  /** Entries of the available ring that we have taken, modulo 2^16. */
  #lastAvail = 0
  /** The driver's index when we last looked; never more than `size` ahead of `#lastAvail`. */
  #availIdx = 0
  /** Our index in the used ring. */
  #used = 0
  /** Its value when we last decided about a notification. */
  #signalled = 0

  constructor(owner: RingOwner, features: RingFeatures) {
    this.#owner = owner
    this.#features = features
  }

  get counters(): RingCounters {
    return { available: this.#lastAvail, used: this.#used, signalled: this.#signalled }
  }

  start(at: QueueAddresses, { available, used, signalled }: RingCounters): void {
    this.#at = at
    this.#lastAvail = this.#availIdx = available
    this.#used = used
    this.#signalled = signalled
  }

  next(): Chain | null {
    if (this.#lastAvail === this.#availIdx && !this.#lookForMore()) return null
    const owner = this.#owner
    const { size, driver } = this.#at
    if (owner.inFlight >= size) return owner.broken('more requests in flight than it has entries')
    const head = owner.dma.read16(driver + 4 + 2 * (this.#lastAvail & (size - 1)))
    if (head < 0) return owner.broken('its available ring is not in RAM')
    if (head >= size) return owner.broken(`descriptor ${String(head)} does not exist`)
    if (owner.holds(head)) return owner.broken(`descriptor ${String(head)} is in flight already`)
    const chain = this.#walk(head)
    if (chain !== null) this.#lastAvail = (this.#lastAvail + 1) & 0xffff
    return chain
  }

  /** Writes a used element (2.7.8). */
  use(chain: Chain, written: number): boolean {
    const { dma } = this.#owner
    const { size, device } = this.#at
    const element = device + 4 + 8 * (this.#used & (size - 1))
    if (!dma.write32(element, chain.head) || !dma.write32(element + 4, written > 0xffff_ffff ? 0xffff_ffff : written)) return this.#noUsedRing()
    // The index after the element: the driver may look at any time.
    dma.fence?.()
    const used = (this.#used + 1) & 0xffff
    if (!dma.write16(device + 2, used)) return this.#noUsedRing()
    this.#used = used
    return true
  }

  signal(): boolean {
    const before = this.#signalled
    if (this.#used === before) return false
    this.#signalled = this.#used
    const { size, driver } = this.#at
    const { dma } = this.#owner
    // used_event, or the flag (2.7.7.2), as it is when the driver can see what was used.
    dma.fence?.()
    const wish = dma.read16(this.#features.eventIdx ? driver + 4 + 2 * size : driver)
    if (wish < 0) return this.#owner.broken('its available ring is not in RAM') !== null
    return this.#features.eventIdx ? ((this.#used - wish - 1) & 0xffff) < ((this.#used - before) & 0xffff) : (wish & availNoInterrupt) === 0
  }

  #lookForMore(): boolean {
    const { dma } = this.#owner
    const { size, driver, device } = this.#at
    for (let looks = 0; looks < 2; looks++) {
      const idx = dma.read16(driver + 2)
      if (idx < 0) return this.#owner.broken('its available ring is not in RAM') !== null
      const waiting = (idx - this.#lastAvail) & 0xffff
      if (waiting > size) return this.#owner.broken(`its available index jumped by ${String(waiting)}`) !== null
      if (waiting > 0) {
        dma.fence?.()
        this.#availIdx = idx
        return true
      }
      if (!this.#features.eventIdx) return false
      // Ask for a notification, and look again: the driver may have added one without seeing that we ask (2.7.10).
      if (looks > 0) return false
      if (!dma.write16(device + 4 + 8 * size, this.#lastAvail)) return this.#noUsedRing()
      dma.fence?.()
    }
    return false
  }

  /** Copies a chain out of the descriptor table (2.7.5), following at most one indirect table (2.7.5.3). */
  #walk(head: number): Chain | null {
    const owner = this.#owner
    let table = this.#at.desc
    let entries = this.#at.size
    let inside = false
    let index = head
    const buffers = this.#gathering
    buffers.begin(entries)
    const words = this.#words
    for (let left = 0, at = 0; ; left--, at += DESCRIPTOR_WORDS) {
      if (index >= entries) return owner.broken(`descriptor ${String(index)} does not exist`)
      if (left === 0) {
        left = this.#read(table, entries, index)
        at = 0
        if (left === 0) return owner.broken('a descriptor table is not in RAM')
      }
      const address = (words[at] ?? 0) + (words[at + 1] ?? 0) * 2 ** 32
      const length = words[at + 2] ?? 0
      const last = words[at + 3] ?? 0

      if ((last & INDIRECT) !== 0) {
        if (inside) return owner.broken('an indirect table inside another')
        if ((last & NEXT) !== 0) return owner.broken('an indirect table that is not the end of its chain')
        const wrong = tableProblem(length, this.#features.indirect)
        if (wrong !== null) return owner.broken(wrong)
        inside = true
        table = address
        entries = length / descriptorSize
        index = 0
        left = 1
        continue
      }
      const wrong = buffers.add(address, length, (last & WRITE) !== 0)
      if (wrong !== null) return owner.broken(wrong)
      if ((last & NEXT) === 0) return new Chain(owner, head, 1, buffers)
      index = last >>> 16
    }
  }

  /** Copies descriptors of a chain from one on. Returns how many, 0 when the first is not in RAM. */
  #read(table: number, entries: number, index: number): number {
    const { dma } = this.#owner
    const count = dma.readDescriptors?.(table, entries, index, this.#words) ?? 0
    if (count > 0) return count
    if (!dma.readWords(table + descriptorSize * index, this.#one)) return 0
    this.#words.set(this.#one)
    return 1
  }

  #noUsedRing(): false {
    this.#owner.broken('its used ring is not in RAM')
    return false
  }
}
