import { ethernet, icmp, ipProtocol, ipv4, set16 } from '@machinist/packets'
import { newPacket } from '../nat/packet.ts'
import { ECHO_REPLY, ECHO_REQUEST } from './parts.ts'
import { bytesOf } from './station.ts'
import { fillIcmp } from './rewrite.ts'

/** Destination unreachable, and why (RFC 792; RFC 1191, 4): nobody is there; too long to be sent whole. */
const UNREACHABLE = 3
export const NO_HOST = 1
export const TOO_LONG = 4
/** Bytes above IP that are quoted. */
const QUOTED = 64

/** The message that a packet got nowhere; null for one that is about an error itself (RFC 1122, 3.2.2). */
export function refusal(bytes: Uint8Array, from: number, to: number, code: number, mtu: number): Uint8Array | null {
  const transport = ethernet.length + ((bytes[ethernet.length] ?? 0) & 15) * 4
  const type = bytes[transport] ?? 0
  if (bytes[ethernet.length + ipv4.protocol] === ipProtocol.icmp && type !== ECHO_REQUEST && type !== ECHO_REPLY) return null
  const quoted = bytes.subarray(ethernet.length, transport + QUOTED)
  const answer = newPacket({ source: bytesOf(from), destination: bytesOf(to), protocol: ipProtocol.icmp, sourceMac: 0, destinationMac: 0 }, icmp.length + quoted.length)
  answer.bytes.set([UNREACHABLE, code], answer.transport)
  if (code === TOO_LONG) set16(answer.bytes, answer.transport + 6, mtu)
  answer.bytes.set(quoted, answer.transport + icmp.length)
  fillIcmp(answer.bytes, answer.transport, answer.bytes.length)
  return answer.bytes
}
