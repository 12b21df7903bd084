import { checksum, ethernet, etherType, get16, get32, type IpPacket, ipProtocol, ipv4, macAt, parseIp, tcpFlag } from '@machinist/packets'
import type { Address } from '../nat/address.ts'
import { guestOf, route } from '../nat/context.ts'
import { quoteOf, sendTrouble } from '../nat/icmp.ts'
import type { Forward } from '../nat/options.ts'
import type { Inside, Outside } from '../nat/outside.ts'
import { type Packet, putEthernet } from '../nat/packet.ts'
import { dontFragment, ECHO_REPLY, ECHO_REQUEST, endsOf, type Ends, pieces } from './parts.ts'
import { type Quoted, quotedBy } from './quoted.ts'
import { NO_HOST, refusal, TOO_LONG } from './refusal.ts'
import { fillIcmp, hop, rewrite, rewriteAddress } from './rewrite.ts'
import { bytesOf, type Station } from './station.ts'
import { type Mapping, type Session, Side, type Table } from './table.ts'

const LOOPBACK = 127
/** Frames for guests that wait until their machine takes them. */
const MOST_WAITING = 1024
const HEADER = ethernet.length + ipv4.length

/** What translators of one uplink share. */
export interface TranslatorShared {
  readonly station: Station
  readonly table: Table
  /** 32 random bits. */
  random(): number
  /** Takes a packet for the uplink's address. */
  receive(bytes: Uint8Array): void
  /** By their networks inside. */
  readonly translators: Map<Side, Translator>
  warn(text: string): void
}

/** Carries packets between one network inside and the uplink, with addresses and ports rewritten (RFC 3022). */
export class Translator implements Outside {
  readonly #shared: TranslatorShared
  readonly #inside: Inside
  readonly #side: Side
  /** Frames for guests that are on their way. */
  readonly #waiting: { readonly bytes: Uint8Array }[] = []

  constructor(shared: TranslatorShared, inside: Inside) {
    this.#shared = shared
    this.#inside = inside
    const { settings } = inside.context
    this.#side = new Side({ tcp: settings.connections, other: settings.conversations }, inside.context.holderOf)
    shared.translators.set(this.#side, this)
    for (const forward of settings.forwards) this.forward(forward)
  }

  get stats(): Outside['stats'] {
    return { connections: this.#side.tcp, conversations: this.#side.other }
  }

  /** Opens a port of the uplink. */
  forward(forward: Forward): void {
    const { address, port } = guestOf(this.#inside.context, forward)
    const protocol = forward.protocol === 'tcp' ? ipProtocol.tcp : ipProtocol.udp
    if (forward.said && forward.from.address[0] === LOOPBACK) this.#shared.warn(`forward ${forward.text}: nobody can come to an address that only this host has. Leave the address out, for that of the uplink.`)
    else if (address.length !== 4) this.#shared.warn(`forward ${forward.text}: only IPv4 is carried here.`)
    else if (forward.from.port === 0 || !this.#shared.table.open(this.#side, protocol, forward.from.port, get32(address, 0), port, forward)) this.#shared.warn(`forward ${forward.text}: the port is taken.`)
  }

  known(bytes: Uint8Array): boolean {
    if (get16(bytes, ethernet.type) !== etherType.ipv4 || bytes[ethernet.length] !== 0x45) return false
    const packet = parseIp(bytes)
    if (packet === null || packet.transport === null || (bytes[ethernet.length + ipv4.timeToLive] ?? 0) < 2 || checksum(bytes, ethernet.length, HEADER) !== 0) return false
    const ends = endsOf(bytes, packet, ECHO_REQUEST)
    if (ends === null || this.#inside.context.settings.services.length > 0) return false
    const session = this.#shared.table.find(this.#side, packet.protocol, ends.source, ends.sourcePort, null, ends.destination, ends.destinationPort)
    if (session === null || session.owner.mac !== macAt(bytes, ethernet.source)) return false
    this.#outward(bytes.slice(0, packet.end), packet, session, ends.flags)
    return true
  }

  take(packet: Packet, mine: boolean): boolean {
    const { bytes, protocol, mac } = packet
    const { context } = this.#inside
    const ends = endsOf(bytes, packet, ECHO_REQUEST)
    if (ends === null) return !mine && protocol === ipProtocol.icmp && this.#error(packet)
    if (protocol === ipProtocol.icmp && mine) return false
    // Who has the address by DHCP speaks for it, and otherwise who was heard with it last.
    if ((context.dhcp.stationOf(packet.source) ?? mac) !== mac) return true
    const service = this.#service(protocol, packet.destination, ends.destinationPort)
    if (mine && service === null) return false
    const remote = service === null ? ends.destination : get32(service.to.address ?? bytesOf(0), 0)
    const remotePort = service?.to.port ?? ends.destinationPort
    const { table, station } = this.#shared
    const known = table.find(this.#side, protocol, ends.source, ends.sourcePort, service, remote, remotePort)
    if (known === null && !this.#may(packet, ends, remote, remotePort)) return false
    // Who comes without a connection, and does not ask for one, is told so.
    if (known === null && protocol === ipProtocol.tcp && (ends.flags & (tcpFlag.syn | tcpFlag.ack | tcpFlag.rst)) !== tcpFlag.syn) return false
    if (station.address === 0) {
      sendTrouble(context.link, context.settings.gateway, quoteOf(packet), 'host')
      return true
    }
    const session = known ?? table.begin(this.#side, protocol, ends.source, ends.sourcePort, service, remote, remotePort)
    if (session === null) return true
    session.owner.mac = mac
    this.#outward(bytes.slice(0, packet.end), packet, session, ends.flags)
    return true
  }

  /** Takes a packet for one of this network's ports. */
  inward(bytes: Uint8Array, packet: IpPacket, mapping: Mapping): boolean {
    const { table, station } = this.#shared
    const ends = endsOf(bytes, packet, ECHO_REPLY)
    if (ends === null || packet.transport === null || (bytes[packet.network + ipv4.timeToLive] ?? 0) < 2) return false
    const known = table.of(mapping, ends.source, ends.sourcePort)
    const calls = packet.protocol === ipProtocol.udp || (ends.flags & (tcpFlag.syn | tcpFlag.ack | tcpFlag.rst)) === tcpFlag.syn
    if (known === null && (!calls || !this.#opens(mapping.forward))) return false
    const { link } = this.#inside.context
    if (packet.end - packet.network > link.mtu && dontFragment(bytes)) {
      const answer = refusal(bytes, station.address, ends.source, TOO_LONG, link.mtu)
      if (answer !== null) this.#send(answer)
      return true
    }
    const session = known ?? table.admit(mapping, ends.source, ends.sourcePort)
    table.touch(session, false, ends.flags)
    rewrite(bytes, packet.network, packet.transport, { end: 'destination', address: mapping.address, port: mapping.port })
    const { service } = mapping
    if (service !== null) rewrite(bytes, packet.network, packet.transport, { end: 'source', address: get32(service.from.address, 0), port: service.from.port })
    hop(bytes, packet.network)
    this.#deliver(bytes, packet, session)
    return true
  }

  /** Takes an error about something that one of this network's sessions sent (RFC 5508, 4.2). */
  errorInward(bytes: Uint8Array, packet: IpPacket, quoted: Quoted, session: Session): void {
    const { network, transport } = packet
    const { mapping: { address, port, service } } = session
    if (transport === null) return
    rewrite(bytes, quoted.network, quoted.transport, { end: 'source', address, port }, packet.end)
    if (service !== null) rewrite(bytes, quoted.network, quoted.transport, { end: 'destination', address: get32(service.from.address, 0), port: service.from.port }, packet.end)
    fillIcmp(bytes, transport, packet.end)
    // What the uplink itself has to say, the gateway says.
    if (get32(bytes, network + ipv4.source) === this.#shared.station.address) rewriteAddress(bytes, network, 'source', get32(this.#inside.context.settings.gateway, 0))
    rewriteAddress(bytes, network, 'destination', address)
    hop(bytes, network)
    this.#deliver(bytes, packet, session)
  }

  close(): void {
    this.#shared.table.remove(this.#side)
    this.#shared.translators.delete(this.#side)
  }

  /** Whether a port is open where the uplink is. */
  #opens(forward: Forward | null): boolean {
    if (forward === null) return false
    const at = get32(forward.from.address, 0)
    return !forward.said || at === 0 || at === this.#shared.station.address
  }

  #service(protocol: number, destination: Address, port: number): Forward | null {
    const { services } = this.#inside.context.settings
    const to = get32(destination, 0)
    const name = protocol === ipProtocol.tcp ? 'tcp' : protocol === ipProtocol.udp ? 'udp' : null
    return services.find(({ protocol: own, from }) => own === name && from.port === port && from.address.length === 4 && get32(from.address, 0) === to) ?? null
  }

  /** Whether a guest may begin to send there. */
  #may({ protocol, destination }: Packet, ends: Ends, remote: number, remotePort: number): boolean {
    const { context } = this.#inside
    if (protocol === ipProtocol.icmp) return context.settings.mode === 'nat' && context.policy.allows({ protocol: 'icmp', address: destination, port: 0 })
    const { table, station } = this.#shared
    // What everybody outside may do, guests may (RFC 4787, 6).
    if (context.settings.mode === 'nat' && remote === station.address && (table.at(protocol, remotePort)?.forward ?? null) !== null) return true
    return ends.sourcePort !== 0 && ends.destinationPort !== 0 && route(context, protocol === ipProtocol.tcp ? 'tcp' : 'udp', { address: destination, port: ends.destinationPort }).kind === 'host'
  }

  #outward(bytes: Uint8Array, { network, transport }: IpPacket, session: Session, flags: number): void {
    const { station, table } = this.#shared
    const { mapping } = session
    if (transport === null) return
    table.touch(session, true, flags)
    rewrite(bytes, network, transport, { end: 'source', address: station.address, port: mapping.outside })
    if (mapping.service !== null) rewrite(bytes, network, transport, { end: 'destination', address: session.remote, port: session.remotePort })
    hop(bytes, network)
    this.#send(bytes)
  }

  #send(bytes: Uint8Array): void {
    const { station } = this.#shared
    if (get32(bytes, ethernet.length + ipv4.destination) === station.address) {
      // From one guest to another's port (RFC 4787, 6).
      this.#shared.receive(bytes)
      return
    }
    const long = bytes.length - ethernet.length > station.mtu
    const whole = long && dontFragment(bytes)
    if (!whole && (long ? pieces(bytes, station.mtu, this.#shared.random()) : [bytes]).every((piece) => station.send(piece))) return
    this.lost(bytes, whole ? TOO_LONG : NO_HOST)
  }

  /** Tells a guest that something it sent, as it was to leave, got nowhere. */
  lost(bytes: Uint8Array, code: number = NO_HOST): void {
    const { station, receive } = this.#shared
    const answer = refusal(bytes, station.address, station.address, code, station.mtu)
    if (answer !== null) receive(answer)
  }

  /** A guest says that something did not get on (RFC 5508, 4.1): of what it was sent by the one it tells. */
  #error({ bytes, network, transport, end, source, mac }: Packet): boolean {
    const quoted = checksum(bytes, transport, end) === 0 ? quotedBy(bytes, transport, end) : null
    if (quoted === null || quoted.destination !== get32(source, 0)) return false
    const { table, station } = this.#shared
    const service = quoted.protocol === ipProtocol.icmp ? null : this.#service(quoted.protocol, bytesOf(quoted.source), quoted.sourcePort)
    const [port, peerPort] = quoted.protocol === ipProtocol.icmp ? [quoted.sourcePort, 0] : [quoted.destinationPort, quoted.sourcePort]
    const remote = service === null ? quoted.source : get32(service.to.address ?? bytesOf(0), 0)
    const session = table.find(this.#side, quoted.protocol, quoted.destination, port, service, remote, service?.to.port ?? peerPort)
    if (session === null || session.owner.mac !== mac || station.address === 0 || get32(bytes, network + ipv4.destination) !== quoted.source) return false
    const copy = bytes.slice(0, end)
    rewrite(copy, quoted.network, quoted.transport, { end: 'destination', address: station.address, port: session.mapping.outside }, end)
    if (service !== null) rewrite(copy, quoted.network, quoted.transport, { end: 'source', address: session.remote, port: session.remotePort }, end)
    fillIcmp(copy, transport, end)
    rewriteAddress(copy, network, 'source', station.address)
    rewriteAddress(copy, network, 'destination', session.remote)
    hop(copy, network)
    this.#send(copy)
    return true
  }

  #deliver(bytes: Uint8Array, { network, end }: IpPacket, { owner, mapping }: Session): void {
    const { context: { link }, push } = this.#inside
    const address = bytesOf(mapping.address)
    const mac = owner.mac === 0 ? link.find(address) : owner.mac
    if (mac === null) {
      link.onUnknown(address)
      return
    }
    owner.mac = mac
    putEthernet(bytes, mac, link.mac, etherType.ipv4)
    const whole = bytes.subarray(0, end)
    for (const piece of end - network > link.mtu ? pieces(whole, link.mtu, this.#shared.random()) : [whole]) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ bytes: piece })
      if (this.#waiting.length === 1) push(this.#waiting)
    }
  }
}
