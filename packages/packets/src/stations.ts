import type { Frame, PartialChecksum } from '@machinist/api'
import { fold, onesSum } from './checksum.ts'
import { addressLength, ethernet, etherType, macAt, macBytes } from './ethernet.ts'
import { arp, get16, get32, icmp, ipProtocol, set16, udp } from './headers.ts'
import { type IpPacket, parseEthernet, parseIp } from './parse.ts'

/** Where a frame names a station, and the checksum that covers it. */
interface Place {
  readonly at: number
  readonly covered: Covered | null
}

/** What a checksum covers: from `start` to `end`. */
interface Covered extends PartialChecksum {
  readonly end: number
}

/** Hardware type of Ethernet, in ARP and in DHCP. */
const ETHERNET = 1

/** Messages of neighbour discovery (RFC 4861, 4): where their options begin. */
const discovery: ReadonlyMap<number, number> = new Map([[133, 8], [134, 16], [135, 24], [136, 24], [137, 40]])
/** Options with an address (RFC 4861, 4.6.1), and where it is in them. All lengths are in units of 8 bytes. */
const linkLayer = { source: 1, target: 2, address: 2, unit: 8 } as const

/** Ports, fields and options of DHCP (RFC 2131, 2; RFC 2132, 9.14). */
const dhcp = { server: 67, client: 68, hardware: 1, hardwareLength: 2, mac: 28, magic: 236, options: 240, pad: 0, clientId: 61, end: 255 } as const
const MAGIC = 0x6382_5363

/**
 * A frame in which each of two stations is called as the other is: in its Ethernet header, in ARP, in neighbour discovery, and in DHCP, whose checksums are kept as right
 * or wrong as they are. What is encrypted, in fragments or in other protocols stays. Twice is not at all.
 *
 * @returns a copy, or the frame itself when it names neither
 */
export function exchangeStations(frame: Frame, one: number, other: number): Frame {
  let bytes: Uint8Array | null = null
  for (const { at, covered } of placesIn(frame)) {
    const station = macAt(frame.bytes, at)
    if (station !== one && station !== other) continue
    bytes ??= frame.bytes.slice()
    put(bytes, at, station === one ? other : one, covered)
  }
  return bytes === null ? frame : { ...frame, bytes }
}

function placesIn(frame: Frame): readonly Place[] {
  const { bytes } = frame
  if (bytes.length < ethernet.length) return []
  const header = [ethernet.destination, ethernet.source].map((at) => ({ at, covered: null }))
  const { type, network } = parseEthernet(bytes)
  if (type === etherType.arp) return [...header, ...arpPlaces(bytes, network)]
  const packet = frame.segmentation === undefined ? parseIp(bytes) : null
  if (packet?.protocol === ipProtocol.icmpv6) return [...header, ...discoveryPlaces(frame, packet)]
  if (packet?.protocol === ipProtocol.udp) return [...header, ...dhcpPlaces(frame, packet)]
  return header
}

function arpPlaces(bytes: Uint8Array, network: number): readonly Place[] {
  const known = network + arp.length <= bytes.length && get16(bytes, network + arp.hardwareType) === ETHERNET && bytes[network + arp.hardwareLength] === addressLength
    && get16(bytes, network + arp.protocolType) === etherType.ipv4 && bytes[network + arp.protocolLength] === 4
  return known ? [arp.senderMac, arp.targetMac].map((field) => ({ at: network + field, covered: null })) : []
}

function discoveryPlaces({ bytes, checksum }: Frame, { version, transport, end }: IpPacket): readonly Place[] {
  if (version !== 6 || transport === null || transport + icmp.length > end) return []
  const first = discovery.get(bytes[transport + icmp.type] ?? 0)
  if (first === undefined) return []
  const covered = checksum?.start === transport ? null : { start: transport, offset: icmp.checksum, end }
  const places: Place[] = []
  for (let at = transport + first; at + linkLayer.unit <= end;) {
    const length = (bytes[at + 1] ?? 0) * linkLayer.unit
    if (length === 0) break
    if (bytes[at] === linkLayer.source || bytes[at] === linkLayer.target) places.push({ at: at + linkLayer.address, covered })
    at += length
  }
  return places
}

function dhcpPlaces({ bytes, checksum }: Frame, { transport, payload, end: packetEnd }: IpPacket): readonly Place[] {
  if (transport === null || payload === null) return []
  const isPort = (field: number): boolean => { const port = get16(bytes, transport + field); return port === dhcp.server || port === dhcp.client }
  const end = transport + get16(bytes, transport + udp.size)
  if (!isPort(udp.source) || !isPort(udp.destination) || end > packetEnd || payload + dhcp.magic > end) return []
  if (bytes[payload + dhcp.hardware] !== ETHERNET || bytes[payload + dhcp.hardwareLength] !== addressLength) return []
  const open = checksum?.start === transport || get16(bytes, transport + udp.checksum) === 0
  const covered = open ? null : { start: transport, offset: udp.checksum, end }
  const places: Place[] = [{ at: payload + dhcp.mac, covered }]
  if (payload + dhcp.options > end || get32(bytes, payload + dhcp.magic) !== MAGIC) return places
  for (let at = payload + dhcp.options; at + 2 <= end && bytes[at] !== dhcp.end;) {
    const length = bytes[at] === dhcp.pad ? 1 : 2 + (bytes[at + 1] ?? 0)
    // A client that is called by its address: servers go by this rather than by the field.
    if (bytes[at] === dhcp.clientId && length === 3 + addressLength && at + length <= end && bytes[at + 2] === ETHERNET) places.push({ at: at + 3, covered })
    at += length
  }
  return places
}

/** Stores an address, and keeps the checksum (RFC 1624, 3). */
function put(bytes: Uint8Array, at: number, station: number, covered: Covered | null): void {
  if (covered === null) {
    bytes.set(macBytes(station), at)
    return
  }
  const { start, offset, end } = covered
  // Whole words.
  const from = at - ((at - start) & 1)
  const to = Math.min(from + addressLength + 2, end)
  const before = onesSum(bytes, from, to)
  bytes.set(macBytes(station), at)
  const old = get16(bytes, start + offset)
  const sum = fold((old ^ 0xffff) + (before ^ 0xffff) + onesSum(bytes, from, to)) ^ 0xffff
  set16(bytes, start + offset, sum === 0 ? 0xffff : sum)
}
