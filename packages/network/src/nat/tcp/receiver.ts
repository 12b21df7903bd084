import { diff, plus } from './sequence.ts'

/** Pieces that wait for others before them. */
const MOST_PIECES = 64

/** The half of a connection that hears: puts what comes into order, and says how much more may come. */
export class Receiver {
  /** The next byte expected (RCV.NXT). */
  next = 0
  /** The first byte that may not come (RCV.NXT + RCV.WND, as last told). It never goes back. */
  edge = 0
  scale = 0
  /** Bytes in order that whoever takes them has not passed on. */
  held = 0
  #limit: number
  /** What came early: sorted, and not overlapping what was before it when it came. */
  #early: { readonly sequence: number; readonly bytes: Uint8Array }[] = []
  #earlyBytes = 0

  /** @param limit - most bytes that may be held */
  constructor(limit: number) {
    this.#limit = limit
  }

  start(sequence: number, scale: number): void {
    this.next = sequence
    this.edge = sequence
    this.scale = scale
  }

  get early(): boolean {
    return this.#early.length > 0
  }

  /** Takes what can be taken, and hands on what is in order. `sequence` is that of the first byte. */
  take(sequence: number, payload: Uint8Array, deliver: (bytes: Uint8Array) => void): void {
    let bytes = payload
    let from = sequence
    const old = diff(this.next, from)
    if (old > 0) {
      bytes = bytes.subarray(Math.min(old, bytes.length))
      from = this.next
    }
    const room = diff(this.edge, from)
    if (bytes.length > room) bytes = bytes.subarray(0, Math.max(0, room))
    if (bytes.length === 0) return
    if (from !== this.next) return this.#keep(from, bytes)
    this.#deliver(bytes, deliver)
    for (let piece = this.#early[0]; piece !== undefined && diff(piece.sequence, this.next) <= 0; piece = this.#early[0]) {
      this.#early.shift()
      this.#earlyBytes -= piece.bytes.length
      const known = diff(this.next, piece.sequence)
      if (known < piece.bytes.length) this.#deliver(piece.bytes.subarray(known), deliver)
    }
  }

  #deliver(bytes: Uint8Array, deliver: (bytes: Uint8Array) => void): void {
    this.next = plus(this.next, bytes.length)
    this.held += bytes.length
    deliver(bytes)
  }

  #keep(sequence: number, bytes: Uint8Array): void {
    if (this.#early.length >= MOST_PIECES || this.#earlyBytes + bytes.length > this.#limit) return
    let at = this.#early.length
    while (at > 0 && diff(this.#early[at - 1]?.sequence ?? 0, sequence) > 0) at--
    if (this.#early[at - 1]?.sequence === sequence && (this.#early[at - 1]?.bytes.length ?? 0) >= bytes.length) return
    this.#early.splice(at, 0, { sequence, bytes: bytes.length * 2 < bytes.buffer.byteLength ? bytes.slice() : bytes })
    this.#earlyBytes += bytes.length
  }

  /** What is to stand in a window field now, and remembers that it was told. */
  advertise(scaled: boolean): number {
    const scale = scaled ? this.scale : 0
    const room = Math.max(this.#limit - this.held, diff(this.edge, this.next), 0)
    const window = Math.min(0xffff, room >>> scale)
    const told = plus(this.next, window << scale)
    if (diff(told, this.edge) > 0) this.edge = told
    return window
  }

  /** Bytes were passed on. True when the other end should be told of the room (RFC 9293, 3.8.6.2.2). */
  release(count: number): boolean {
    this.held = Math.max(0, this.held - count)
    const told = diff(this.edge, this.next)
    const gain = this.#limit - this.held - told
    return gain >= this.#limit / 2 || (told < this.#limit / 2 && gain >= this.#limit / 8)
  }

  clear(): void {
    this.#early = []
    this.#earlyBytes = 0
  }
}
