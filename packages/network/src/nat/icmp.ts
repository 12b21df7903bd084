import { get16, icmp, ipProtocol, ipv4, ipv6, set16, set32 } from '@machinist/packets'
import type { Address } from './address.ts'
import type { Link } from './link.ts'
import type { Packet } from './packet.ts'

/** Types of messages for IPv4 (RFC 792) and IPv6 (RFC 4443). */
export const echoRequest: { readonly 4: 8; readonly 6: 128 } = { 4: 8, 6: 128 }
const echoReply = { 4: 0, 6: 129 } as const
const unreachable = { 4: 3, 6: 1 } as const
const timeExceeded = { 4: 11, 6: 3 } as const
const parameterProblem = 4

/** Why something did not get there. */
export type Trouble = 'host' | 'port' | 'prohibited' | 'hops' | 'protocol'

/** How that is said: types and codes for IPv4 (RFC 1812, 5.2.7.1) and IPv6 (RFC 4443, 3.1 to 3.4). */
const troubles: Readonly<Record<Trouble, Readonly<Record<4 | 6, readonly [type: number, code: number]>>>> = {
  host: { 4: [unreachable[4], 1], 6: [unreachable[6], 3] },
  port: { 4: [unreachable[4], 3], 6: [unreachable[6], 4] },
  prohibited: { 4: [unreachable[4], 13], 6: [unreachable[6], 1] },
  hops: { 4: [timeExceeded[4], 0], 6: [timeExceeded[6], 0] },
  protocol: { 4: [unreachable[4], 2], 6: [parameterProblem, 1] },
}

/** Bytes of the payload that an error gives back. */
const QUOTED = 64

/** What an error message quotes of a packet, kept for later. */
export interface Quote {
  readonly version: 4 | 6
  readonly source: Address
  readonly bytes: Uint8Array
}

/** The beginning of a packet. */
export function quoteOf({ version, source, bytes, network, transport, end }: Packet): Quote {
  return { version, source, bytes: bytes.slice(network, Math.min(end, transport + QUOTED)) }
}

/** Tells the sender of a packet that it did not get there. */
export function sendTrouble(link: Link, gateway: Address, { version, source, bytes }: Quote, trouble: Trouble): void {
  const body = new Uint8Array(icmp.length + bytes.length)
  const [type, code] = troubles[trouble][version]
  body[icmp.type] = type
  body[icmp.code] = code
  // Where the field is that is the problem.
  if (trouble === 'protocol' && version === 6) set32(body, 4, ipv6.nextHeader)
  body.set(bytes, icmp.length)
  sendIcmp(link, gateway, source, body)
}

/** Sends an ICMP message whose checksum is open. */
export function sendIcmp(link: Link, source: Address, destination: Address, body: Uint8Array, hops?: number): void {
  const four = source.length === 4
  link.send(source, destination, four ? ipProtocol.icmp : ipProtocol.icmpv6, body, icmp.checksum, !four, hops)
}

/** Answers an echo request. */
export function sendEchoReply(link: Link, from: Address, to: Address, request: Uint8Array): void {
  const body = request.slice()
  body[icmp.type] = echoReply[from.length === 4 ? 4 : 6]
  set16(body, icmp.checksum, 0)
  sendIcmp(link, from, to, body)
}

/** The payload of an echo request, type to end; null when the packet is none. */
export function echoOf({ bytes, version, transport, end }: Packet): Uint8Array | null {
  if (end - transport < icmp.length || bytes[transport + icmp.type] !== echoRequest[version] || bytes[transport + icmp.code] !== 0) return null
  return bytes.subarray(transport, end)
}

/** Hops left in a packet. */
export function hopsOf({ bytes, version, network }: Packet): number {
  return bytes[network + (version === 4 ? ipv4.timeToLive : ipv6.hopLimit)] ?? 0
}

const neighbor = { routerSolicitation: 133, routerAdvertisement: 134, solicitation: 135, advertisement: 136 } as const
const option = { source: 1, target: 2, prefix: 3, mtu: 5, resolvers: 25 } as const
/** For how long this is a router, in seconds: the most that RFC 4861, 6.2.1 lets it say. */
const LIFETIME = 9000
/** After so many milliseconds it says so again (MaxRtrAdvInterval). */
export const advertisementInterval: number = 1_800_000
const FOREVER = 0xffff_ffff
/** Only packets that no router forwarded have it (RFC 4861, 6.1.1 and 7.1.1). */
const OWN_LINK = 255

/** What {@link neighborDiscovery} answers with. */
export interface Router {
  readonly mac: Uint8Array
  readonly prefix: Address
  readonly gateway: Address
  readonly linkLocal: Address
  readonly resolver: Address | null
  /** Whether packets may be sent through it. */
  readonly routes: boolean
  readonly mtu: number
  /** Whether an address is ours to answer for. */
  owns(address: Address): boolean
}

/** Handles neighbour discovery (RFC 4861) and tells guests their prefix and resolver (RFC 8106). True when it was that. */
export function neighborDiscovery(link: Link, router: Router, packet: Packet): boolean {
  const { bytes, transport, end } = packet
  const type = bytes[transport] ?? 0
  if (type < neighbor.routerSolicitation || type > neighbor.advertisement + 1) return false
  if (hopsOf(packet) !== OWN_LINK || bytes[transport + icmp.code] !== 0) return true
  if (type === neighbor.routerSolicitation) {
    sendAdvertisement(link, router, packet.mac)
  } else if (type === neighbor.solicitation && end - transport >= 24) {
    const target = bytes.slice(transport + 8, transport + 24)
    if (!router.owns(target)) return true
    const body = new Uint8Array(32)
    body[0] = neighbor.advertisement
    const asked = packet.source.some((byte) => byte !== 0)
    // R, S and O: a router, asked for, that overrides what was known.
    body[4] = asked ? 0xe0 : 0xa0
    body.set(target, 8)
    body.set([option.target, 1, ...router.mac], 24)
    link.sendTo(packet.mac, target, asked ? packet.source : allNodes, ipProtocol.icmpv6, body, icmp.checksum, true, OWN_LINK)
  }
  return true
}

/** Says what the router is, to one station or to all. */
export function sendAdvertisement(link: Link, router: Router, mac: number = allNodesMac): void {
  link.sendTo(mac, router.linkLocal, allNodes, ipProtocol.icmpv6, advertisement(router), icmp.checksum, true, OWN_LINK)
}

/** ff02::1, and the Ethernet address of this group (RFC 2464, 7). */
const allNodesMac = 0x3333_0000_0001
const allNodes: Address = Uint8Array.from({ length: 16 }, (_, index) => [0xff, 2][index] ?? (index === 15 ? 1 : 0))

/** A router advertisement (RFC 4861, 4.2). */
function advertisement({ mac, prefix, routes, mtu, resolver }: Router): Uint8Array {
  const body = new Uint8Array(16 + 8 + 8 + 32 + (resolver === null ? 0 : 24))
  body[0] = neighbor.routerAdvertisement
  body[4] = 64
  set16(body, 6, routes ? LIFETIME : 0)
  body.set([option.source, 1, ...mac], 16)
  body.set([option.mtu, 1], 24)
  set32(body, 28, mtu)
  // On the link, and guests make their addresses themselves.
  body.set([option.prefix, 4, 64, 0xc0], 32)
  set32(body, 36, FOREVER)
  set32(body, 40, FOREVER)
  body.set(prefix, 48)
  if (resolver !== null) {
    body.set([option.resolvers, 3], 64)
    set32(body, 68, FOREVER)
    body.set(resolver, 72)
  }
  return body
}

/** A neighbour solicitation for an address that something waits for. */
export function sendSolicitation(link: Link, mac: Uint8Array, from: Address, target: Address): void {
  const body = new Uint8Array(32)
  body[0] = neighbor.solicitation
  body.set(target, 8)
  body.set([option.source, 1, ...mac], 24)
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...target.subarray(13))
  const groupMac = 0x3333_0000_0000 + 0xff00_0000 + (get16(target, 13) * 256 + (target[15] ?? 0))
  link.sendTo(groupMac, from, group, ipProtocol.icmpv6, body, icmp.checksum, true, OWN_LINK)
}
