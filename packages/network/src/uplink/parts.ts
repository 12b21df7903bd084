import { ethernet, get16, get32, type IpPacket, ipProtocol, ipv4, tcp } from '@machinist/packets'
import { fragments } from '../nat/packet.ts'

/** Types of an echo's messages (RFC 792). */
export const ECHO_REQUEST = 8
export const ECHO_REPLY = 0

const DONT_FRAGMENT = 0x4000

/** Who talks to whom: ports, or the identifier of an echo at the end of who asks. */
export interface Ends {
  readonly source: number
  readonly sourcePort: number
  readonly destination: number
  readonly destinationPort: number
  /** Those of TCP. */
  readonly flags: number
}

/** The ends of an IPv4 packet of TCP, UDP, or an echo of one type; null for everything else. */
export function endsOf(bytes: Uint8Array, { network, transport, payload, protocol, end }: Pick<IpPacket, 'network' | 'transport' | 'payload' | 'protocol' | 'end'>, echo: number): Ends | null {
  if (transport === null) return null
  const source = get32(bytes, network + ipv4.source)
  const destination = get32(bytes, network + ipv4.destination)
  if (protocol === ipProtocol.icmp) {
    if (end - transport < 8 || bytes[transport] !== echo || bytes[transport + 1] !== 0) return null
    const identifier = get16(bytes, transport + 4)
    const asks = echo === ECHO_REQUEST
    return { source, sourcePort: asks ? identifier : 0, destination, destinationPort: asks ? 0 : identifier, flags: 0 }
  }
  if (payload === null) return null
  return { source, sourcePort: get16(bytes, transport), destination, destinationPort: get16(bytes, transport + 2), flags: protocol === ipProtocol.tcp ? bytes[transport + tcp.flags] ?? 0 : 0 }
}

/** Whether a packet may not be cut (RFC 791, 3.1). */
export function dontFragment(bytes: Uint8Array): boolean {
  return (get16(bytes, ethernet.length + ipv4.fragment) & DONT_FRAGMENT) !== 0
}

/** A packet in fragments. One with options is not cut: nobody sends such. */
export function pieces(bytes: Uint8Array, mtu: number, random: number): Uint8Array[] {
  return bytes[ethernet.length] === 0x45 ? fragments(bytes, mtu, random & 0xffff) : []
}
