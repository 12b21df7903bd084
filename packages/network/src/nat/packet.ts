import { ethernet, etherType, fillHeaderChecksum, get16, ipProtocol, ipv4, ipv6, macAt, macBytes, set16, set32 } from '@machinist/packets'
import type { Address } from './address.ts'

/** An IP packet of the guest, whole, with offsets that are inside of `bytes`. */
export interface Packet {
  readonly bytes: Uint8Array
  readonly version: 4 | 6
  readonly network: number
  readonly transport: number
  /** Behind the headers of TCP and UDP; null for others, and where these are wrong. */
  readonly payload: number | null
  readonly end: number
  readonly protocol: number
  readonly source: Address
  readonly destination: Address
  /** The Ethernet address it came from. */
  readonly mac: number
}

/** Routers count hops down from here. */
const HOPS = 64

/** The addresses of an IP header. */
export function addresses(bytes: Uint8Array, network: number, version: 4 | 6): { source: Address; destination: Address } {
  const { source, destination } = version === 4 ? ipv4 : ipv6
  const size = version === 4 ? 4 : 16
  return {
    source: bytes.slice(network + source, network + source + size),
    destination: bytes.slice(network + destination, network + destination + size),
  }
}

/** Writes an Ethernet header; returns where the network's begins. */
export function putEthernet(bytes: Uint8Array, destination: number, source: number, type: number): number {
  bytes.set(macBytes(destination), ethernet.destination)
  bytes.set(macBytes(source), ethernet.source)
  set16(bytes, ethernet.type, type)
  return ethernet.length
}

/** What {@link newPacket} makes a packet of. */
export interface Envelope {
  readonly source: Address
  readonly destination: Address
  readonly protocol: number
  readonly sourceMac: number
  readonly destinationMac: number
  readonly hops?: number
}

/** A frame with room for `length` bytes above IP, and where they begin. */
export function newPacket({ source, destination, protocol, sourceMac, destinationMac, hops = HOPS }: Envelope, length: number): { bytes: Uint8Array; transport: number } {
  const version = source.length === 4 ? 4 : 6
  const header = version === 4 ? ipv4.length : ipv6.length
  const bytes = new Uint8Array(ethernet.length + header + length)
  const at = putEthernet(bytes, destinationMac, sourceMac, version === 4 ? etherType.ipv4 : etherType.ipv6)
  if (version === 4) {
    bytes[at] = 0x45
    set16(bytes, at + ipv4.totalLength, header + length)
    // Nothing here is cut on the way, so no identification is needed (RFC 6864, 4.1).
    set16(bytes, at + ipv4.fragment, 0x4000)
    bytes[at + ipv4.timeToLive] = hops
    bytes[at + ipv4.protocol] = protocol
    bytes.set(source, at + ipv4.source)
    bytes.set(destination, at + ipv4.destination)
    fillHeaderChecksum(bytes, at)
  } else {
    bytes[at] = 0x60
    set16(bytes, at + ipv6.payloadLength, length)
    bytes[at + ipv6.nextHeader] = protocol
    bytes[at + ipv6.hopLimit] = hops
    bytes.set(source, at + ipv6.source)
    bytes.set(destination, at + ipv6.destination)
  }
  return { bytes, transport: at + header }
}

/** Cuts a packet whose checksums hold into fragments for a link of `mtu` (RFC 791, 3.2; RFC 8200, 4.5). */
export function fragments(bytes: Uint8Array, mtu: number, identification: number): Uint8Array[] {
  const at = ethernet.length
  if (bytes.length - at <= mtu) return [bytes]
  const four = (bytes[at] ?? 0) >>> 4 === 4
  const headers = at + (four ? ipv4.length : ipv6.length)
  const extension = four ? 0 : 8
  const step = (mtu - (headers - at) - extension) & ~7
  const list: Uint8Array[] = []
  for (let from = headers; from < bytes.length; from += step) {
    const to = Math.min(bytes.length, from + step)
    const more = to < bytes.length
    const offset = from - headers
    const piece = new Uint8Array(headers + extension + to - from)
    piece.set(bytes.subarray(0, headers))
    piece.set(bytes.subarray(from, to), headers + extension)
    if (four) {
      set16(piece, at + ipv4.totalLength, piece.length - at)
      set16(piece, at + ipv4.identification, identification)
      set16(piece, at + ipv4.fragment, (more ? 0x2000 : 0) | offset >>> 3)
      fillHeaderChecksum(piece, at)
    } else {
      set16(piece, at + ipv6.payloadLength, piece.length - headers)
      piece[headers] = piece[at + ipv6.nextHeader] ?? 0
      piece[at + ipv6.nextHeader] = ipProtocol.fragment
      set16(piece, headers + 2, offset | (more ? 1 : 0))
      set32(piece, headers + 4, identification)
    }
    list.push(piece)
  }
  return list
}

/** Where a packet is a fragment: of what, which part, and whether more follow. Null when it contradicts itself. */
export function fragmentOf(bytes: Uint8Array, network: number, end: number, version: 4 | 6): { key: string; from: number; data: number; more: boolean; protocol: number } | null {
  if (version === 4) {
    const data = network + ((bytes[network] ?? 0) & 15) * 4
    const field = get16(bytes, network + ipv4.fragment)
    const protocol = bytes[network + ipv4.protocol] ?? 0
    const id = bytes.subarray(network + ipv4.identification, network + ipv4.identification + 2)
    const ends = bytes.subarray(network + ipv4.source, network + ipv4.source + 8)
    return { key: String.fromCharCode(4, protocol, ...id, ...ends), from: (field & 0x1fff) * 8, data, more: (field & 0x2000) !== 0, protocol }
  }
  // Only directly behind the IPv6 header: nothing that a guest sends here needs more.
  const at = network + ipv6.length
  if (bytes[network + ipv6.nextHeader] !== ipProtocol.fragment || at + 8 > end) return null
  const field = get16(bytes, at + 2)
  const ends = bytes.subarray(network + ipv6.source, network + ipv6.source + 32)
  return { key: String.fromCharCode(6, ...bytes.subarray(at + 4, at + 8), ...ends), from: field & ~7, data: at + 8, more: (field & 1) !== 0, protocol: bytes[at] ?? 0 }
}

/** Where a frame comes from. */
export function senderOf(bytes: Uint8Array): number {
  return macAt(bytes, ethernet.source)
}
