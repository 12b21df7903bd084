/** Random but mostly honest drivers of virtio devices, over each transport and ring format. */
import { PackedDriverRing, SplitDriverRing } from '@machinist/virtio/testing'
import type { Random } from '@machinist/testkit'
import { action } from './guest-code.ts'
import type { HartRun, Program } from './operator.ts'
import { type Request, requests } from './requests.ts'

export function* read(address: number, width: 1 | 2 | 4 = 4): Program<number> {
  return yield { action: width === 1 ? action.read8 : width === 2 ? action.read16 : action.read32, address }
}

export function* write(address: number, value: number, width: 1 | 2 | 4 = 4): Program {
  yield { action: width === 1 ? action.write8 : width === 2 ? action.write16 : action.write32, address, value }
}

/** Where the registers of a virtio device are. */
export interface Transport {
  setUp(): Program
  status(): Program<number>
  setStatus(value: number): Program
  offered(word: number): Program<number>
  accept(word: number, bits: number): Program
  /** 0 when there is no such queue. */
  largest(queue: number): Program<number>
  setQueue(queue: number, ring: { readonly size: number; readonly desc: number; readonly avail: number; readonly used: number }): Program
  resetQueue(queue: number): Program
  notify(queue: number, value: number): Program
  /** Reads and acknowledges what interrupts are about. */
  acknowledge(): Program
  readonly configuration: number
  readonly legacy: boolean
}

export function mmio(base: number): Transport {
  return {
    configuration: base + 0x100, legacy: false,
    *setUp() {},
    status: () => read(base + 0x70),
    setStatus: (value) => write(base + 0x70, value),
    *offered(word) {
      yield* write(base + 0x14, word)
      return yield* read(base + 0x10)
    },
    *accept(word, bits) {
      yield* write(base + 0x24, word)
      yield* write(base + 0x20, bits)
    },
    *largest(queue) {
      yield* write(base + 0x30, queue)
      return yield* read(base + 0x34)
    },
    *setQueue(queue, { size, desc, avail, used }) {
      yield* write(base + 0x30, queue)
      yield* write(base + 0x38, size)
      for (const [register, value] of [[0x80, desc], [0x84, 0], [0x90, avail], [0x94, 0], [0xa0, used], [0xa4, 0], [0x44, 1]] as const) yield* write(base + register, value)
    },
    *resetQueue(queue) {
      yield* write(base + 0x30, queue)
      yield* write(base + 0xc0, 1)
    },
    notify: (_queue, value) => write(base + 0x50, value),
    *acknowledge() { yield* write(base + 0x64, yield* read(base + 0x60)) },
  }
}

export function legacyMmio(base: number): Transport {
  return {
    ...mmio(base), legacy: true,
    setUp: () => write(base + 0x28, 4096),
    *setQueue(queue, { size, desc }) {
      for (const [register, value] of [[0x30, queue], [0x38, size], [0x3c, 64], [0x40, desc / 4096]] as const) yield* write(base + register, value)
    },
    *resetQueue(queue) {
      yield* write(base + 0x30, queue)
      yield* write(base + 0x40, 0)
    },
  }
}

/**
 * @param config - of the function
 * @param bars - where processors see its BARs
 * @param bus - the same on the bus
 * @param message - where MSI-X messages go, if they are used
 */
export function pci(config: number, bars: number, bus: number, message: { readonly address: number; readonly data: number } | null): Transport {
  const [isr, configuration, notifications] = [bars + 0x1000, bars + 0x2000, bars + 0x3000]
  return {
    configuration, legacy: false,
    *setUp() {
      for (const [index, value] of [[0, bus], [1, 0], [4, bus + 0x10000], [5, 0]] as const) yield* write(config + 0x10 + 4 * index, value)
      yield* write(config + 4, 6, 2)
      if (message === null) return
      let at = yield* read(config + 0x34, 1)
      for (let steps = 0; at !== 0 && steps < 16 && (yield* read(config + at, 1)) !== 0x11; steps++) at = yield* read(config + at + 1, 1)
      if (at === 0) return
      for (let vector = 0; vector < 2; vector++) {
        for (const [word, value] of [message.address, 0, message.data + vector, 0].entries()) yield* write(bars + 0x10000 + 16 * vector + 4 * word, value)
      }
      yield* write(config + at + 2, 0x8000, 2)
      yield* write(bars + 16, 0, 2)
    },
    status: () => read(bars + 20, 1),
    setStatus: (value) => write(bars + 20, value, 1),
    *offered(word) {
      yield* write(bars, word)
      return yield* read(bars + 4)
    },
    *accept(word, bits) {
      yield* write(bars + 8, word)
      yield* write(bars + 12, bits)
    },
    *largest(queue) {
      if (queue >= (yield* read(bars + 18, 2))) return 0
      yield* write(bars + 22, queue, 2)
      return yield* read(bars + 24, 2)
    },
    *setQueue(queue, { size, desc, avail, used }) {
      yield* write(bars + 22, queue, 2)
      yield* write(bars + 24, size, 2)
      if (message !== null) yield* write(bars + 26, 1, 2)
      for (const [register, value] of [[32, desc], [36, 0], [40, avail], [44, 0], [48, used], [52, 0]] as const) yield* write(bars + register, value)
      yield* write(bars + 28, 1, 2)
    },
    *resetQueue(queue) {
      yield* write(bars + 22, queue, 2)
      yield* write(bars + 58, 1, 2)
    },
    notify: (queue, value) => write(notifications + 4 * queue, value, value > 0xffff ? 4 : 2),
    *acknowledge() { yield* read(isr, 1) },
  }
}

/** Where things are in a driver's RAM: a page for each ring, a request's buffers in each of some slots, RAM that requests may name, and words for harts. */
const layout = { slots: 0x1_0000, slot: 0x800, count: 24, spare: 0x1_c000, words: 0x1_ffc0 }
const DRIVER = 3, FEATURES_OK = 8, DRIVER_OK = 4, NEEDS_RESET = 0x40
const feature = { indirect: 28, eventIdx: 29, version1: 32, packed: 34, notificationData: 38, ringReset: 40 }

/** Drives one device for ever, a random act at each call. */
export class VirtioProgram {
  readonly transport: Transport
  readonly #kind: string
  readonly #own: number
  readonly #run: HartRun
  readonly #random: Random
  readonly #area: number
  #rings: (SplitDriverRing | PackedDriverRing)[] = []
  /** Slots that are free, and those of requests in flight, by ring and by what the ring calls them. */
  #free: number[] = []
  #taken: Map<number, number>[] = []
  #accepted: readonly [number, number] = [0, 0]
  #started = false
  /** What makes requests keeps something of its own: fids, resources, what was asked last. */
  #request: Request

  /**
   * @param area - RAM for its rings and buffers
   * @param own - where memory of the device's own begins
   */
  constructor(kind: string, transport: Transport, run: HartRun, random: Random, area: number, own: number) {
    this.#kind = kind
    this.#own = own
    this.transport = transport
    this.#run = run
    this.#random = random
    this.#area = area
    this.#request = requests(kind, own)
  }

  * step(): Program {
    const { transport } = this
    const random = this.#random
    if (!this.#started || random.chance(0.004)) return yield* this.#start()
    const queue = random.below(this.#rings.length)
    switch (random.below(24)) {
      case 0: {
        const status = yield* transport.status()
        if ((status & NEEDS_RESET) !== 0 || status === 0) this.#started = false
        return
      }
      case 1: return yield* transport.acknowledge()
      case 2: {
        const width = random.pick([1, 2, 4] as const)
        yield* read(transport.configuration + width * random.below(64 / width), width)
        return
      }
      case 3: {
        if (random.chance(0.5)) return yield* write(transport.configuration + random.below(64), random.below(4), 1)
        return
      }
      case 4: {
        // A word of RAM that no device uses.
        yield { action: action.add, address: this.#area + layout.words + 4 * random.below(16), value: random.u32() }
        return
      }
      case 5: {
        if (random.chance(0.1) && (transport.legacy || this.#has(feature.ringReset))) {
          yield* transport.resetQueue(queue)
          yield* this.#setUp(queue)
        }
        return
      }
      case 6: return yield* this.#notify(queue)
      case 7: case 8: case 9: case 10: case 11: return this.#collect(queue)
      default: {
        for (let count = random.between(1, 4); count > 0; count--) this.#submit(queue)
        // Now and then later.
        if (random.chance(0.8)) yield* this.#notify(queue)
      }
    }
  }

  #has(bit: number): boolean {
    return ((this.#accepted[bit >>> 5 === 0 ? 0 : 1] >>> (bit & 31)) & 1) !== 0
  }

  * #start(): Program {
    const { transport } = this
    const random = this.#random
    this.#request = requests(this.#kind, this.#own)
    yield* transport.setStatus(0)
    yield* transport.setUp()
    yield* transport.setStatus(DRIVER)
    const words: number[] = []
    for (const word of transport.legacy ? [0] : [0, 1]) {
      const offered = yield* transport.offered(word)
      let bits = offered
      for (let bit = 0; bit < 32; bit++) if (32 * word + bit !== feature.version1 && random.chance(0.1)) bits &= ~(1 << bit)
      words.push(bits >>> 0)
      yield* transport.accept(word, bits >>> 0)
    }
    this.#accepted = [words[0] ?? 0, words[1] ?? 0]
    if (!transport.legacy) yield* transport.setStatus(DRIVER | FEATURES_OK)
    this.#rings = []
    this.#taken = []
    this.#free = Array.from({ length: layout.count }, (_, slot) => slot)
    for (let queue = 0; queue < 16 && (yield* transport.largest(queue)) !== 0; queue++) yield* this.#setUp(queue)
    yield* transport.setStatus(DRIVER | (transport.legacy ? 0 : FEATURES_OK) | DRIVER_OK)
    // The device may refuse the choice.
    this.#started = (yield* transport.status()) === (transport.legacy ? 7 : 15) || transport.legacy
  }

  * #setUp(queue: number): Program {
    const base = this.#area + 4096 * queue
    const packed = this.#has(feature.packed)
    const size = this.#random.pick(packed ? [4, 5, 16] : [4, 8, 16])
    const ring = packed ? new PackedDriverRing(size, base) : new SplitDriverRing(size, base, this.transport.legacy ? 64 : 4)
    this.#run.ram.put(base, new Uint8Array(4096))
    this.#rings[queue] = ring
    this.#free.push(...this.#taken[queue]?.values() ?? [])
    this.#taken[queue] = new Map()
    yield* this.transport.setQueue(queue, ring)
  }

  * #notify(queue: number): Program {
    yield* this.transport.notify(queue, this.#has(feature.notificationData) ? (queue | 0x5a5a_0000) >>> 0 : queue)
  }

  #collect(queue: number): void {
    const ring = this.#rings[queue]
    if (ring === undefined) return
    const { ram } = this.#run
    for (let used = ring.take(ram); used !== null; used = ring.take(ram)) {
      this.#request.used?.()
      const slot = this.#taken[queue]?.get(used.id)
      this.#taken[queue]?.delete(used.id)
      if (slot !== undefined) this.#free.push(slot)
    }
    if (this.#random.chance(0.5)) ring.arm(ram, this.#has(feature.eventIdx))
  }

  #submit(queue: number): void {
    const ring = this.#rings[queue]
    if (ring === undefined) return
    const random = this.#random
    const { ram } = this.#run
    const made = this.#request.make(random, queue, this.#area + layout.spare)
    if (made === null) return
    const [slot] = this.#free
    const indirect = this.#has(feature.indirect) && random.chance(0.4)
    const count = made.out.length + made.answers.length
    if (slot === undefined || count === 0 || count > ring.size || ring.room < (indirect ? 1 : count)) return this.#request.used?.()
    let next = this.#area + layout.slots + layout.slot * slot
    const place = (length: number): number => {
      const at = next
      next += Math.ceil(length / 16) * 16
      return at
    }
    const buffers = [
      ...made.out.map((bytes) => {
        const address = place(bytes.length)
        ram.put(address, bytes)
        return { address, length: bytes.length, write: false }
      }),
      ...made.answers.map((length) => ({ address: place(length), length, write: true })),
    ]
    const id = ring.add(ram, buffers, indirect ? place(16 * count) : null)
    this.#free.shift()
    this.#taken[queue]?.set(id, slot)
  }
}
