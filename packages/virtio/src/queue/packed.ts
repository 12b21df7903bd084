import { Chain } from './chain.ts'
import { descriptorFlag, descriptorSize, Gathering, tableProblem } from './ring.ts'
import type { Ring, RingFeatures, RingOwner } from './ring.ts'
import { noAddresses } from './state.ts'
import type { QueueAddresses, RingCounters } from './state.ts'

/** Flags of a descriptor that say whose it is, by comparison with the wrap counter (2.8.1). */
const availFlag = 1 << 7
const usedFlag = 1 << 15
/** Event suppression: the two low bits of `flags` (2.8.10). */
const eventFlags = { enable: 0, disable: 1, descriptor: 2, mask: 3 }
/** Event suppression: the wrap counter in `desc`; below it is the offset (2.8.14). */
const eventWrap = 1 << 15

/**
 * Packed virtqueues, device side (virtio 1.2, 2.8): one ring of descriptors, in which the driver makes requests and the
 * device, in their place, gives them back.
 *
 * A place in the ring and its wrap counter are one number here, from 0 to 2·size − 1: in the first lap, whose wrap
 * counter is 1, it is the index itself. So the distance from `used` to `available` is the number of descriptors that we
 * hold, and a driver that makes more available breaks the rules.
 */
export class PackedRing implements Ring {
  readonly #owner: RingOwner
  readonly #features: RingFeatures
  readonly #gathering = new Gathering()
  readonly #scratch = new Uint8Array(descriptorSize)
  readonly #view: DataView = new DataView(this.#scratch.buffer)
  #at: QueueAddresses = noAddresses
  /** Where the driver's next request begins. */
  #available = 0
  /** Where our next used descriptor goes. */
  #used = 0
  /** Its value when we last decided about a notification. */
  #signalled = 0
  /** What the device's event suppression structure says; -1 before anything was written there. */
  #asked = -1

  constructor(owner: RingOwner, features: RingFeatures) {
    this.#owner = owner
    this.#features = features
  }

  get counters(): RingCounters {
    return { available: this.#available, used: this.#used, signalled: this.#signalled }
  }

  start(at: QueueAddresses, { available, used, signalled }: RingCounters): void {
    this.#at = at
    this.#available = available
    this.#used = used
    this.#signalled = signalled
    this.#asked = -1
  }

  next(): Chain | null {
    const owner = this.#owner
    const { size } = this.#at
    if (!this.#look()) return null
    const free = size - this.#distance(this.#used, this.#available)
    const buffers = this.#gathering
    buffers.begin(size)
    for (let slots = 1; ; slots++) {
      // A chain never ends when it bites its tail, or the tail of another.
      if (slots > free) return owner.broken('a chain longer than the ring has room')
      if (slots > 1 && !this.#read(this.#available + slots - 1)) return null
      const id = this.#view.getUint16(12, true)
      const flags = this.#view.getUint16(14, true)
      const more = (flags & descriptorFlag.next) !== 0
      let wrong: string | null
      if ((flags & descriptorFlag.indirect) === 0) wrong = this.#add(buffers)
      else if (slots > 1 || more) wrong = 'an indirect table in a chain'
      else wrong = this.#addTable(buffers)
      if (wrong !== null) return owner.broken(wrong)
      if (more) continue
      // The driver's own name for it, in the last descriptor (2.8.6).
      if (owner.holds(id)) return owner.broken(`buffer ${String(id)} is in flight already`)
      this.#available = (this.#available + slots) % (2 * size)
      return new Chain(owner, id, slots, buffers)
    }
  }

  /** Writes a used descriptor over the oldest that we hold, and skips as many as the request had (2.8.6). */
  use(chain: Chain, written: number): boolean {
    const { size, desc } = this.#at
    const flags = (written > 0 ? descriptorFlag.write : 0) | (this.#wrap(this.#used) ? availFlag | usedFlag : 0)
    const { dma } = this.#owner
    const used = desc + descriptorSize * (this.#used % size)
    // The flags last, with the Buffer ID: the driver may look at any time.
    if (!dma.write32(used + 8, Math.min(written, 0xffff_ffff))) return this.#noRing() !== null
    dma.fence?.()
    if (!dma.write32(used + 12, chain.head | flags << 16)) return this.#noRing() !== null
    this.#used = (this.#used + chain.slots) % (2 * size)
    return true
  }

  signal(): boolean {
    const before = this.#signalled
    if (this.#used === before) return false
    this.#signalled = this.#used
    const { dma } = this.#owner
    dma.fence?.()
    const wish = dma.read32(this.#at.driver)
    if (wish < 0) return this.#owner.broken('its driver area is not in RAM') !== null
    const event = wish & 0xffff
    const flags = (wish >>> 16) & eventFlags.mask
    if (flags === eventFlags.disable) return false
    if (flags !== eventFlags.descriptor || !this.#features.eventIdx) return true
    const { size } = this.#at
    const wanted = (event & (eventWrap - 1)) + ((event & eventWrap) !== 0 ? 0 : size)
    return this.#distance(before, wanted) < this.#distance(before, this.#used)
  }

  /** Reads the next descriptor. False when the driver has not made it available, and then asks to be told. */
  #look(): boolean {
    const wrap = this.#wrap(this.#available)
    const { dma } = this.#owner
    for (;;) {
      if (!this.#read(this.#available)) return false
      const flags = this.#view.getUint16(14, true)
      if (((flags & availFlag) !== 0) === wrap && ((flags & usedFlag) !== 0) !== wrap) {
        if (dma.fence === undefined) return true
        // What was read before the flags may be older.
        dma.fence()
        return this.#read(this.#available)
      }
      const ask = this.#features.eventIdx
        ? this.#available % this.#at.size | (wrap ? eventWrap : 0) | eventFlags.descriptor << 16
        : eventFlags.enable << 16
      if (ask === this.#asked) return false
      if (!dma.write32(this.#at.device, ask)) return this.#owner.broken('its device area is not in RAM') !== null
      // And look again: the driver may have added one without seeing that we ask.
      dma.fence?.()
      this.#asked = ask
    }
  }

  /** Adds what an indirect table names (2.8.7). Only its write flags count. */
  #addTable(buffers: Gathering): string | null {
    const table = this.#view.getUint32(0, true) + this.#view.getUint32(4, true) * 2 ** 32
    const length = this.#view.getUint32(8, true)
    let wrong = tableProblem(length, this.#features.indirect)
    for (let offset = 0; wrong === null && offset < length; offset += descriptorSize) {
      if (!this.#owner.dma.read(table + offset, this.#scratch)) return 'a descriptor table is not in RAM'
      wrong = this.#add(buffers)
    }
    return wrong
  }

  #add(buffers: Gathering): string | null {
    const address = this.#view.getUint32(0, true) + this.#view.getUint32(4, true) * 2 ** 32
    return buffers.add(address, this.#view.getUint32(8, true), (this.#view.getUint16(14, true) & descriptorFlag.write) !== 0)
  }

  #read(place: number): boolean {
    return this.#owner.dma.read(this.#at.desc + descriptorSize * (place % this.#at.size), this.#scratch) || this.#noRing() !== null
  }

  /** The wrap counter of a place. */
  #wrap(place: number): boolean {
    return place < this.#at.size
  }

  #distance(from: number, to: number): number {
    const lap = 2 * this.#at.size
    return (to - from + lap) % lap
  }

  #noRing(): null {
    return this.#owner.broken('its descriptor ring is not in RAM')
  }
}
