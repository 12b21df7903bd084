import { type Deliver, type Frame, maximumFrame, type NetPort, noOffloads } from '@machinist/api'
import { adapt, broadcast, checksum, ethernet, etherType, fillChecksum, get16, get32, icmp, type IpPacket, ipProtocol, ipv4, macAt, macBytes, onesSum, parseIp, pseudoHeaderSum, set16, set32, udp } from '@machinist/packets'
import { FrameQueue } from '../frame-queue.ts'
import type { Address } from '../nat/address.ts'
import { sendArpRequest, takeArp } from '../nat/arp.ts'
import { datagram } from '../nat/dhcp.ts'
import { newPacket } from '../nat/packet.ts'
import { Reassembly } from '../nat/reassembly.ts'
import type { UplinkConfiguration } from './dhcp-client.ts'
import { Neighbors } from './neighbors.ts'
import { fillIcmp } from './rewrite.ts'

/** Frames taken before something else has its turn. */
const TURN = 64
const MOST_FRAMES = 256
const MOST_BYTES = 1 << 20
/** How long somebody has to say that an address is his, in milliseconds (RFC 5227, 1.1, has up to 7 s; a link of today answers in a fraction of one), and between announcements of ours. */
const PROBE = 1000
const DEFEND = 10_000
const EVERYBODY: Address = Uint8Array.of(255, 255, 255, 255)
const NOBODY: Address = new Uint8Array(4)
const DHCP_CLIENT = 68

interface Probe {
  readonly address: number
  readonly done: (taken: boolean) => void
}

/** What a {@link Station} tells, and needs. */
export interface StationOptions {
  readonly mac: number
  readonly deliver: Deliver
  now(): number
  after(milliseconds: number, callback: () => void): () => void
  /** A packet for the station that is none of its own: whole, with a good header. The bytes belong to nobody else. */
  packet(bytes: Uint8Array, packet: IpPacket): void
  /** Whether a port is one of its own. */
  listens(port: number): boolean
  /** A datagram for such a port. */
  datagram(port: number, bytes: Uint8Array, from: Address, fromPort: number): void
  /** A frame that nobody is there for. */
  lost(frame: Uint8Array): void
  /** Something waits for an answer: `poll` has to be called. */
  waits(): void
  /** Somebody else has its address. */
  conflict(): void
}

/** An IPv4 host on an Ethernet link, as far as a router needs one: ARP (RFC 826), a way out, and datagrams of its own. */
export class Station {
  readonly mtu: number
  readonly #port: NetPort
  readonly #options: StationOptions
  readonly #neighbors: Neighbors
  readonly #queue = new FrameQueue(MOST_FRAMES, MOST_BYTES)
  readonly #reassembly = new Reassembly()
  readonly #mac: Uint8Array
  #address = NOBODY
  #own = 0
  #mask = 0
  #gateway = 0
  #probed: Probe | null = null
  #defended = -Infinity
  #closed = false
  /** Frames and packets that made no sense, or did not fit anywhere. */
  dropped = 0

  constructor(port: NetPort, options: StationOptions) {
    this.#port = port
    this.#options = options
    this.#mac = macBytes(options.mac)
    this.mtu = port.mtu
    this.#neighbors = new Neighbors({
      now: () => options.now(),
      ask: (address) => { sendArpRequest(this.#arp, this.#address, bytesOf(address)) },
      send: (mac, frame) => { this.#sendTo(mac, frame) },
      lost: (frame) => { options.lost(frame) },
    })
    port.accept(noOffloads)
    port.listen({ readable: () => { this.#pump() }, writable: () => { this.#flush() }, linkChanged: () => undefined })
  }

  get #arp(): { readonly mac: number; push(frame: Frame): void } {
    return { mac: this.#options.mac, push: ({ bytes }) => { this.#push(bytes) } }
  }

  /** Its address as a number; 0 when it has none. */
  get address(): number {
    return this.#own
  }

  /** Something waits for time to pass. */
  get busy(): boolean {
    return this.#neighbors.sought > 0 || this.#reassembly.size > 0
  }

  poll(): void {
    this.#neighbors.poll()
    this.#reassembly.expire(this.#options.now())
  }

  configure(configuration: UplinkConfiguration | null): void {
    const address = configuration?.address ?? NOBODY
    const own = get32(address, 0)
    if (own !== this.#own) this.#neighbors.clear()
    const changed = own !== this.#own
    this.#address = address
    this.#own = own
    const bits = configuration?.bits ?? 0
    this.#mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
    this.#gateway = get32(configuration?.gateway ?? NOBODY, 0)
    // What others remember of somebody who had it before is wrong (RFC 5227, 2.3).
    if (own !== 0 && changed) sendArpRequest(this.#arp, address, address)
  }

  /** Asks whether somebody has an address (RFC 5227, 2.1.1). */
  probe(address: Address, done: (taken: boolean) => void): void {
    const probed = { address: get32(address, 0), done }
    this.#probed = probed
    sendArpRequest(this.#arp, NOBODY, address)
    this.#options.after(PROBE, () => { this.#answerProbe(probed, false) })
  }

  /** Sends an IPv4 packet behind room for an Ethernet header, to where it is addressed; false when there is no way. */
  send(frame: Uint8Array): boolean {
    const to = get32(frame, ethernet.length + ipv4.destination)
    const near = ((to ^ this.#own) & this.#mask) === 0
    const hop = near ? to : this.#gateway
    // Nobody here has business with all stations at once.
    const all = this.#mask !== 0xffff_ffff && (to | this.#mask) >>> 0 === 0xffff_ffff
    if (this.#own === 0 || hop === 0 || (near && all)) return false
    const mac = this.#neighbors.find(hop, frame)
    if (mac === null) this.#options.waits()
    else this.#sendTo(mac, frame)
    return true
  }

  /** Sends a datagram of its own; to all stations where `to` is null. */
  sendDatagram(port: number, to: Address | null, toPort: number, payload: Uint8Array, from: Address = this.#address): void {
    const body = datagram(port, toPort, payload)
    const { bytes, transport } = newPacket({ source: from, destination: to ?? EVERYBODY, protocol: ipProtocol.udp, sourceMac: this.#options.mac, destinationMac: broadcast }, body.length)
    bytes.set(body, transport)
    set16(bytes, transport + udp.checksum, pseudoHeaderSum(bytes, { version: 4, network: ethernet.length, protocol: ipProtocol.udp }, body.length))
    fillChecksum(bytes, { start: transport, offset: udp.checksum })
    if (to === null) this.#push(bytes)
    else this.send(bytes)
  }

  close(): void {
    this.#closed = true
    this.#queue.clear()
    this.#neighbors.clear()
  }

  #sendTo(mac: number, frame: Uint8Array): void {
    putMac(frame, ethernet.destination, mac)
    frame.set(this.#mac, ethernet.source)
    set16(frame, ethernet.type, etherType.ipv4)
    this.#push(frame)
  }

  #push(bytes: Uint8Array): void {
    if (this.#closed || (this.#queue.length === 0 && this.#port.send({ bytes }))) return
    if (!this.#queue.push({ bytes })) this.dropped++
  }

  #flush(): void {
    for (let frame = this.#queue.peek(); frame !== null && this.#port.send(frame); frame = this.#queue.peek()) this.#queue.shift()
  }

  #pump(): void {
    for (let count = 0; !this.#closed && count < TURN; count++) {
      const frame = this.#port.receive()
      if (frame === null) return
      for (const { bytes } of frame.checksum === undefined ? [frame] : adapt(frame, noOffloads)) this.#take(bytes)
    }
    if (!this.#closed) this.#options.deliver(() => { this.#pump() })
  }

  #take(bytes: Uint8Array): void {
    if (bytes.length < ethernet.length || bytes.length > maximumFrame) {
      this.dropped++
      return
    }
    const to = macAt(bytes, ethernet.destination)
    if (to !== this.#options.mac && to !== broadcast) return
    const type = get16(bytes, ethernet.type)
    if (type === etherType.arp) this.#takeArp(bytes)
    else if (type === etherType.ipv4 && !this.#takeIp(bytes, to === broadcast)) this.dropped++
  }

  #takeArp(bytes: Uint8Array): void {
    const sender = takeArp(this.#arp, bytes, (address) => this.#own !== 0 && get32(address, 0) === this.#own)
    if (sender === null || sender.mac === this.#options.mac || sender.mac === 0 || sender.mac >= 2 ** 48 - 1) return
    const address = get32(sender.ip, 0)
    const probed = this.#probed
    if (probed?.address === address) this.#answerProbe(probed, true)
    if (address !== this.#own) {
      this.#neighbors.heard(address, sender.mac)
      return
    }
    // Once it is defended; who insists gets it (RFC 5227, 2.4 b).
    const now = this.#options.now()
    if (now - this.#defended < DEFEND) {
      this.#options.conflict()
      return
    }
    this.#defended = now
    sendArpRequest(this.#arp, this.#address, this.#address)
  }

  #answerProbe(probed: Probe, taken: boolean): void {
    if (this.#probed !== probed) return
    this.#probed = null
    probed.done(taken)
  }

  #takeIp(frame: Uint8Array, toAll: boolean): boolean {
    let bytes = frame
    let packet = parseIp(bytes)
    if (packet === null || packet.network !== ethernet.length || checksum(bytes, packet.network, packet.network + ((bytes[packet.network] ?? 0) & 15) * 4) !== 0) return false
    const own = this.#own !== 0 && get32(bytes, packet.network + ipv4.destination) === this.#own
    // Without an address all that is heard is what may bring one.
    if (!own && (packet.transport === null || packet.protocol !== ipProtocol.udp || get16(bytes, packet.transport + udp.destination) !== DHCP_CLIENT)) return true
    if (own && toAll) return false
    if (packet.transport === null) {
      const whole = this.#reassembly.take(bytes, packet.network, packet.end, 4, this.#options.now())
      if (whole === null) return true
      bytes = whole
      packet = parseIp(bytes)
      if (packet === null) return false
    }
    if (packet.protocol === ipProtocol.udp && packet.payload !== null && this.#datagram(bytes, packet, packet.payload)) return true
    if (own) this.#options.packet(bytes, packet)
    return true
  }

  #datagram(bytes: Uint8Array, { network, transport, end }: IpPacket, payload: number): boolean {
    if (transport === null) return false
    const size = get16(bytes, transport + udp.size)
    if (size < udp.length || transport + size > end) return false
    const port = get16(bytes, transport + udp.destination)
    if (!this.#options.listens(port)) return false
    const open = get16(bytes, transport + udp.checksum) === 0
    if (open || onesSum(bytes, transport, end, pseudoHeaderSum(bytes, { version: 4, network, protocol: ipProtocol.udp }, end - transport)) === 0xffff) {
      this.#options.datagram(port, bytes.subarray(payload, transport + size), bytes.slice(network + ipv4.source, network + ipv4.destination), get16(bytes, transport + udp.source))
    }
    return true
  }

  /** Answers an echo request for the station itself. */
  echo(request: Uint8Array, { network, transport, end }: IpPacket): void {
    if (transport === null || checksum(request, transport, end) !== 0) return
    const { bytes, transport: at } = newPacket({ source: this.#address, destination: request.slice(network + ipv4.source, network + ipv4.destination), protocol: ipProtocol.icmp, sourceMac: 0, destinationMac: 0 }, end - transport)
    bytes.set(request.subarray(transport, end), at)
    bytes[at + icmp.type] = 0
    fillIcmp(bytes, at, bytes.length)
    if (bytes.length - ethernet.length <= this.mtu) this.send(bytes)
  }
}

/** An address from a number. */
export function bytesOf(address: number): Address {
  const bytes = new Uint8Array(4)
  set32(bytes, 0, address)
  return bytes
}

function putMac(bytes: Uint8Array, at: number, mac: number): void {
  set16(bytes, at, Math.floor(mac / 2 ** 32))
  set32(bytes, at + 2, mac % 2 ** 32)
}
