import { ByteQueue } from '../byte-queue.ts'
import { diff, plus } from './sequence.ts'
import type { Segment } from './segment.ts'

/** RFC 6298, in milliseconds. The clock is coarse, so the least is the recommended second. */
const FIRST_TIMEOUT = 1000
const LEAST_TIMEOUT = 1000
const MOST_TIMEOUT = 60_000
/** Times that something is sent again before the other end counts as dead. */
const MOST_RETRIES = 10
/** The link is inside this host: what its other end offers is believed, until something is lost (RFC 5681 from there on). */
const FIRST_CONGESTION_WINDOW = 4 << 20
/** Duplicate acknowledgments that mean a loss (RFC 5681, 3.2). */
const DUPLICATES = 3

/** A part of the queue that is to be sent. */
export interface Piece {
  readonly sequence: number
  /** From the front of the queue. */
  readonly from: number
  readonly length: number
  readonly fin: boolean
  /** Nothing follows for now. */
  readonly push: boolean
}

/** The half of a connection that speaks: what to send when, and again when it is lost. Its clock is the caller's, in milliseconds. */
export class Sender {
  /** From the first byte that is not acknowledged on. */
  readonly queue: ByteQueue = new ByteQueue()
  /** SND.UNA and SND.NXT; `max` is the highest that was ever sent. */
  una = 0
  next = 0
  #max = 0
  window = 0
  #windowSequence = 0
  #windowAcknowledgment = 0
  #scale = 0
  mss = 536
  #congestion = FIRST_CONGESTION_WINDOW
  #threshold = Infinity
  #duplicates = 0
  #recover: number | null = null
  #resend = false
  #fin = false
  #finAt: number | null = null
  /** When {@link expire} is to be called. */
  deadline: number = Infinity
  #timeout = FIRST_TIMEOUT
  #smoothed = 0
  #variation = 0
  #timed: { readonly sequence: number; readonly at: number } | null = null
  #retries = 0

  /** Begins behind the SYN. `window` is not scaled, as in every SYN. */
  start(sequence: number, segment: Segment, mss: number, scale: number): void {
    this.una = sequence
    this.next = sequence
    this.#max = sequence
    this.mss = mss
    this.#scale = scale
    this.window = segment.window
    this.#windowSequence = segment.sequence
    this.#windowAcknowledgment = segment.acknowledgment
  }

  /** Sends a FIN behind what is in the queue. */
  finish(): void {
    this.#fin = true
  }

  /** Whether the FIN went out, at least once. */
  get finSent(): boolean {
    return this.#finAt !== null
  }

  /** Whether it was acknowledged. */
  get finished(): boolean {
    return this.#finAt !== null && diff(this.una, this.#finAt) > 0
  }

  get #flight(): number {
    return diff(this.next, this.una)
  }

  /** What to send now, at most `most` bytes; null when there is nothing, or no room. */
  produce(most: number, now: number): Piece | null {
    if (this.finished) return null
    const available = this.queue.length
    if (this.#resend) {
      this.#resend = false
      // One byte asks whether a window that was closed is open again (RFC 9293, 3.8.6.1).
      const length = Math.min(available, most, this.window === 0 ? 1 : this.mss)
      const fin = this.#finAt === plus(this.una, length)
      if (length > 0 || fin) return this.#sent({ sequence: this.una, from: 0, length, fin, push: true }, now)
    }
    const flight = this.#flight
    if (flight > available) return null
    const waiting = available - flight
    let length = Math.max(0, Math.min(waiting, Math.min(this.window, this.#congestion) - flight, most))
    if (length < waiting) {
      if (length >= this.mss) length -= length % this.mss
      // A silly window: rather wait for a better one (RFC 9293, 3.8.6.2.1).
      else if (flight > 0) length = 0
    }
    const fin = this.#fin && length === waiting
    if (length === 0 && !fin) {
      if (waiting > 0 && flight === 0 && this.deadline === Infinity) this.deadline = now + this.#timeout
      return null
    }
    return this.#sent({ sequence: this.next, from: flight, length, fin, push: length === waiting }, now)
  }

  #sent(piece: Piece, now: number): Piece {
    const end = plus(piece.sequence, piece.length + (piece.fin ? 1 : 0))
    if (piece.fin) this.#finAt = plus(end, -1)
    if (diff(end, this.next) > 0) this.next = end
    if (diff(end, this.#max) > 0) {
      this.#max = end
      this.#timed ??= { sequence: end, at: now }
    } else {
      this.#timed = null
    }
    if (this.deadline === Infinity) this.deadline = now + this.#timeout
    return piece
  }

  /**
   * Takes an acknowledgment (RFC 9293, 3.10.7.4).
   *
   * @returns bytes that it acknowledges, or -1 when it is for what was never sent
   */
  acknowledge(segment: Segment, now: number): number {
    const { acknowledgment, sequence } = segment
    const advance = diff(acknowledgment, this.una)
    if (diff(acknowledgment, this.#max) > 0) return -1
    if (advance < 0) return 0
    const window = segment.window << this.#scale
    let bytes = 0
    if (advance > 0) bytes = this.#advance(acknowledgment, advance, now)
    else if (segment.payload.length === 0 && window === this.window && this.#flight > 0) this.#duplicate()
    if (diff(sequence, this.#windowSequence) > 0 || (sequence === this.#windowSequence && diff(acknowledgment, this.#windowAcknowledgment) >= 0)) {
      // One that answers, be it with no room, is not dead.
      if (window === 0) {
        this.#retries = 0
      } else if (this.window === 0 && advance === 0) {
        // What was sent into the closed window is gone.
        this.next = this.una
        this.deadline = Infinity
      }
      this.window = window
      this.#windowSequence = sequence
      this.#windowAcknowledgment = acknowledgment
    }
    return bytes
  }

  #advance(acknowledgment: number, advance: number, now: number): number {
    const bytes = Math.min(advance, this.queue.length)
    this.queue.drop(bytes)
    this.una = acknowledgment
    if (diff(this.next, acknowledgment) < 0) this.next = acknowledgment
    if (this.#timed !== null && diff(acknowledgment, this.#timed.sequence) >= 0) {
      this.#measure(now - this.#timed.at)
      this.#timed = null
    }
    this.#retries = 0
    this.#duplicates = 0
    if (this.#recover !== null) {
      if (diff(acknowledgment, this.#recover) >= 0) {
        this.#recover = null
        this.#congestion = this.#threshold
      } else {
        // What follows the piece that was sent again is missing too (RFC 6582, 3.2).
        this.#resend = true
        this.#congestion = Math.max(this.mss, this.#congestion - bytes + this.mss)
      }
    } else {
      const growth = this.#congestion < this.#threshold ? Math.min(bytes, 2 * this.mss) : Math.ceil(this.mss * this.mss / this.#congestion)
      this.#congestion = Math.min(FIRST_CONGESTION_WINDOW, this.#congestion + growth)
    }
    this.deadline = this.#flight > 0 ? now + this.#timeout : Infinity
    return bytes
  }

  #duplicate(): void {
    this.#duplicates++
    if (this.#recover !== null) {
      this.#congestion += this.mss
    } else if (this.#duplicates === DUPLICATES) {
      this.#threshold = Math.max(this.#flight >>> 1, 2 * this.mss)
      this.#congestion = this.#threshold + DUPLICATES * this.mss
      this.#recover = this.#max
      this.#resend = true
      this.#timed = null
    }
  }

  #measure(time: number): void {
    if (this.#smoothed === 0) {
      this.#smoothed = time
      this.#variation = time / 2
    } else {
      this.#variation += (Math.abs(this.#smoothed - time) - this.#variation) / 4
      this.#smoothed += (time - this.#smoothed) / 8
    }
    this.#timeout = Math.min(MOST_TIMEOUT, Math.max(LEAST_TIMEOUT, this.#smoothed + 4 * this.#variation))
  }

  /** The deadline has passed. False: the other end counts as dead. */
  expire(now: number): boolean {
    this.#retries++
    if (this.#retries > MOST_RETRIES) return false
    if (this.window > 0) {
      this.#threshold = Math.max(this.#flight >>> 1, 2 * this.mss)
      this.#congestion = this.mss
    }
    this.#recover = null
    this.#duplicates = 0
    this.#timed = null
    this.next = this.una
    this.#resend = true
    this.deadline = now + Math.min(MOST_TIMEOUT, this.#timeout * 2 ** this.#retries)
    return true
  }
}
