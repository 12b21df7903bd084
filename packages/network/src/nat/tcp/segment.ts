import { get16, get32, tcp, tcpFlag } from '@machinist/packets'

/** A segment as it came. */
export interface Segment {
  readonly sequence: number
  readonly acknowledgment: number
  /** {@link tcpFlag} */
  readonly flags: number
  /** As it stands in the header, not scaled. */
  readonly window: number
  readonly payload: Uint8Array
  /** Options, only of a SYN. */
  readonly mss?: number
  readonly scale?: number
}

/** What is to be sent. Its payload is still in the queue of the endpoint that made it. */
export interface Outgoing {
  readonly sequence: number
  readonly acknowledgment: number
  readonly flags: number
  readonly window: number
  /** Of a SYN. */
  readonly options?: { readonly mss: number; readonly scale: number | null }
  /** Where the payload begins, from the front of the queue, and its size. */
  readonly from: number
  readonly length: number
}

const option = { end: 0, nothing: 1, mss: 2, scale: 3 } as const
/** RFC 7323, 2.3. */
const MOST_SCALE = 14

/** Reads a segment whose header and payload were found to be inside `bytes`. */
export function readSegment(bytes: Uint8Array, transport: number, payload: number, end: number): Segment {
  const flags = bytes[transport + tcp.flags] ?? 0
  const segment = {
    sequence: get32(bytes, transport + tcp.sequence),
    acknowledgment: get32(bytes, transport + tcp.acknowledgment),
    flags,
    window: get16(bytes, transport + tcp.window),
    payload: bytes.subarray(payload, end),
  }
  return (flags & tcpFlag.syn) === 0 ? segment : { ...segment, ...options(bytes, transport + tcp.length, payload) }
}

function options(bytes: Uint8Array, from: number, end: number): { mss?: number; scale?: number } {
  const found: { mss?: number; scale?: number } = {}
  for (let at = from; at < end;) {
    const kind = bytes[at] ?? 0
    if (kind === option.end) break
    if (kind === option.nothing) {
      at++
      continue
    }
    const length = bytes[at + 1] ?? 0
    if (length < 2 || at + length > end) break
    if (kind === option.mss && length === 4) found.mss = get16(bytes, at + 2)
    if (kind === option.scale && length === 3) found.scale = Math.min(MOST_SCALE, bytes[at + 2] ?? 0)
    at += length
  }
  return found
}

/** The options of a SYN as bytes, a multiple of 4. */
export function optionBytes({ mss, scale }: { readonly mss: number; readonly scale: number | null }): Uint8Array {
  const size = Uint8Array.of(option.mss, 4, mss >>> 8, mss)
  return scale === null ? size : Uint8Array.of(...size, option.nothing, option.scale, 3, scale)
}
