import { get16, get32, icmp, ipProtocol, ipv4 } from '@machinist/packets'

/** Types of errors (RFC 792). Redirects are for this link alone, and source quench is no more (RFC 6633). */
const ERRORS: readonly number[] = [3, 11, 12]
const ECHO: readonly number[] = [0, 8]

/** The packet that an ICMP error quotes. */
export interface Quoted {
  /** Where its headers begin. */
  readonly network: number
  readonly transport: number
  readonly protocol: number
  readonly source: number
  readonly sourcePort: number
  readonly destination: number
  readonly destinationPort: number
}

/** What an ICMP error is about (RFC 5508, 4); null when the message is none, or does not quote enough. */
export function quotedBy(bytes: Uint8Array, transport: number, end: number): Quoted | null {
  const network = transport + icmp.length
  if (network + ipv4.length + 8 > end || !ERRORS.includes(bytes[transport] ?? 0)) return null
  const first = bytes[network] ?? 0
  const inner = network + (first & 15) * 4
  if (first >>> 4 !== 4 || inner < network + ipv4.length || inner + 8 > end || (get16(bytes, network + ipv4.fragment) & 0x1fff) !== 0) return null
  const protocol = bytes[network + ipv4.protocol] ?? 0
  const echo = protocol === ipProtocol.icmp
  if (echo ? !ECHO.includes(bytes[inner] ?? 0) : protocol !== ipProtocol.tcp && protocol !== ipProtocol.udp) return null
  const identifier = get16(bytes, inner + 4)
  return {
    network, transport: inner, protocol,
    source: get32(bytes, network + ipv4.source), destination: get32(bytes, network + ipv4.destination),
    sourcePort: echo ? identifier : get16(bytes, inner), destinationPort: echo ? 0 : get16(bytes, inner + 2),
  }
}
