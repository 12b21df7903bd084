/** Frames for tests, and a second opinion on checksums, computed in the slowest and plainest way. */
import type { Frame } from '@machinist/api'
import { fillChecksum, fillHeaderChecksum, pseudoHeaderSum } from './checksum.ts'
import { addressLength, ethernet, etherType, macBytes, vlanTagLength } from './ethernet.ts'
import { ipProtocol, ipv4, ipv6, set16, set32, tcp, tcpFlag, udp } from './headers.ts'
import { parseIp } from './parse.ts'

/** What {@link ipFrame} makes; all but the version has a default. */
export interface IpFrameOptions {
  readonly version: 4 | 6
  readonly protocol?: 'tcp' | 'udp'
  readonly destination?: number
  readonly source?: number
  /** Tag of this VLAN. */
  readonly vlan?: number
  readonly payload?: Uint8Array
  /** Bytes of IPv4 options, or of a destination options header of IPv6: a multiple of 8. */
  readonly options?: number
  readonly ports?: readonly [number, number]
  readonly sequence?: number
  readonly flags?: number
  /** Leaves the checksum open, and asks for segments of this many bytes. */
  readonly segment?: number
  /** Leaves the checksum open. */
  readonly open?: boolean
}

/** A TCP segment or UDP datagram in IP in Ethernet. */
export function ipFrame(given: IpFrameOptions): Frame {
  const { version, protocol = 'tcp', payload = new Uint8Array(0), options = 0, ports = [1000, 2000], flags = tcpFlag.ack } = given
  const network = ethernet.length + (given.vlan === undefined ? 0 : vlanTagLength)
  const transport = network + (version === 4 ? ipv4.length : ipv6.length) + options
  const headerLength = transport + (protocol === 'tcp' ? tcp.length : udp.length)
  const bytes = new Uint8Array(headerLength + payload.length)
  bytes.set(macBytes(given.destination ?? 0x0200_0000_0002), ethernet.destination)
  bytes.set(macBytes(given.source ?? 0x0200_0000_0001), ethernet.source)
  if (given.vlan !== undefined) {
    set16(bytes, 2 * addressLength, etherType.vlan)
    set16(bytes, 2 * addressLength + 2, given.vlan)
  }
  set16(bytes, network - 2, version === 4 ? etherType.ipv4 : etherType.ipv6)
  const number = protocol === 'tcp' ? ipProtocol.tcp : ipProtocol.udp
  if (version === 4) {
    bytes[network] = 0x40 | ((ipv4.length + options) / 4)
    set16(bytes, network + ipv4.totalLength, bytes.length - network)
    set16(bytes, network + ipv4.identification, 0xfffe)
    bytes[network + ipv4.timeToLive] = 64
    bytes[network + ipv4.protocol] = number
    bytes.set([10, 0, 0, 1, 10, 0, 0, 2], network + ipv4.source)
    bytes.fill(1, network + ipv4.length, transport)
    fillHeaderChecksum(bytes, network)
  } else {
    bytes[network] = 0x60
    set16(bytes, network + ipv6.payloadLength, bytes.length - network - ipv6.length)
    bytes[network + ipv6.nextHeader] = options > 0 ? ipProtocol.destinationOptions : number
    bytes[network + ipv6.hopLimit] = 64
    bytes.set([0xfd, 1], network + ipv6.source)
    bytes.set([0xfd, 2], network + ipv6.destination)
    if (options > 0) bytes.set([number, options / 8 - 1, 1, options - 4], network + ipv6.length)
  }
  set16(bytes, transport, ports[0])
  set16(bytes, transport + 2, ports[1])
  if (protocol === 'tcp') {
    set32(bytes, transport + tcp.sequence, given.sequence ?? 1)
    bytes[transport + tcp.dataOffset] = 0x50
    bytes[transport + tcp.flags] = flags
  } else {
    set16(bytes, transport + udp.size, bytes.length - transport)
  }
  bytes.set(payload, headerLength)
  const checksum = { start: transport, offset: protocol === 'tcp' ? tcp.checksum : udp.checksum }
  set16(bytes, transport + checksum.offset, pseudoHeaderSum(bytes, { version, network, protocol: number }, bytes.length - transport))
  if (given.segment === undefined && given.open !== true) {
    fillChecksum(bytes, checksum)
    return { bytes }
  }
  if (given.segment === undefined) return { bytes, checksum }
  const kind = protocol === 'udp' ? 'udp' : version === 4 ? 'tcp4' : 'tcp6'
  const ecn = protocol === 'tcp' && (flags & tcpFlag.cwr) !== 0
  return { bytes, checksum, segmentation: { kind, size: given.segment, headerLength, ecn } }
}

/** Whether the checksums of IPv4, TCP and UDP in a frame hold, found with BigInt and no thought of speed. */
export function checksumsHold(bytes: Uint8Array): boolean {
  const packet = parseIp(bytes)
  if (packet === null || packet.transport === null) return false
  const { network, transport, end, protocol, version } = packet
  const sum = (parts: readonly Uint8Array[]): bigint => {
    let total = 0n
    for (const part of parts) for (const [index, byte] of part.entries()) total += BigInt(byte) << (index % 2 === 0 ? 8n : 0n)
    return total % 0xffffn
  }
  const addresses = version === 4 ? bytes.slice(network + 12, network + 20) : bytes.slice(network + 8, network + 40)
  const length = end - transport
  const pseudo = Uint8Array.of(0, protocol, length >>> 24, length >>> 16, length >>> 8, length)
  return (version === 6 || sum([bytes.slice(network, network + ((bytes[network] ?? 0) & 15) * 4)]) === 0n)
    && sum([addresses, pseudo, bytes.slice(transport, end)]) === 0n
}
