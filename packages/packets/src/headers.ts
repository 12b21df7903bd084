/** Byte offsets of headers inside themselves. All fields are big-endian: {@link get16} and its like. */

/** ARP for IPv4 over Ethernet (RFC 826). */
export const arp: {
  readonly hardwareType: 0
  readonly protocolType: 2
  readonly hardwareLength: 4
  readonly protocolLength: 5
  readonly operation: 6
  readonly senderMac: 8
  readonly senderIp: 14
  readonly targetMac: 18
  readonly targetIp: 24
  readonly length: 28
} = { hardwareType: 0, protocolType: 2, hardwareLength: 4, protocolLength: 5, operation: 6, senderMac: 8, senderIp: 14, targetMac: 18, targetIp: 24, length: 28 }

/** IPv4 (RFC 791, 3.1), and its length without options. */
export const ipv4: {
  readonly versionAndLength: 0
  readonly trafficClass: 1
  readonly totalLength: 2
  readonly identification: 4
  readonly fragment: 6
  readonly timeToLive: 8
  readonly protocol: 9
  readonly checksum: 10
  readonly source: 12
  readonly destination: 16
  readonly length: 20
} = { versionAndLength: 0, trafficClass: 1, totalLength: 2, identification: 4, fragment: 6, timeToLive: 8, protocol: 9, checksum: 10, source: 12, destination: 16, length: 20 }

/** IPv6 (RFC 8200, 3). */
export const ipv6: {
  readonly versionAndClass: 0
  readonly payloadLength: 4
  readonly nextHeader: 6
  readonly hopLimit: 7
  readonly source: 8
  readonly destination: 24
  readonly length: 40
} = { versionAndClass: 0, payloadLength: 4, nextHeader: 6, hopLimit: 7, source: 8, destination: 24, length: 40 }

/** TCP (RFC 9293, 3.1), and its length without options. */
export const tcp: {
  readonly source: 0
  readonly destination: 2
  readonly sequence: 4
  readonly acknowledgment: 8
  readonly dataOffset: 12
  readonly flags: 13
  readonly window: 14
  readonly checksum: 16
  readonly urgent: 18
  readonly length: 20
} = { source: 0, destination: 2, sequence: 4, acknowledgment: 8, dataOffset: 12, flags: 13, window: 14, checksum: 16, urgent: 18, length: 20 }

/** Bits of TCP's flags. */
export const tcpFlag: {
  readonly fin: 1
  readonly syn: 2
  readonly rst: 4
  readonly psh: 8
  readonly ack: 16
  readonly urg: 32
  readonly ece: 64
  readonly cwr: 128
} = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 }

/** UDP (RFC 768). */
export const udp: {
  readonly source: 0
  readonly destination: 2
  readonly size: 4
  readonly checksum: 6
  readonly length: 8
} = { source: 0, destination: 2, size: 4, checksum: 6, length: 8 }

/** ICMP and ICMPv6 (RFC 792; RFC 4443, 2.1): what all messages begin with. */
export const icmp: {
  readonly type: 0
  readonly code: 1
  readonly checksum: 2
  readonly rest: 4
  readonly length: 8
} = { type: 0, code: 1, checksum: 2, rest: 4, length: 8 }

/** Protocols above IP, and extension headers of IPv6 between. */
export const ipProtocol: {
  readonly hopByHop: 0
  readonly icmp: 1
  readonly tcp: 6
  readonly udp: 17
  readonly routing: 43
  readonly fragment: 44
  readonly icmpv6: 58
  readonly destinationOptions: 60
} = { hopByHop: 0, icmp: 1, tcp: 6, udp: 17, routing: 43, fragment: 44, icmpv6: 58, destinationOptions: 60 }

/** 16 bits at `offset`, big-endian. Bytes past the end count as zero. */
export function get16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
}

/** 32 bits, unsigned. */
export function get32(bytes: Uint8Array, offset: number): number {
  return ((get16(bytes, offset) << 16) | get16(bytes, offset + 2)) >>> 0
}

/** Stores the low 16 bits of `value`. Bytes past the end are not stored. */
export function set16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8
  bytes[offset + 1] = value
}

/** Stores the low 32 bits. */
export function set32(bytes: Uint8Array, offset: number, value: number): void {
  set16(bytes, offset, value >>> 16)
  set16(bytes, offset + 2, value)
}
