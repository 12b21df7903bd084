/** Messages of DHCP (RFC 2131, 2; RFC 2132), as both its ends read and write them. */
import { set32 } from '@machinist/packets'

/** Places in a message (RFC 2131, 2). */
export const field = { operation: 0, hardware: 1, hardwareLength: 2, transaction: 4, flags: 10, client: 12, your: 16, mac: 28, magic: 236, options: 240 } as const
/** What options begin with (RFC 2131, 3). */
export const MAGIC = 0x6382_5363
/** Options (RFC 2132). */
export const option = { pad: 0, mask: 1, router: 3, resolver: 6, mtu: 26, broadcast: 28, requested: 50, lease: 51, type: 53, server: 54, renew: 58, rebind: 59, end: 255 } as const
/** Types of messages (RFC 2132, 9.6). */
export const message = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const
/** What a client may rely on to get (RFC 2131, 2): it pads to what BOOTP had. */
export const LEAST_LENGTH = 300

/** Four bytes, big-endian. */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  set32(bytes, 0, value)
  return bytes
}

/** The options of a message, each at its first place. */
export function readOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>()
  for (let at: number = field.options; at < bytes.length;) {
    const kind = bytes[at] ?? option.end
    if (kind === option.end) break
    if (kind === option.pad) {
      at++
      continue
    }
    const length = bytes[at + 1] ?? 0
    if (at + 2 + length > bytes.length) break
    if (!options.has(kind)) options.set(kind, bytes.slice(at + 2, at + 2 + length))
    at += 2 + length
  }
  for (const kind of [option.requested, option.server]) if (options.get(kind)?.length !== 4) options.delete(kind)
  return options
}
