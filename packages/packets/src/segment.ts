import type { Frame, Offloads, Segmentation } from '@machinist/api'
import { checksumFits, fillChecksum, fillHeaderChecksum, fold } from './checksum.ts'
import { get16, get32, ipProtocol, ipv4, ipv6, set16, set32, tcp, tcpFlag, udp } from './headers.ts'
import { parseIp } from './parse.ts'
import type { IpPacket } from './parse.ts'

/**
 * Most segments of one frame: as many as 64 KiB of payload have when each holds 48 bytes, the least that a TCP of today
 * agrees to. Without a bound one frame could become 64 Ki.
 */
export const mostSegments = 1366

const transportChecksum = { [ipProtocol.tcp]: tcp.checksum, [ipProtocol.udp]: udp.checksum } as const

/**
 * Whether what a frame says of its checksum and segmentation fits what is in it. A frame of a guest may be passed on when
 * it does; when it does not, it is worth nothing to anybody.
 */
export function offloadsFit(frame: Frame): boolean {
  const { bytes, checksum, segmentation } = frame
  if (checksum !== undefined && !checksumFits(bytes, checksum)) return false
  return segmentation === undefined || segmentable(frame, segmentation) !== null
}

/** The packet of a frame that can be cut; null when it cannot. */
function segmentable({ bytes, checksum }: Frame, { kind, size, headerLength }: Segmentation): IpPacket | null {
  const packet = parseIp(bytes)
  if (packet === null || packet.transport === null || packet.payload === null) return null
  const protocol = kind === 'udp' ? ipProtocol.udp : ipProtocol.tcp
  if (packet.protocol !== protocol || (kind === 'tcp4' && packet.version !== 4) || (kind === 'tcp6' && packet.version !== 6)) return null
  if (checksum?.start !== packet.transport || checksum.offset !== transportChecksum[protocol]) return null
  if (headerLength !== packet.payload || packet.end !== bytes.length) return null
  if (!Number.isInteger(size) || size < 1 || bytes.length - headerLength > size * mostSegments) return null
  return packet
}

/**
 * Cuts a frame into those that its {@link Segmentation} asks for, as a network card would. None, when what it says of
 * itself does not fit.
 *
 * @param open - leave the checksums of the segments to whoever takes them
 */
export function segments(frame: Frame, open: boolean = false): Frame[] {
  const { bytes, checksum, segmentation } = frame
  if (checksum === undefined || segmentation === undefined) return [frame]
  const packet = segmentable(frame, segmentation)
  if (packet === null) return []
  const { size, headerLength, kind, ecn } = segmentation
  const { network, version } = packet
  const transport = checksum.start
  const whole = bytes.length - transport
  const sequence = get32(bytes, transport + tcp.sequence)
  const identification = get16(bytes, network + ipv4.identification)
  const flags = bytes[transport + tcp.flags] ?? 0
  // What the field holds, less the length of the whole: that of each segment comes instead.
  const rest = get16(bytes, transport + checksum.offset) + (fold(whole) ^ 0xffff)
  const list: Frame[] = []
  for (let from = headerLength, index = 0; index === 0 || from < bytes.length; from += size, index++) {
    const to = Math.min(from + size, bytes.length)
    const segment = new Uint8Array(headerLength + to - from)
    segment.set(bytes.subarray(0, headerLength))
    segment.set(bytes.subarray(from, to), headerLength)
    if (version === 4) {
      set16(segment, network + ipv4.totalLength, segment.length - network)
      set16(segment, network + ipv4.identification, identification + index)
      fillHeaderChecksum(segment, network)
    } else {
      set16(segment, network + ipv6.payloadLength, segment.length - network - ipv6.length)
    }
    if (kind === 'udp') {
      set16(segment, transport + udp.size, segment.length - transport)
    } else {
      set32(segment, transport + tcp.sequence, sequence + from - headerLength)
      const last = to === bytes.length
      segment[transport + tcp.flags] = flags & ~((last ? 0 : tcpFlag.fin | tcpFlag.psh) | (ecn && index > 0 ? tcpFlag.cwr : 0))
    }
    set16(segment, transport + checksum.offset, fold(rest + segment.length - transport))
    const trusted = frame.trusted === true ? { trusted: true } : {}
    if (open) {
      list.push({ bytes: segment, checksum, ...trusted })
    } else {
      fillChecksum(segment, checksum)
      list.push({ bytes: segment, ...trusted })
    }
  }
  return list
}

/** Whether a taker of `offloads` takes this segmentation. */
function takes(offloads: Offloads, { kind, ecn }: Segmentation): boolean {
  return offloads.checksum && offloads[kind] && (!ecn || offloads.ecn)
}

/**
 * Does what the taker of a frame does not take over: cuts it, and fills in checksums. The frame itself stays as it is.
 *
 * @returns what to hand over, in order; nothing, when what the frame says of itself does not fit
 */
export function adapt(frame: Frame, offloads: Offloads): readonly Frame[] {
  const { bytes, checksum, segmentation } = frame
  if (segmentation !== undefined && !takes(offloads, segmentation)) return segments(frame, offloads.checksum)
  if (checksum === undefined || offloads.checksum) return [frame]
  if (!checksumFits(bytes, checksum)) return []
  const filled = bytes.slice()
  fillChecksum(filled, checksum)
  return [{ bytes: filled, ...(frame.trusted === true && { trusted: true }) }]
}
