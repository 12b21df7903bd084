/** Captures in the pcapng format (draft-ietf-opsawg-pcapng), with nanoseconds and directions, as Wireshark reads it. */

/** Takes a capture as it comes. Bytes are the taker's. */
export type CaptureSink = (bytes: Uint8Array) => void

/** What {@link Capture} may be told. */
export interface CaptureOptions {
  /** Bytes of each frame to keep, 64 to 65553; all unless given. */
  readonly snapLength?: number
  /** Nanoseconds since 1970, for the time of frames. Unless given, the time of the machine at the port, from zero. */
  readonly now?: () => bigint
}

/** Which way a frame went, as the machine at the port sees it; the value is that of `epb_flags` (4.3.1). */
export type Direction = 'received' | 'sent'
const directionFlags: Readonly<Record<Direction, number>> = { received: 1, sent: 2 }

const block = { section: 0x0a0d_0d0a, interface: 1, packet: 6 }
const option = { end: 0, name: 2, flags: 2, resolution: 9 }
const byteOrderMagic = 0x1a2b_3c4d
const linkEthernet = 1
const longest = 65553

/** Writes one stream of pcapng; several ports may share it, each as an interface. */
export class Capture {
  readonly #sink: CaptureSink
  readonly #snap: number
  readonly #now: (() => bigint) | undefined
  #interfaces = 0

  constructor(sink: CaptureSink, options: CaptureOptions = {}) {
    this.#sink = sink
    this.#snap = Math.min(Math.max(Math.trunc(options.snapLength ?? longest), 64), longest)
    this.#now = options.now
    // Section header: version 1.0, length of the section unknown.
    this.#write(block.section, [word(byteOrderMagic), half(1, 0), word(0xffff_ffff), word(0xffff_ffff)])
  }

  /** Adds an interface. Returns what records a frame there. */
  add(name: string, now: () => number): (bytes: Uint8Array, direction: Direction) => void {
    const id = this.#interfaces++
    const ascii = Uint8Array.from(name.slice(0, 64), (letter) => letter.charCodeAt(0) & 0x7f)
    this.#write(block.interface, [
      half(linkEthernet, 0), word(this.#snap),
      half(option.name, ascii.length), ascii, half(option.resolution, 1), Uint8Array.of(9), half(option.end, 0),
    ])
    return (bytes, direction) => {
      const at = this.#now?.() ?? BigInt(Math.trunc(now()))
      const kept = bytes.subarray(0, this.#snap)
      this.#write(block.packet, [
        word(id), word(Number(BigInt.asUintN(32, at >> 32n))), word(Number(BigInt.asUintN(32, at))), word(kept.length), word(bytes.length), kept,
        half(option.flags, 4), word(directionFlags[direction]), half(option.end, 0),
      ])
    }
  }

  /** A block: type, length, body in parts each padded to 32 bits, length. */
  #write(type: number, parts: readonly Uint8Array[]): void {
    let length = 12
    for (const part of parts) length += padded(part.length)
    const bytes = new Uint8Array(length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, type, true)
    view.setUint32(4, length, true)
    let at = 8
    for (const part of parts) {
      bytes.set(part, at)
      at += padded(part.length)
    }
    view.setUint32(at, length, true)
    this.#sink(bytes)
  }
}

const padded = (length: number): number => (length + 3) & ~3
const half = (low: number, high: number): Uint8Array => Uint8Array.of(low, low >>> 8, high, high >>> 8)
const word = (value: number): Uint8Array => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24)
