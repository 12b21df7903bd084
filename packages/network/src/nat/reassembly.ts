import { ethernet, fillHeaderChecksum, ipv4, ipv6, set16 } from '@machinist/packets'
import { newPacket, fragmentOf, addresses, senderOf } from './packet.ts'

/** Packets whose fragments are waited for; a new one ends the oldest. With their largest size that is 1 MiB. */
const MOST_PACKETS = 16
/** Fragments of one packet: as many as 64 KiB have on a link of 576 bytes, and some. */
const MOST_FRAGMENTS = 128
/** What the fields for a packet's length let it carry: that of IPv4 counts the header, which is made anew without options. */
const mostBytes = { 4: 65_535 - 20, 6: 65_535 } as const
/** RFC 791, 3.2, as a lower bound; on a link inside the host nothing is under way for longer. */
const PATIENCE = 15_000

interface Partial {
  readonly pieces: { readonly from: number; readonly bytes: Uint8Array }[]
  length: number | null
  have: number
  readonly until: number
}

/** Whether anything lies behind the end. */
function beyond({ pieces }: Partial, end: number, newest: number): boolean {
  return newest > end || pieces.some((piece) => piece.from + piece.bytes.length > end)
}

/** Puts fragments of IP packets together again. One that overlaps another ends its packet (RFC 5722; for IPv4 too). */
export class Reassembly {
  readonly #partial = new Map<string, Partial>()

  get size(): number {
    return this.#partial.size
  }

  /** When {@link expire} has something to do. */
  get deadline(): number {
    return this.#partial.values().next().value?.until ?? Infinity
  }

  expire(now: number): void {
    for (const [key, { until }] of this.#partial) {
      if (until > now) break
      this.#partial.delete(key)
    }
  }

  /** Takes a fragment; gives the frame of the whole packet when nothing is missing any more. */
  take(bytes: Uint8Array, network: number, end: number, version: 4 | 6, now: number): Uint8Array | null {
    const part = fragmentOf(bytes, network, end, version)
    if (part === null) return null
    const { key, from, data, more } = part
    const length = end - data
    if (length <= 0 || (more && length % 8 !== 0) || from + length > mostBytes[version]) return null
    let whole = this.#partial.get(key)
    if (whole === undefined) {
      if (this.#partial.size >= MOST_PACKETS) {
        const [oldest] = this.#partial.keys()
        if (oldest !== undefined) this.#partial.delete(oldest)
      }
      whole = { pieces: [], length: null, have: 0, until: now + PATIENCE }
      this.#partial.set(key, whole)
    }
    const known = whole.pieces.find((piece) => from < piece.from + piece.bytes.length && piece.from < from + length)
    if (known !== undefined && known.from === from && known.bytes.length === length) return null
    const last = more ? whole.length : from + length
    if (known !== undefined || whole.pieces.length >= MOST_FRAGMENTS || (whole.length !== null && last !== whole.length) || beyond(whole, last ?? Infinity, from + length)) {
      this.#partial.delete(key)
      return null
    }
    whole.pieces.push({ from, bytes: bytes.slice(data, end) })
    whole.have += length
    whole.length = last
    if (whole.have !== whole.length) return null
    this.#partial.delete(key)
    const destinationMac = 0
    const packet = newPacket({ ...addresses(bytes, network, version), protocol: part.protocol, sourceMac: senderOf(bytes), destinationMac, hops: bytes[network + (version === 4 ? ipv4.timeToLive : ipv6.hopLimit)] ?? 0 }, whole.length)
    for (const piece of whole.pieces) packet.bytes.set(piece.bytes, packet.transport + piece.from)
    if (version === 4) {
      // What came in pieces may go on in pieces.
      set16(packet.bytes, ethernet.length + ipv4.fragment, 0)
      fillHeaderChecksum(packet.bytes, ethernet.length)
    }
    return packet.bytes
  }
}
