import { ethernet, etherType, vlanTagLength } from './ethernet.ts'
import { get16, ipProtocol, ipv4, ipv6, tcp, udp } from './headers.ts'

/** Where the headers of a frame with an IP packet are. Every offset is inside the frame. */
export interface IpPacket {
  readonly version: 4 | 6
  /** Byte of the IP header. */
  readonly network: number
  /** Byte after the IP packet; padding may follow. In a frame to be segmented, the end of the frame. */
  readonly end: number
  /** The protocol above: {@link ipProtocol}. */
  readonly protocol: number
  /** Byte of what is above IP, or null in a fragment. */
  readonly transport: number | null
  /** Byte of the payload of TCP or UDP; null for other protocols, and when that header is cut off or wrong. */
  readonly payload: number | null
}

/** Tags and extension headers looked through before a packet is taken for nonsense. */
const mostHeaders = 8
const moreFragments = 0x2000
const fragmentOffset = 0x1fff

/**
 * Looks through the headers of a frame, VLAN tags and extension headers included, and checks every length that they
 * give. Null when it holds no IP packet, or one that contradicts itself.
 */
export function parseIp(bytes: Uint8Array): IpPacket | null {
  const { type, network } = parseEthernet(bytes)
  if (type === etherType.ipv4) return parseIpv4(bytes, network)
  return type === etherType.ipv6 ? parseIpv6(bytes, network) : null
}

/** The EtherType behind VLAN tags, and where what it names begins. Of a frame with too many tags, it is that of a tag. */
export function parseEthernet(bytes: Uint8Array): { readonly type: number; readonly network: number } {
  let network: number = ethernet.length
  let type = get16(bytes, ethernet.type)
  for (let tags = 0; tags < mostHeaders && (type === etherType.vlan || type === etherType.serviceVlan); tags++) {
    type = get16(bytes, network + 2)
    network += vlanTagLength
  }
  return { type, network }
}

function parseIpv4(bytes: Uint8Array, network: number): IpPacket | null {
  const available = bytes.length - network
  const first = bytes[network] ?? 0
  const headerLength = (first & 15) * 4
  const end = network + get16(bytes, network + ipv4.totalLength)
  if (available < ipv4.length || first >>> 4 !== 4 || headerLength < ipv4.length) return null
  if (end > bytes.length || network + headerLength > end) return null
  const protocol = bytes[network + ipv4.protocol] ?? 0
  const fragment = (get16(bytes, network + ipv4.fragment) & (moreFragments | fragmentOffset)) !== 0
  const transport = network + headerLength
  if (fragment) return { version: 4, network, end, protocol, transport: null, payload: null }
  return { version: 4, network, end, protocol, transport, payload: payloadOf(bytes, protocol, transport, end) }
}

function parseIpv6(bytes: Uint8Array, network: number): IpPacket | null {
  if (bytes.length - network < ipv6.length || (bytes[network] ?? 0) >>> 4 !== 6) return null
  const end = network + ipv6.length + get16(bytes, network + ipv6.payloadLength)
  if (end > bytes.length) return null
  let protocol = bytes[network + ipv6.nextHeader] ?? 0
  let at = network + ipv6.length
  for (let headers = 0; headers < mostHeaders; headers++) {
    switch (protocol) {
      case ipProtocol.hopByHop:
      case ipProtocol.routing:
      case ipProtocol.destinationOptions: {
        if (at + 8 > end) return null
        protocol = bytes[at] ?? 0
        at += 8 + 8 * (bytes[at + 1] ?? 0)
        if (at > end) return null
        continue
      }
      case ipProtocol.fragment:
        return at + 8 > end ? null : { version: 6, network, end, protocol: bytes[at] ?? 0, transport: null, payload: null }
      default:
        return { version: 6, network, end, protocol, transport: at, payload: payloadOf(bytes, protocol, at, end) }
    }
  }
  return null
}

function payloadOf(bytes: Uint8Array, protocol: number, transport: number, end: number): number | null {
  if (protocol === ipProtocol.udp) return transport + udp.length <= end ? transport + udp.length : null
  if (protocol !== ipProtocol.tcp || transport + tcp.length > end) return null
  const headerLength = ((bytes[transport + tcp.dataOffset] ?? 0) >>> 4) * 4
  return headerLength < tcp.length || transport + headerLength > end ? null : transport + headerLength
}
