import { type Frame, maximumFrame } from '@machinist/api'
import { checksum, ethernet, get16, ipProtocol, isGroup, macAt, offloadsFit, onesSum, parseIp, pseudoHeaderSum, udp } from '@machinist/packets'
import { addresses, type Packet, senderOf } from './packet.ts'
import type { Reassembly } from './reassembly.ts'

/** Whether a frame of a guest is one to look at: its sizes are right, it comes from one station, and is for us or for all. */
export function forUs(frame: Frame, mac: number): boolean {
  const { bytes } = frame
  if (bytes.length < ethernet.length || bytes.length > maximumFrame) return false
  const destination = macAt(bytes, ethernet.destination)
  return !isGroup(senderOf(bytes)) && (destination === mac || isGroup(destination)) && offloadsFit(frame)
}

/** The IP packet in a frame, put together from fragments if need be; null when there is none, or one whose checksums do not hold; that above IP is not looked at unless `looks`. */
export function packetOf(frame: Frame, reassembly: Reassembly, now: number, looks: boolean = true): Packet | null {
  let { bytes } = frame
  let parsed = parseIp(bytes)
  if (parsed === null || parsed.network !== ethernet.length) return null
  const trusted = frame.trusted === true
  if (parsed.version === 4 && !trusted && checksum(bytes, parsed.network, parsed.network + ((bytes[parsed.network] ?? 0) & 15) * 4) !== 0) return null
  let closed = frame.checksum === undefined && !trusted
  if (parsed.transport === null) {
    const whole = reassembly.take(bytes, parsed.network, parsed.end, parsed.version, now)
    if (whole === null) return null
    bytes = whole
    parsed = parseIp(bytes)
    closed = !trusted
    if (parsed === null) return null
  }
  const { version, network, transport, payload, end, protocol } = parsed
  if (transport === null) return null
  const packet: Packet = { bytes, version, network, transport, payload, end, protocol, mac: senderOf(bytes), ...addresses(bytes, network, version) }
  return looks && closed && !holds(packet) ? null : packet
}

/** Whether the checksum above IP holds. */
export function holds({ bytes, version, network, transport, end, protocol }: Packet): boolean {
  switch (protocol) {
    case ipProtocol.udp:
      // Zero: there is none (RFC 768); IPv6 insists (RFC 8200, 8.1).
      if (get16(bytes, transport + udp.checksum) === 0) return version === 4
      break
    case ipProtocol.icmp:
      return checksum(bytes, transport, end) === 0
    case ipProtocol.tcp:
    case ipProtocol.icmpv6:
      break
    default:
      return true
  }
  return onesSum(bytes, transport, end, pseudoHeaderSum(bytes, { version, network, protocol }, end - transport)) === 0xffff
}
