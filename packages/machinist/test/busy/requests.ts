/** Requests that make sense to virtio devices, at random. */
import type { Random } from '@machinist/testkit'

/** Buffers that a device reads, and lengths of those that it writes. */
export interface Made {
  readonly out: readonly Uint8Array[]
  readonly answers: readonly number[]
}

/** Makes requests for one device. */
export interface Request {
  /** @param spare - RAM that requests may name */
  make(random: Random, queue: number, spare: number): Made | null
  /** A request has come back, or could not be made. */
  used?(): void
}

const bytes = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256))
const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer)
const receive = (length: number): Made => ({ out: [], answers: [length] })

/** A 9P message. Integers by their width: a number, or a string. */
function message(type: number, tag: number, ...fields: readonly (readonly [width: 1 | 2 | 4 | 8, value: number] | string)[]): Uint8Array {
  const body: number[] = []
  for (const field of fields) {
    if (typeof field === 'string') body.push(field.length & 255, field.length >> 8, ...[...field].map((letter) => letter.charCodeAt(0)))
    else for (let i = 0; i < field[0]; i++) body.push(Math.floor(field[1] / 2 ** (8 * i)) & 255)
  }
  const size = 7 + body.length
  return Uint8Array.from([size & 255, size >> 8, 0, 0, type, tag & 255, tag >> 8, ...body])
}

/** One request at a time: which of several comes back first is the folder's affair. */
function p9(): Request {
  let tag = 0
  let waits = false
  return {
    used() { waits = false },
    make(random) {
      if (waits) return null
      waits = true
      tag++
      const fid = (): [4, number] => [4, random.below(6)]
      const name = (): string => random.pick(['d0', 'd1', 'f0', 'f1', 'f2', 'f3', 'nothing'])
      const offset = (): [8, number] => [8, random.below(300)]
      const out = tag === 1 ? message(100, 0xffff, [4, 8192], '9P2000.L') : tag === 2 ? message(104, tag, [4, 0], [4, 0xffff_ffff], '', '', [4, 0]) : random.pick([
        () => message(110, tag, fid(), fid(), [2, 1], name()), () => message(110, tag, fid(), fid(), [2, 2], name(), name()), () => message(110, tag, [4, 0], fid(), [2, 0]),
        () => message(110, tag, [4, 0], fid(), [2, 2], random.pick(['d0', 'd1']), name()),
        () => message(12, tag, fid(), [4, random.pick([0, 0o200000])]), () => message(116, tag, fid(), offset(), [4, random.below(200)]),
        () => message(40, tag, fid(), [8, random.below(3)], [4, random.below(500)]), () => message(24, tag, fid(), [8, 0x7ff]), () => message(120, tag, fid()),
        () => message(8, tag, fid()), () => message(108, tag, [2, tag - 1]), () => message(118, tag, fid(), offset(), [4, 3], [1, 1], [1, 2], [1, 3]),
        () => message(72, tag, fid(), 'new', [4, 0o755], [4, 0]),
      ])()
      return { out: [out], answers: [600] }
    },
  }
}

function gpu(): Request {
  return {
    make(random, queue, spare) {
      const id = 1 + random.below(3)
      const make = (type: number, ...rest: readonly number[]): Made => ({ out: [words(type, random.below(2), random.u32(), 0, 0, 0, ...rest)], answers: [random.pick([24, 408, 1056])] })
      if (queue === 1) return make(0x300 + random.below(2), 0, random.below(64), random.below(64), 0, random.below(4), 0, 0, 0)
      return random.pick([
        () => make(0x100), () => make(0x101, id, random.pick([1, 2, 67]), random.pick([64, 16]), random.pick([64, 8])), () => make(0x102, id, 0),
        () => make(0x103, 0, 0, 16, 8, 0, random.below(4)), () => make(0x104, 0, 0, 16, 8, id, 0), () => make(0x105, 0, 0, 16, 8, 0, 0, id, 0),
        () => make(0x106, id, 1, spare + 16 * random.below(64), 0, 4096, 0), () => make(0x107, id, 0), () => make(0x10a, 0, 0),
      ])()
    },
  }
}

function sound(): Request {
  return {
    make(random, queue) {
      const stream = random.below(2)
      if (queue === 1) return receive(8)
      if (queue !== 0) return { out: [words(queue - 2), ...queue === 2 ? [bytes(random, 4 * random.below(100))] : []], answers: queue === 2 ? [8] : [random.below(400), 8] }
      return {
        out: [words(random.pick([0x101, 0x102, 0x104, 0x101, 0x102, 0x104, 0x105, 0x103, 1, 0x100, 0x200]), stream, 2048, 256, 0, 1 + random.below(2) + 256 * random.pick([4, 5, 17, 19]) + 65536 * random.below(13))],
        answers: [4, random.below(200)],
      }
    },
  }
}

/** @param own - where memory of the device's own begins */
type Maker = (own: number) => Request

const makers: Readonly<Record<string, Maker>> = {
  'virtio-blk': () => ({
    make(random) {
      const type = random.pick([0, 0, 1, 1, 4, 8, 11, 13])
      const header = words(type, 0, random.below(130), 0)
      if (type === 11 || type === 13) return { out: [header, words(random.below(120), 0, random.below(8), random.below(2))], answers: [1] }
      if (type === 0) return { out: [header], answers: [512 * random.between(1, 3), 1] }
      if (type === 8) return { out: [header], answers: [20, 1] }
      return { out: type === 4 ? [header] : [header, bytes(random, 512)], answers: [1] }
    },
  }),
  'virtio-console': () => ({
    make(random, queue) {
      if (queue % 2 === 0) return receive(random.between(1, 40))
      return { out: queue === 3 ? [words(random.below(2), random.below(8) + 65536 * random.below(2))] : [bytes(random, random.between(1, 60))], answers: [] }
    },
  }),
  'virtio-rng': () => ({ make: (random) => receive(random.between(1, 60)) }),
  'virtio-net': () => ({
    make(random, queue) {
      // The last queue is for control, if that was agreed on; as something else it does no harm.
      if (random.chance(0.1)) return { out: [Uint8Array.of(random.below(6), random.below(4)), Uint8Array.of(random.below(2), ...bytes(random, random.pick([0, 1, 5])))], answers: [1] }
      if (queue % 2 === 0) return receive(random.pick([400, 60, 1600]))
      return { out: [new Uint8Array(12), bytes(random, 14 + random.below(100))], answers: [] }
    },
  }),
  'virtio-balloon': () => ({
    make(random, queue, spare) {
      if (queue === 4) return receive(16)
      if (queue === 2) return { out: [Uint8Array.from({ length: 10 * random.below(5) + 10 }, (_, i) => i % 10 === 0 ? random.below(12) : i % 10 > 1 && i % 10 < 5 ? random.below(256) : 0)], answers: [] }
      // Pages in the spare part alone; free page reporting names buffers to be given up, which are answers: not here.
      return queue > 2 ? null : { out: [words(...Array.from({ length: random.between(1, 4) }, () => spare / 4096 + random.below(4)))], answers: [] }
    },
  }),
  'virtio-mem': (own) => ({
    make(random) {
      const request = new DataView(new ArrayBuffer(24))
      request.setUint16(0, random.pick([0, 0, 0, 1, 2, 3, 3]), true)
      request.setBigUint64(8, BigInt(own + 0x20_0000 * random.below(20)), true)
      request.setUint16(16, random.between(1, 3), true)
      return { out: [new Uint8Array(request.buffer)], answers: [10] }
    },
  }),
  'virtio-pmem': () => ({ make: (random) => ({ out: [words(random.chance(0.9) ? 0 : 1)], answers: [4] }) }),
  'virtio-vsock': () => ({
    make(random, queue) {
      if (queue !== 1) return receive(queue === 2 ? 4 : random.pick([100, 300]))
      const length = random.chance(0.5) ? 0 : random.below(60)
      const [own, other] = [1 + random.below(3), 1 + random.below(4)]
      return { out: [words(3, 0, 2, 0, own, other, length, 1 + 65536 * (length > 0 ? 5 : random.pick([1, 1, 2, 3, 4, 6, 7])), random.below(4), 4096, random.below(100)), ...length > 0 ? [bytes(random, length)] : []], answers: [] }
    },
  }),
  'virtio-input': () => ({ make: (random, queue) => queue === 0 ? receive(8) : { out: [Uint8Array.of(0x11, 0, random.below(4), 0, random.below(2), 0, 0, 0)], answers: [] } }),
  'virtio-9p': p9, 'virtio-gpu': gpu, 'virtio-sound': sound,
}

export function requests(kind: string, own: number): Request {
  const maker = makers[kind.replace(/-pci$/, '')]
  if (maker === undefined) throw new Error(`no requests for ${kind}`)
  return maker(own)
}
