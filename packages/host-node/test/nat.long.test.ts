/** A gibibyte each way at once through the NAT and sockets of the host. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { allOffloads, type Frame } from '@machinist/api'
import { nat } from '@machinist/network'
import { get16, get32, tcpFlag } from '@machinist/packets'
import { afterEach, expect, test } from 'vitest'
import { nodeSockets } from '../src/index.ts'
import { drain, ports, Random, TestClock, tcpFrame } from './guest.ts'

const { fin: FIN, syn: SYN, rst: RST, ack: ACK } = tcpFlag
const HOST = [127, 0, 0, 1] as const
const BYTES = 2 ** 30
const SCALE = 7
const MOST = 65_535 - 40
/** What may be under way to the guest. */
const WINDOW = 3 << 20
/** Of the guest's clock. */
const TIMEOUT_MS = 300
/** Turns of the loop without a byte that arrives anywhere, after which it counts as stalled. */
const STALLED = 100_000

const closing: (() => void)[] = []
afterEach(() => { for (const close of closing.splice(0)) close() })

/** Bytes that are the same wherever one begins to look: a pattern whose length is a prime, over and over. */
class Pattern {
  readonly #period = 65_521
  readonly #bytes: Buffer

  constructor(seed: number) {
    const random = new Random(seed)
    const once = Uint8Array.from({ length: this.#period }, () => random.below(256))
    this.#bytes = Buffer.concat(Array.from({ length: 6 }, () => once))
  }

  at(offset: number, length: number): Buffer {
    const from = offset % this.#period
    return this.#bytes.subarray(from, from + length)
  }

  holds(offset: number, bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += this.#period) {
      const piece = bytes.subarray(at, at + this.#period)
      if (Buffer.compare(piece, this.at(offset + at, piece.length)) !== 0) return false
    }
    return true
  }
}

/** Sends a pattern to its end, a few pieces for each turn. */
function pour(socket: Socket, pattern: Pattern): void {
  let at = 0
  const write = (): void => {
    while (at < BYTES) {
      const length = Math.min(200_000, BYTES - at)
      at += length
      if (!socket.write(Buffer.from(pattern.at(at - length, length)))) return void socket.once('drain', write)
    }
    socket.end()
  }
  write()
}

// Losses of frames, one in so many; and whether those that have to read sometimes do not.
test.each([[0, false], [0, true], [3000, true]])('1 GiB each way arrives whole, with one frame in %i lost, and readers that pause: %s', async (loss, pauses) => {
  const random = new Random(loss + 1)
  const [up, down] = [new Pattern(1), new Pattern(2)]
  const host = { got: 0, right: true, ended: false }
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    closing.push(() => { socket.destroy() })
    pour(socket, down)
    socket.on('error', () => {})
    socket.on('end', () => { host.ended = true })
    socket.on('data', (bytes) => {
      host.right &&= up.holds(host.got, bytes)
      host.got += bytes.length
      if (pauses && random.below(2000) === 0) {
        socket.pause()
        setTimeout(() => { socket.resume() }, 30)
      }
    })
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  closing.push(() => { server.close() })
  const { port } = server.address() as AddressInfo
  const network = nat(nodeSockets(), { rules: ['allow 127.0.0.1'] })
  closing.push(() => { network.close() })
  const clock = new TestClock()
  const queue: (() => void)[] = []
  const link = network.connect((work) => { queue.push(work) }, clock)
  link.accept(allOffloads)

  // The guest: numbers count from its SYN, and from the other's.
  const guest = { opened: false, reset: false, una: 0, next: 0, edge: 0, scale: 0, got: 0, right: true, ended: false, window: WINDOW, hungry: 0, sentAt: 0, base: 0 }
  const early = new Map<number, Uint8Array>()
  const initial = 0xffff_0000
  const lost = (): boolean => loss > 0 && random.below(loss) === 0
  const send = (offset: number, flags: number, payload: Uint8Array, options?: Uint8Array): void => {
    if (lost()) return
    const segment = { seq: (initial + offset) >>> 0, ack: (guest.base + guest.got + (guest.ended ? 1 : 0)) >>> 0, flags, window: guest.window >>> SCALE, payload, ...(options !== undefined && { options }) }
    const bytes = tcpFrame(HOST, [5000, port], segment, undefined, payload.length > 0)
    const frame: Frame = { bytes, trusted: true }
    link.send(payload.length === 0 ? frame : {
      ...frame, checksum: { start: 34, offset: 16 }, ...(payload.length > 1460 && { segmentation: { kind: 'tcp4', size: 1460, headerLength: 54, ecn: false } }),
    })
  }
  const now = (): number => clock.now() / 1e6
  const say = (): void => { send(1 + guest.next, ACK, new Uint8Array(0)) }
  const hear = (bytes: Uint8Array): void => {
    const at = ports(bytes)
    if (at === null || lost()) return
    const flags = bytes[at.transport + 13] ?? 0
    if ((flags & RST) !== 0) guest.reset = true
    if ((flags & SYN) !== 0) {
      guest.base = (get32(bytes, at.transport + 4) + 1) >>> 0
      guest.opened = true
      guest.edge = get16(bytes, at.transport + 14)
      guest.scale = bytes[at.transport + 27] ?? 0
      return say()
    }
    // Numbers wrap, so each is taken as near to what is known as can be.
    const acknowledged = guest.una + ((get32(bytes, at.transport + 8) - (initial + 1 + guest.una)) | 0)
    if (acknowledged > guest.una) {
      guest.una = acknowledged
      guest.sentAt = now()
      guest.next = Math.max(guest.next, acknowledged)
    }
    guest.edge = Math.max(guest.edge, acknowledged + (get16(bytes, at.transport + 14) << guest.scale))
    const from = guest.got + ((get32(bytes, at.transport + 4) - (guest.base + guest.got)) | 0)
    const payload = bytes.subarray(at.payload, at.end)
    if (payload.length > 0) early.set(from, payload)
    for (let again = payload.length > 0; again;) {
      again = false
      for (const [begin, piece] of early) {
        if (begin > guest.got) continue
        early.delete(begin)
        const fresh = piece.subarray(guest.got - begin)
        guest.right &&= down.holds(guest.got, fresh)
        guest.got += fresh.length
        again = true
      }
    }
    if ((flags & FIN) !== 0 && from + payload.length === guest.got) guest.ended = true
    if (payload.length > 0 || (flags & FIN) !== 0 || from < guest.got) guest.hungry++
  }
  const speak = (): void => {
    if (!guest.opened) {
      if (guest.sentAt === 0 || now() - guest.sentAt > 1000) {
        guest.sentAt = now() + 1
        send(0, SYN, new Uint8Array(0), Uint8Array.of(2, 4, 5, 0xb4, 1, 3, 3, SCALE))
      }
      return
    }
    const late = now() - guest.sentAt > TIMEOUT_MS && guest.una <= BYTES
    if (late) guest.next = guest.una
    // One byte asks whether a window that was closed is open again.
    const edge = late ? Math.max(guest.edge, guest.una + 1) : guest.edge
    while (guest.next <= BYTES) {
      const length = Math.min(MOST, edge - guest.next, BYTES - guest.next)
      const last = guest.next + length === BYTES
      if (length <= 0 && !last) break
      if (length < MOST && !last && guest.next > guest.una) break
      if (guest.next === guest.una) guest.sentAt = now()
      send(1 + guest.next, last ? ACK | FIN : ACK, up.at(guest.next, length))
      guest.next += length + (last ? 1 : 0)
    }
    if (guest.hungry > 0) say()
    guest.hungry = 0
  }

  let still = 0
  for (let before = 0; !(guest.ended && host.ended && guest.una === BYTES + 1) && !guest.reset;) {
    const sum = guest.una + guest.got + host.got
    still = sum === before ? still + 1 : 0
    before = sum
    expect(still, JSON.stringify({ guest, host: host.got, early: early.size })).toBeLessThan(STALLED)
    // A busy kernel takes its time.
    await new Promise<void>((done) => { if (still > 1000) setTimeout(done, 1); else setImmediate(done) })
    clock.advance(still > 50 ? 20 : 1)
    for (const work of queue.splice(0)) work()
    if (pauses && random.below(3000) === 0) guest.window = 0
    else if (guest.window === 0 && random.below(40) === 0) {
      guest.window = WINDOW
      guest.hungry++
    }
    if (guest.window > 0 || !guest.opened) for (const { bytes } of drain(link)) hear(bytes)
    speak()
  }
  expect(guest).toMatchObject({ reset: false, right: true, got: BYTES })
  expect(host).toMatchObject({ right: true, got: BYTES })
})
