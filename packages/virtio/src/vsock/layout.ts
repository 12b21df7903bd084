/** Numbers of the socket device (virtio 1.2, 5.10). Little-endian. */

/** Numbers of its queues (5.10.2). */
export const vsockQueue = { receive: 0, transmit: 1, event: 2 } as const
/** Feature bit: streams (5.10.3). */
export const streamFeature: number = 0
/** Bytes of the configuration: the guest's CID (5.10.4). */
export const configSize: number = 8
/** The host's CID. */
export const hostCid: number = 2

/** Fields of a packet's header, by offset, and its length (5.10.6). */
export const packet = { sourceCid: 0, destinationCid: 8, sourcePort: 16, destinationPort: 20, length: 24, type: 28, operation: 30, flags: 32, allocated: 36, forwarded: 40, size: 44 } as const
/** The type of streams (5.10.6.6). */
export const streamType: number = 1

/** What a packet is about (5.10.6). */
export const operation = { request: 1, response: 2, reset: 3, shutdown: 4, data: 5, creditUpdate: 6, creditRequest: 7 } as const
/** Flags of a shutdown: its sender will not receive, or not send, any more (5.10.6.5). */
export const shutdownFlag = { receive: 1, send: 2, both: 3 } as const

/** Bytes of an event, and the only one: all connections are gone (5.10.6.7). */
export const eventSize: number = 4
export const transportReset: number = 0

/** A packet's header, checked to be one. */
export interface Header {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly length: number
  readonly operation: number
  readonly flags: number
  readonly allocated: number
  readonly forwarded: number
  /** It comes from the guest's CID, goes to the host's, and is about a stream. */
  readonly ours: boolean
}

/** Reads a header out of a copy of it. */
export function readHeader(bytes: Uint8Array, guestCid: number): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const cid = (at: number): bigint => view.getBigUint64(at, true)
  const word = (at: number): number => view.getUint32(at, true)
  return {
    sourcePort: word(packet.sourcePort),
    destinationPort: word(packet.destinationPort),
    length: word(packet.length),
    operation: view.getUint16(packet.operation, true),
    flags: word(packet.flags),
    allocated: word(packet.allocated),
    forwarded: word(packet.forwarded),
    ours: cid(packet.sourceCid) === BigInt(guestCid) && cid(packet.destinationCid) === BigInt(hostCid) && view.getUint16(packet.type, true) === streamType,
  }
}
