import type { Frame } from '@machinist/api'
import { ethernet, get16, ipProtocol, pseudoHeaderSum, set16, set32, tcp, tcpFlag } from '@machinist/packets'
import { type Address, addressKey, sameAddress } from './address.ts'
import { type NatContext, route } from './context.ts'
import { type DnsRelay, dnsStream } from './dns.ts'
import { Holders } from './holders.ts'
import { quoteOf, sendTrouble } from './icmp.ts'
import { newPacket, type Packet } from './packet.ts'
import type { LostConnection } from './saved.ts'
import type { Endpoint as Place, HostStream, StreamEvents } from './sockets.ts'
import { TcpFlow } from './tcp-flow.ts'
import { type Outgoing, optionBytes, readSegment, type Segment } from './tcp/segment.ts'
import { diff, plus } from './tcp/sequence.ts'

/** Bytes of buffer, each way, for one connection. */
const MOST_BUFFER = 1 << 20
const LEAST_BUFFER = 16_384
/** First of the ports from which the gateway calls guests (RFC 6335, 6). */
const EPHEMERAL = 49_152

/** All TCP connections of a NAT. */
export class TcpFlows {
  readonly #nat: NatContext
  readonly #dns: DnsRelay
  /** In the order in which they began. */
  readonly #flows = new Map<string, TcpFlow>()
  /** Those whose guest has finished, but which still have bytes for the host. */
  readonly #lingering = new Set<TcpFlow>()
  readonly #ready = new Set<TcpFlow>()
  readonly #holders = new Holders<TcpFlow>()
  #free: number
  /** Bytes of buffers, by who has them. */
  readonly #buffers = new Map<unknown, number>()

  constructor(nat: NatContext, dns: DnsRelay) {
    this.#nat = nat
    this.#dns = dns
    this.#free = nat.settings.buffers
  }

  /** Connections, those included that are only waiting to be forgotten. */
  get size(): number {
    return this.#flows.size + this.#lingering.size
  }

  get deadline(): number {
    let first = Infinity
    for (const { deadline } of this.#flows.values()) if (deadline < first) first = deadline
    for (const { deadline } of this.#lingering) if (deadline < first) first = deadline
    return first
  }

  expire(now: number): void {
    for (const flow of [...this.#flows.values(), ...this.#lingering]) flow.expire(now)
  }

  /** Takes a TCP packet of a guest. */
  take(packet: Packet): void {
    if (packet.payload === null) return
    const segment = readSegment(packet.bytes, packet.transport, packet.payload, packet.end)
    const guest = { address: packet.source, port: get16(packet.bytes, packet.transport + tcp.source) }
    const remote = { address: packet.destination, port: get16(packet.bytes, packet.transport + tcp.destination) }
    const key = keyOf(guest, remote)
    const flow = this.#flows.get(key)
    const call = (segment.flags & (tcpFlag.syn | tcpFlag.ack | tcpFlag.rst)) === tcpFlag.syn
    if (flow !== undefined) {
      // A new connection may follow at once on one that has ended (RFC 9293, 3.6.1).
      if (!call || flow.endpoint.state !== 'time-wait' || diff(segment.sequence, flow.endpoint.received) <= 0) {
        if (!flow.endpoint.segment(segment, this.#nat.now())) this.#refuse(remote, guest, segment)
        return
      }
      flow.forget()
    }
    if (call) this.#open(packet, segment, key, guest, remote)
    else if ((segment.flags & tcpFlag.rst) === 0) this.#refuse(remote, guest, segment)
  }

  /** A guest wants a connection. It is told that it has one when the host has. */
  #open(packet: Packet, segment: Segment, key: string, guest: Place, remote: Place): void {
    const where = route(this.#nat, 'tcp', remote)
    if (where.kind === 'denied') return sendTrouble(this.#nat.link, this.#nat.gatewayFor(guest.address), quoteOf(packet), 'prohibited')
    if (where.kind === 'nobody' || guest.port === 0 || remote.port === 0) return this.#refuse(remote, guest, segment)
    const holder = this.#nat.holderOf(packet.mac)
    // Dropped: the guest asks again.
    if (!this.#room(holder)) return
    const flow = this.#add(key, guest, remote, holder)
    flow.quote = quoteOf(packet)
    flow.endpoint.called(segment)
    if (where.kind === 'dns') {
      flow.attach(dnsStream(this.#dns, flow), true)
      flow.open()
    } else {
      flow.attach(this.#nat.sockets.connect(where.to, this.gated(flow)), false)
    }
  }

  /** A connection from the host's side. Null when there is no room. */
  call(guest: Place, stream: HostStream): TcpFlow | null {
    const holder = this.#holderAt(guest)
    if (!this.#room(holder)) return null
    const address = this.#nat.gatewayFor(guest.address)
    for (let tries = 0; tries < 64; tries++) {
      const remote = { address, port: EPHEMERAL + this.#nat.sockets.random() % (65_536 - EPHEMERAL) }
      const key = keyOf(guest, remote)
      if (this.#flows.has(key)) continue
      const flow = this.#add(key, guest, remote, holder)
      flow.attach(stream, true)
      flow.endpoint.connect(this.#nat.now())
      return flow
    }
    return null
  }

  /** Connections that the guest believes to have. One that it has just asked for is none yet: it asks again. */
  save(): readonly LostConnection[] {
    return [...this.#flows.values()].flatMap(({ guest, remote, endpoint: { numbers } }) => (numbers === null ? [] : [{ guest, remote, ...numbers }]))
  }

  /** Tells the guest that a connection is gone. */
  lost({ guest, remote, sequence, acknowledgment }: LostConnection): void {
    const key = keyOf(guest, remote)
    // For those beyond, the guest is told when it says something.
    const holder = this.#holderAt(guest)
    if (this.#flows.has(key) || !this.#room(holder)) return
    this.#add(key, guest, remote, holder).endpoint.lost(sequence, acknowledgment)
  }

  #holderAt({ address }: Place): unknown {
    const mac = this.#nat.link.find(address)
    return mac === null ? null : this.#nat.holderOf(mac)
  }

  /** Room for one more: the oldest that is only being remembered gives way; else the oldest of a machine that has more than the one that wants it would have. */
  #room(holder: unknown): boolean {
    if (this.size < this.#nat.settings.connections) return true
    for (const flow of this.#flows.values()) {
      if (flow.endpoint.state !== 'time-wait') continue
      flow.forget()
      return true
    }
    const giver = this.#holders.giver(holder)
    if (giver === holder) return false
    // Its machine is told when it says something.
    this.#holders.oldest(giver)?.forget()
    return true
  }

  #add(key: string, guest: Place, remote: Place, holder: unknown): TcpFlow {
    const { sockets, settings: { mtu, shared } } = this.#nat
    const own = this.#buffers.get(holder) ?? 0
    // Of several machines each may have as much as is left: so there is some for those that come.
    const free = shared ? this.#free - own : this.#free
    const limit = Math.min(MOST_BUFFER, Math.max(LEAST_BUFFER, Math.floor(free / 32)))
    this.#free -= 2 * limit
    this.#buffers.set(holder, own + 2 * limit)
    const headers = guest.address.length === 4 ? 40 : 60
    const flow = new TcpFlow(guest, remote, { limit, mss: mtu - headers, initial: sockets.random() >>> 0 }, {
      now: () => this.#nat.now(),
      ready: () => {
        this.#ready.add(flow)
        this.#nat.link.onReady()
      },
      unreachable: (trouble) => {
        if (flow.quote !== null) sendTrouble(this.#nat.link, this.#nat.gatewayFor(guest.address), flow.quote, trouble)
      },
      guestGone: () => {
        if (this.#flows.get(key) === flow) this.#flows.delete(key)
        this.#lingering.add(flow)
      },
      gone: () => {
        if (this.#flows.get(key) === flow) this.#flows.delete(key)
        this.#lingering.delete(flow)
        this.#ready.delete(flow)
        this.#holders.delete(flow)
        this.#free += 2 * limit
        const left = (this.#buffers.get(holder) ?? 0) - 2 * limit
        if (left > 0) this.#buffers.set(holder, left)
        else this.#buffers.delete(holder)
      },
    })
    this.#flows.set(key, flow)
    this.#holders.add(holder, flow)
    return flow
  }

  /** Events as a host calls them, at any time, led through the gate. */
  gated(events: StreamEvents): StreamEvents {
    const { gate } = this.#nat
    return {
      open: () => { gate(() => { events.open() }) },
      data: (bytes) => { gate(() => { events.data(bytes) }) },
      end: () => { gate(() => { events.end() }) },
      sent: (count) => { gate(() => { events.sent(count) }) },
      closed: (error) => { gate(() => { events.closed(error) }) },
    }
  }

  /** The next frame of any connection, each in turn. */
  next(): Frame | null {
    for (const flow of this.#ready) {
      const mac = this.#nat.link.find(flow.guest.address)
      this.#ready.delete(flow)
      // It is asked for, and what waits comes with its time.
      if (mac === null) {
        this.#nat.link.onUnknown(flow.guest.address)
        continue
      }
      const { offloads, mtu } = this.#nat.link
      const four = flow.guest.address.length === 4
      const { endpoint } = flow
      const large = offloads.checksum && (four ? offloads.tcp4 : offloads.tcp6)
      // Packets say their length in 16 bits.
      const out = endpoint.next(large ? 65_535 - (four ? 40 : 20) : Math.min(endpoint.mss, mtu - (four ? 40 : 60)), this.#nat.now())
      if (out === null) continue
      const frame = this.#frame(flow.remote, flow.guest, mac, out, endpoint.mss, (into, at) => { endpoint.copy(out, into, at) })
      if (endpoint.state !== 'closed') this.#ready.add(flow)
      if (frame !== null) return frame
    }
    return null
  }

  #frame(from: Place, to: Place, mac: number, out: Outgoing, mss: number, copy: (into: Uint8Array, at: number) => void): Frame | null {
    const { link } = this.#nat
    const options = out.options === undefined ? null : optionBytes(out.options)
    const header = tcp.length + (options?.length ?? 0)
    const length = header + out.length
    const { bytes, transport } = newPacket(
      { source: from.address, destination: to.address, protocol: ipProtocol.tcp, sourceMac: link.mac, destinationMac: mac }, length)
    set16(bytes, transport + tcp.source, from.port)
    set16(bytes, transport + tcp.destination, to.port)
    set32(bytes, transport + tcp.sequence, out.sequence)
    set32(bytes, transport + tcp.acknowledgment, out.acknowledgment)
    bytes[transport + tcp.dataOffset] = header << 2
    bytes[transport + tcp.flags] = out.flags
    set16(bytes, transport + tcp.window, out.window)
    if (options !== null) bytes.set(options, transport + tcp.length)
    if (out.length > 0) copy(bytes, transport + header)
    const version = from.address.length === 4 ? 4 : 6
    set16(bytes, transport + tcp.checksum, pseudoHeaderSum(bytes, { version, network: ethernet.length, protocol: ipProtocol.tcp }, length))
    const checksum = { start: transport, offset: tcp.checksum }
    if (out.length <= mss) return link.ready(bytes, checksum)
    return { bytes, checksum, trusted: true, segmentation: { kind: version === 4 ? 'tcp4' : 'tcp6', size: mss, headerLength: transport + header, ecn: false } }
  }

  /** Answers a segment that belongs to nothing with a reset (RFC 9293, 3.10.7.1). */
  #refuse(from: Place, to: Place, segment: Segment): void {
    const mac = this.#nat.link.find(to.address)
    if (mac === null) return
    const length = segment.payload.length + ((segment.flags & tcpFlag.syn) === 0 ? 0 : 1) + (segment.flags & tcpFlag.fin)
    const known = (segment.flags & tcpFlag.ack) !== 0
    const frame = this.#frame(from, to, mac, {
      sequence: known ? segment.acknowledgment : 0,
      acknowledgment: known ? 0 : plus(segment.sequence, length),
      flags: known ? tcpFlag.rst : tcpFlag.rst | tcpFlag.ack,
      window: 0, from: 0, length: 0,
    }, 1, () => {})
    if (frame !== null) this.#nat.link.push(frame)
  }

  /** It became known where a guest is. */
  wake(guest: Address): void {
    for (const flow of this.#flows.values()) if (sameAddress(flow.guest.address, guest)) this.#ready.add(flow)
  }

  /** Ends all of them at the host's side. */
  close(): void {
    for (const flow of [...this.#flows.values(), ...this.#lingering]) flow.forget()
  }
}

/** A key for a pair of endpoints. */
export function keyOf(guest: Place, remote: Place): string {
  return addressKey(guest.address) + addressKey(remote.address) + String.fromCharCode(guest.port, remote.port)
}
