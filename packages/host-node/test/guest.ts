import type { BackendClock, Frame, NetPort } from '@machinist/api'
import { fillChecksum, fillHeaderChecksum, get16, get32, macBytes, parseIp, pseudoHeaderSum, set16, set32, tcpFlag } from '@machinist/packets'

const { fin: FIN, syn: SYN, rst: RST, ack: ACK } = tcpFlag
const GATEWAY_MAC = 0x5255_0a00_0202
export const GUEST_MAC = 0x5254_0012_3456
export const GUEST = [10, 0, 2, 15] as const

/** Numbers that look random, the same for each seed. */
export class Random {
  #state: number
  constructor(seed: number) { this.#state = seed }

  u32(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  below(limit: number): number { return this.u32() % limit }
  between(low: number, high: number): number { return low + this.below(high - low + 1) }
  chance(probability: number): boolean { return this.u32() < probability * 2 ** 32 }
}

const after = (one: number, other: number): number => (one - other) | 0
const u32 = (value: number): number => value >>> 0

/** Time that the test moves on. */
let turns = 0

/** Lets the host do what it has to; now and then for a moment, since a busy kernel takes its time also with what stays on the host. */
export function turn(): Promise<void> {
  return new Promise((done) => {
    if (++turns % 16 === 0) setTimeout(done, 1)
    else setImmediate(done)
  })
}

export class TestClock implements BackendClock {
  #now = 0
  readonly #timers = new Set<{ at: number; expired: () => void }>()

  now(): number { return this.#now }

  timer(expired: () => void): { arm(at: number): void; cancel(): void } {
    const timer = { at: Infinity, expired }
    this.#timers.add(timer)
    return { arm(at) { timer.at = at }, cancel() { timer.at = Infinity } }
  }

  advance(ms: number): void {
    this.#now += ms * 1e6
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue
      timer.at = Infinity
      timer.expired()
    }
  }
}

/** A segment as the guest makes it. */
export interface GuestSegment {
  readonly seq: number
  readonly ack: number
  readonly flags: number
  readonly window: number
  readonly payload: Uint8Array
  readonly options?: Uint8Array
}

/** A TCP connection of a guest, written for tests with the simplest means: it sends again what is not acknowledged, from the beginning, when time passes. */
export class GuestTcp {
  readonly received: Uint8Array[] = []
  state: 'syn-sent' | 'open' | 'reset' = 'syn-sent'
  peerEnded = false
  finAcked = false
  /** Bytes that may be taken before the application reads. */
  window: number
  readonly scale: number
  readonly #early = new Map<number, Uint8Array>()
  #out = new Uint8Array(0)
  #una: number
  #next: number
  #fin = false
  #rcv = 0
  #finAt: number | null = null
  #peerWindow = 0
  #peerScale = 0
  #mss = 536
  #sentAt = 0
  readonly #send: (segment: GuestSegment) => void
  readonly #random: Random

  constructor(random: Random, window: number, send: (segment: GuestSegment) => void, scale: number = 4) {
    this.scale = scale
    this.#send = send
    this.#random = random
    this.window = window
    this.#una = this.#next = random.u32()
    this.#syn()
  }

  #syn(): void {
    this.#send({ seq: this.#una, ack: 0, flags: SYN, window: 65535, payload: new Uint8Array(0), options: Uint8Array.of(2, 4, 5, 0xb4, 1, 3, 3, this.scale) })
  }

  write(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#out.length + bytes.length)
    all.set(this.#out)
    all.set(bytes, this.#out.length)
    this.#out = all
  }

  end(): void { this.#fin = true }

  get queued(): number { return this.#out.length }

  get done(): boolean { return this.state === 'reset' || (this.peerEnded && this.finAcked) }

  #emit(seq: number, payload: Uint8Array, flags: number): void {
    this.#send({ seq: u32(seq), ack: this.#rcv, flags: flags | ACK, window: Math.min(65535, this.window >>> this.scale), payload })
  }

  /** Sends what may be sent, in pieces of random size up to `most`. */
  pump(now: number, most: number): void {
    if (this.state === 'syn-sent') {
      if (now - this.#sentAt > 1500) {
        this.#sentAt = now
        this.#syn()
      }
      return
    }
    if (this.state !== 'open') return
    if (after(this.#next, this.#una) > 0 && now - this.#sentAt > 1500) this.#next = this.#una
    for (;;) {
      const from = after(this.#next, this.#una)
      const limit = Math.max(this.#peerWindow, this.#next === this.#una && now - this.#sentAt > 1500 ? 1 : 0)
      const left = Math.min(this.#out.length, limit) - from
      const fin = this.#fin && from === this.#out.length && !this.finAcked
      if (left <= 0 && !fin) return
      if (fin && from > this.#out.length) return
      const size = left <= 0 ? 0 : Math.min(left, this.#random.between(1, most))
      const last = this.#fin && from + size === this.#out.length
      this.#emit(this.#next, this.#out.subarray(from, from + size), last ? FIN : 0)
      this.#next = u32(this.#next + size + (last ? 1 : 0))
      this.#sentAt = now
      if (last) return
    }
  }

  /** Takes a segment; answers it when it has to be. */
  segment(bytes: Uint8Array, transport: number, payloadAt: number, end: number): void {
    const flags = bytes[transport + 13] ?? 0
    const seq = get32(bytes, transport + 4)
    const ack = get32(bytes, transport + 8)
    const window = get16(bytes, transport + 14)
    const payload = bytes.slice(payloadAt, end)
    if ((flags & RST) !== 0) {
      this.state = 'reset'
      return
    }
    if ((flags & SYN) !== 0) {
      if (this.state === 'syn-sent' && ack === u32(this.#una + 1)) {
        this.state = 'open'
        this.#una = this.#next = ack
        this.#rcv = u32(seq + 1)
        this.#peerWindow = window
        this.#mss = get16(bytes, transport + 22)
        this.#peerScale = bytes[transport + 27] ?? 0
      }
      this.#emit(this.#next, new Uint8Array(0), 0)
      return
    }
    if (this.state !== 'open') return
    const acked = after(ack, this.#una)
    const ends = this.#out.length + (this.#fin ? 1 : 0)
    if (acked > 0 && acked <= ends) {
      if (acked > this.#out.length) this.finAcked = true
      this.#out = this.#out.slice(Math.min(acked, this.#out.length))
      this.#una = ack
      if (after(this.#next, ack) < 0) this.#next = ack
    }
    if (acked >= 0) this.#peerWindow = window << this.#peerScale
    if (payload.length > 0) this.#early.set(seq, payload)
    if ((flags & FIN) !== 0) this.#finAt = u32(seq + payload.length)
    for (let found = true; found;) {
      found = false
      for (const [at, piece] of this.#early) {
        const skip = after(this.#rcv, at)
        if (skip < 0) continue
        this.#early.delete(at)
        if (skip >= piece.length) continue
        this.received.push(piece.subarray(skip))
        this.#rcv = u32(this.#rcv + piece.length - skip)
        found = true
      }
    }
    if (this.#finAt === this.#rcv && !this.peerEnded) {
      this.peerEnded = true
      this.#rcv = u32(this.#rcv + 1)
    }
    if (payload.length > 0 || (flags & FIN) !== 0 || after(seq, this.#rcv) < 0) this.#emit(this.#next, new Uint8Array(0), 0)
  }

  get mss(): number { return this.#mss }
}

/** A TCP frame of the guest with its checksum filled in, or left open. */
export function tcpFrame(to: readonly number[], ports: readonly [number, number], segment: GuestSegment, source: readonly number[] = GUEST, open: boolean = false): Uint8Array {
  const options = segment.options ?? new Uint8Array(0)
  const bytes = new Uint8Array(54 + options.length + segment.payload.length)
  ipHeader(bytes, 6, to, source)
  set16(bytes, 34, ports[0])
  set16(bytes, 36, ports[1])
  set32(bytes, 38, segment.seq)
  set32(bytes, 42, segment.ack)
  bytes[46] = (20 + options.length) << 2
  bytes[47] = segment.flags
  set16(bytes, 48, segment.window)
  bytes.set(options, 54)
  bytes.set(segment.payload, 54 + options.length)
  return open ? bytes : closed(bytes, 16)
}

export function udpFrame(to: readonly number[], ports: readonly [number, number], payload: Uint8Array, source: readonly number[] = GUEST): Uint8Array {
  const bytes = new Uint8Array(42 + payload.length)
  ipHeader(bytes, 17, to, source)
  set16(bytes, 34, ports[0])
  set16(bytes, 36, ports[1])
  set16(bytes, 38, 8 + payload.length)
  bytes.set(payload, 42)
  return closed(bytes, 6)
}

function ipHeader(bytes: Uint8Array, protocol: number, to: readonly number[], source: readonly number[]): void {
  bytes.set(macBytes(GATEWAY_MAC), 0)
  bytes.set(macBytes(GUEST_MAC), 6)
  set16(bytes, 12, 0x0800)
  bytes[14] = 0x45
  set16(bytes, 16, bytes.length - 14)
  bytes[22] = 64
  bytes[23] = protocol
  bytes.set(source, 26)
  bytes.set(to, 30)
  fillHeaderChecksum(bytes, 14)
}

function closed(bytes: Uint8Array, offset: number): Uint8Array {
  set16(bytes, 34 + offset, pseudoHeaderSum(bytes, { version: 4, network: 14, protocol: bytes[23] ?? 0 }, bytes.length - 34))
  fillChecksum(bytes, { start: 34, offset })
  return bytes
}

/** A packet of the guest, IPv4 or IPv6 as its addresses are, with the checksum at `field` of what is above IP filled in. */
export function packetFrame(protocol: number, source: Uint8Array, to: Uint8Array, body: Uint8Array, field: number): Uint8Array {
  const version = source.length === 4 ? 4 : 6
  const at = version === 4 ? 34 : 54
  const bytes = new Uint8Array(at + body.length)
  bytes.set(body, at)
  if (version === 4) {
    ipHeader(bytes, protocol, [...to], [...source])
  } else {
    bytes.set(macBytes(GATEWAY_MAC), 0)
    bytes.set(macBytes(GUEST_MAC), 6)
    set16(bytes, 12, 0x86dd)
    bytes[14] = 0x60
    set16(bytes, 18, body.length)
    bytes.set([protocol, 64], 20)
    bytes.set(source, 22)
    bytes.set(to, 38)
  }
  // ICMP of IPv4 alone has no pseudo-header.
  set16(bytes, at + field, protocol === 1 ? 0 : pseudoHeaderSum(bytes, { version, network: 14, protocol }, body.length))
  fillChecksum(bytes, { start: at, offset: field })
  return bytes
}

/** All frames that wait at a port. */
export function drain(port: NetPort): Frame[] {
  const frames: Frame[] = []
  for (let frame = port.receive(); frame !== null; frame = port.receive()) frames.push(frame)
  return frames
}

/** The TCP or UDP ports of a frame and where its payload is; null for others. */
export function ports(bytes: Uint8Array): { from: number; to: number; transport: number; payload: number; end: number; protocol: number } | null {
  const packet = parseIp(bytes)
  if (packet === null || packet.transport === null || packet.payload === null) return null
  const { transport, payload, end, protocol } = packet
  return { from: get16(bytes, transport), to: get16(bytes, transport + 2), transport, payload, end, protocol }
}
