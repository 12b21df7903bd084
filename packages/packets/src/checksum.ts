import type { PartialChecksum } from '@machinist/api'
import { ipv4, ipv6, set16 } from './headers.ts'
import type { IpPacket } from './parse.ts'

/** Bytes whose sum stays below 2^30. */
const chunk = 16384

/** The sum of 16-bit words in ones' complement (RFC 1071), 0 to 0xffff. An odd byte at the end counts as if a zero followed. */
export function onesSum(bytes: Uint8Array, start: number, end: number, initial: number = 0): number {
  let sum = initial
  let at = start
  const even = end - ((end - start) & 1)
  while (at < even) {
    const stop = Math.min(at + chunk, even)
    for (; at < stop; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
    sum = fold(sum)
  }
  return fold(even < end ? sum + ((bytes[even] ?? 0) << 8) : sum)
}

/** Carries added back in, for a sum below 2^32. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** The Internet checksum: the complement of {@link onesSum}. */
export function checksum(bytes: Uint8Array, start: number, end: number, initial: number = 0): number {
  return onesSum(bytes, start, end, initial) ^ 0xffff
}

/** The sum of the pseudo-header above which TCP, UDP and ICMPv6 are (RFC 9293, 3.1; RFC 8200, 8.1). */
export function pseudoHeaderSum(bytes: Uint8Array, packet: Pick<IpPacket, 'version' | 'network' | 'protocol'>, length: number): number {
  const [source, end] = packet.version === 4 ? [ipv4.source, ipv4.source + 8] : [ipv6.source, ipv6.source + 32]
  return onesSum(bytes, packet.network + source, packet.network + end, fold(length) + packet.protocol)
}

/**
 * Fills in a checksum that was left open, in place. A zero becomes 0xffff: the same number, and in UDP the other one says
 * that there is no checksum (RFC 768).
 */
export function fillChecksum(bytes: Uint8Array, { start, offset }: PartialChecksum): void {
  const sum = checksum(bytes, start, bytes.length)
  set16(bytes, start + offset, sum === 0 ? 0xffff : sum)
}

/** Fills in the checksum of an IPv4 header, in place. */
export function fillHeaderChecksum(bytes: Uint8Array, network: number): void {
  set16(bytes, network + ipv4.checksum, 0)
  set16(bytes, network + ipv4.checksum, checksum(bytes, network, network + ((bytes[network] ?? 0) & 15) * 4))
}

/** Whether the field may be filled in: that it is inside the frame, behind where the sum begins. */
export function checksumFits(bytes: Uint8Array, { start, offset }: PartialChecksum): boolean {
  return Number.isInteger(start) && Number.isInteger(offset) && start >= 0 && offset >= 0 && start + offset + 2 <= bytes.length
}
