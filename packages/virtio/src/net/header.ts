import type { Frame, Offloads, Segmentation } from '@machinist/api'
import { offloadsFit, parseIp } from '@machinist/packets'
import { gsoType, packetFlag, packetHeader } from './layout.ts'

const kinds: ReadonlyMap<number, Segmentation['kind']> = new Map([[gsoType.tcp4, 'tcp4'], [gsoType.tcp6, 'tcp6'], [gsoType.udpL4, 'udp']])
const typeOf: Readonly<Record<Segmentation['kind'], number>> = { tcp4: gsoType.tcp4, tcp6: gsoType.tcp6, udp: gsoType.udpL4 }

/**
 * A frame as the driver sent it (5.1.6.2), checked against its own headers: the length of headers that the driver gives is not
 * believed, and one whose offloads do not fit is refused.
 *
 * @param packet - `struct virtio_net_hdr` and the frame, copied from guest memory
 * @param headerSize - bytes of the header: 10, or 12 with `num_buffers`
 * @param offloads - what was negotiated
 */
export function frameOf(packet: Uint8Array, headerSize: number, offloads: Offloads): Frame | null {
  const view = new DataView(packet.buffer, packet.byteOffset, headerSize)
  const flags = view.getUint8(packetHeader.flags)
  const type = view.getUint8(packetHeader.gsoType)
  const bytes = packet.subarray(headerSize)
  if ((flags & packetFlag.needsCsum) === 0) return type === gsoType.none ? { bytes } : null
  if (!offloads.checksum) return null
  const checksum = { start: view.getUint16(packetHeader.csumStart, true), offset: view.getUint16(packetHeader.csumOffset, true) }
  // It was not broken on a wire: it has not seen one.
  let frame: Frame = { bytes, checksum, trusted: true }
  if (type !== gsoType.none) {
    const kind = kinds.get(type & ~gsoType.ecn)
    const ecn = (type & gsoType.ecn) !== 0
    if (kind === undefined || !offloads[kind] || (ecn && (kind === 'udp' || !offloads.ecn))) return null
    frame = { ...frame, segmentation: { kind, size: view.getUint16(packetHeader.gsoSize, true), headerLength: parseIp(bytes)?.payload ?? 0, ecn } }
  }
  return offloadsFit(frame) ? frame : null
}

/**
 * Writes the header of a frame for the driver (5.1.6.4).
 *
 * @param validated - VIRTIO_NET_F_GUEST_CSUM was accepted: the driver wants to know that a checksum holds
 */
export function writeHeader(into: Uint8Array, frame: Frame, buffers: number, validated: boolean): void {
  const { checksum, segmentation } = frame
  const flags = checksum !== undefined ? packetFlag.needsCsum : validated && frame.trusted === true ? packetFlag.dataValid : 0
  into[packetHeader.flags] = flags
  into[packetHeader.gsoType] = segmentation === undefined ? gsoType.none : typeOf[segmentation.kind] | (segmentation.ecn ? gsoType.ecn : 0)
  const put = (offset: number, value: number): void => {
    into[offset] = value
    into[offset + 1] = value >>> 8
  }
  put(packetHeader.hdrLen, segmentation?.headerLength ?? 0)
  put(packetHeader.gsoSize, segmentation?.size ?? 0)
  put(packetHeader.csumStart, checksum?.start ?? 0)
  put(packetHeader.csumOffset, checksum?.offset ?? 0)
  put(packetHeader.numBuffers, buffers)
}

