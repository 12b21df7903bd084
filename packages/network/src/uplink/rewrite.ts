import { checksum, fold, get16, ipProtocol, ipv4, set16, set32, tcp, udp } from '@machinist/packets'

/** Where the checksum of what is above IP is, by protocol; it covers the addresses but for ICMP's. */
function checksumAt(protocol: number): number {
  return protocol === ipProtocol.tcp ? tcp.checksum : protocol === ipProtocol.udp ? udp.checksum : 2
}

/** What a word that changes adds to a sum (RFC 1624, 3). */
function change(was: number, is: number): number {
  return (was ^ 0xffff) + is
}

/** Mends the checksum at `at` for words that changed by `delta` (RFC 1624, 3). */
function mend(bytes: Uint8Array, at: number, delta: number): void {
  set16(bytes, at, fold((get16(bytes, at) ^ 0xffff) + delta) ^ 0xffff)
}

/** Where a packet comes from or goes to, as it is to be written into it. */
export interface Written {
  readonly end: 'source' | 'destination'
  readonly address: number
  /** A port, or the identifier of an echo (RFC 5508, 3.1). */
  readonly port: number
}

/**
 * Writes an address and a port into an IPv4 packet that is no fragment, and mends its checksums (RFC 3022, 4.1 and 4.2). A packet whose checksums did not hold is none the better.
 *
 * @param limit - where the bytes end that there are of it: a packet that an error quotes may be cut behind 8 bytes of what is above IP
 */
export function rewrite(bytes: Uint8Array, network: number, transport: number, { end, address, port }: Written, limit: number = bytes.length): void {
  const protocol = bytes[network + ipv4.protocol] ?? 0
  const source = end === 'source'
  const at = network + (source ? ipv4.source : ipv4.destination)
  const portAt = transport + (protocol === ipProtocol.icmp ? 4 : source ? 0 : 2)
  const addresses = fold(change(get16(bytes, at), address >>> 16) + change(get16(bytes, at + 2), address & 0xffff))
  const ports = change(get16(bytes, portAt), port)
  set32(bytes, at, address)
  set16(bytes, portAt, port)
  mend(bytes, network + ipv4.checksum, addresses)
  const sum = transport + checksumAt(protocol)
  if (sum + 2 > limit) return
  if (protocol === ipProtocol.icmp) {
    mend(bytes, sum, ports)
  } else if (protocol === ipProtocol.tcp) {
    mend(bytes, sum, addresses + ports)
  } else if (get16(bytes, sum) !== 0) {
    mend(bytes, sum, addresses + ports)
    // Zero would say that there is none (RFC 768).
    if (get16(bytes, sum) === 0) set16(bytes, sum, 0xffff)
  }
}

/** Writes an address alone, for packets without ports. */
export function rewriteAddress(bytes: Uint8Array, network: number, end: Written['end'], address: number): void {
  const at = network + (end === 'source' ? ipv4.source : ipv4.destination)
  mend(bytes, network + ipv4.checksum, change(get16(bytes, at), address >>> 16) + change(get16(bytes, at + 2), address & 0xffff))
  set32(bytes, at, address)
}

/** Counts a hop down (RFC 1812, 5.3.1). */
export function hop(bytes: Uint8Array, network: number): void {
  const at = network + ipv4.timeToLive
  const was = get16(bytes, at)
  set16(bytes, at, was - 0x100)
  mend(bytes, network + ipv4.checksum, change(was, was - 0x100))
}

/** Computes the checksum of an ICMP message anew. */
export function fillIcmp(bytes: Uint8Array, transport: number, end: number): void {
  set16(bytes, transport + 2, 0)
  set16(bytes, transport + 2, checksum(bytes, transport, end))
}
