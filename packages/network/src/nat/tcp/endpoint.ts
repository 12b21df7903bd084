import { tcpFlag } from '@machinist/packets'
import { Receiver } from './receiver.ts'
import type { Outgoing, Segment } from './segment.ts'
import { Sender } from './sender.ts'
import { diff, plus } from './sequence.ts'

/** Silence after which the other end is asked whether it is there, and between such questions, in milliseconds. */
const KEEP_ALIVE = 120_000
const KEEP_ALIVE_INTERVAL = 15_000
const KEEP_ALIVE_PROBES = 4
/** The other end of the link is near: nothing of an old connection is under way for long. */
const TIME_WAIT = 10_000
const SYN_TIMEOUT = 1000
const MOST_SYNS = 6
/** The least a peer is believed to take (RFC 9293, 3.7.1, has no least; a hostile 1 would cost a frame for each byte). */
const LEAST_MSS = 216
const DEFAULT_MSS = 536

const { fin: FIN, syn: SYN, rst: RST, psh: PSH, ack: ACK } = tcpFlag

/** What an endpoint tells. */
export interface EndpointEvents {
  /** There may be something to send: call {@link Endpoint.next}. */
  ready(): void
  established(): void
  /** Bytes in order. Say {@link Endpoint.passed} when they are gone. */
  data(bytes: Uint8Array): void
  /** The other end sends no more. */
  end(): void
  /** That many bytes that were sent have arrived. */
  acknowledged(count: number): void
  /** It is over: the endpoint may be forgotten. False when it was cut off: by a reset, or by silence. */
  closed(clean: boolean): void
}

export type EndpointState = 'waiting' | 'syn-sent' | 'syn-received' | 'open' | 'time-wait' | 'closed'

/** What an {@link Endpoint} is made with. */
export interface EndpointOptions {
  /** Bytes that it may hold for whoever takes them. */
  readonly limit: number
  /** The largest segment that this end takes: the link's packet less the headers. */
  readonly mss: number
  /** The initial sequence number. */
  readonly initial: number
}

/** One end of a TCP connection (RFC 9293) with window scaling (RFC 7323), on a link that seldom loses anything. Segments are made when they are asked for. */
export class Endpoint {
  state: EndpointState = 'waiting'
  readonly #events: EndpointEvents
  readonly #options: EndpointOptions
  readonly #sender = new Sender()
  readonly #receiver: Receiver
  readonly #scale: number
  /** The other end's SYN, while it is not answered. */
  #syn: Segment | null = null
  #scaled = false
  #synDue = false
  #syns = 0
  #ackDue = false
  #resetDue = false
  /** The sequence number of the other end's FIN, and whether all before it has come. */
  #finAt: number | null = null
  #heardFin = false
  /** Our FIN went out before the other's came. */
  #active = false
  #quietUntil = Infinity
  #probes = 0
  #probeDue = false

  constructor(events: EndpointEvents, options: EndpointOptions) {
    this.#events = events
    this.#options = options
    this.#receiver = new Receiver(options.limit)
    let scale = 0
    while ((0xffff << scale) < options.limit && scale < 14) scale++
    this.#scale = scale
  }

  /** When {@link expire} is to be called, in milliseconds of the caller's clock. */
  get deadline(): number {
    return Math.min(this.#sender.deadline, this.#quietUntil)
  }

  /** The sequence number that a new connection between the same ports has to be above to be told from this one. */
  get received(): number {
    return this.#receiver.next
  }

  /** The largest segment that the other end takes. */
  get mss(): number {
    return this.#sender.mss
  }

  /** Bytes that wait to be sent or acknowledged. */
  get queued(): number {
    return this.#sender.queue.length
  }

  /** Begins a connection from this end. */
  connect(now: number): void {
    this.state = 'syn-sent'
    this.#askAgain(now)
  }

  /** A SYN came. It is answered by {@link accept}. */
  called(segment: Segment): void {
    this.#syn = segment
  }

  /** Answers the SYN. */
  accept(now: number): void {
    if (this.state !== 'waiting' || this.#syn === null) return
    this.state = 'syn-received'
    this.#start(this.#syn)
    this.#askAgain(now)
  }

  #askAgain(now: number): void {
    this.#synDue = true
    this.#quietUntil = now + SYN_TIMEOUT * 2 ** this.#syns++
    this.#events.ready()
  }

  /** Takes what the other end's SYN says. */
  #start(syn: Segment): void {
    this.#scaled = syn.scale !== undefined
    this.#receiver.start(plus(syn.sequence, 1), this.#scale)
    const mss = Math.max(LEAST_MSS, Math.min(syn.mss ?? DEFAULT_MSS, this.#options.mss))
    this.#sender.start(plus(this.#options.initial, 1), syn, mss, syn.scale ?? 0)
  }

  /** Sends bytes, which belong to the endpoint from then on. */
  send(bytes: Uint8Array): void {
    this.#sender.queue.push(bytes)
    this.#events.ready()
  }

  /** Sends a FIN behind everything. */
  finish(): void {
    this.#sender.finish()
    this.#events.ready()
  }

  /** Bytes that came by `data` are gone. */
  passed(count: number): void {
    if (!this.#receiver.release(count) || this.state !== 'open') return
    this.#ackDue = true
    this.#events.ready()
  }

  /** Ends it with a reset, which is the last that {@link next} gives. */
  abort(): void {
    if (this.state === 'closed') return
    this.#resetDue = true
    this.#events.ready()
  }

  /** What a reset says that ends it: the next numbers of both ends. Null when the other end believes in no connection. */
  get numbers(): { readonly sequence: number; readonly acknowledgment: number } | null {
    if (this.state !== 'open' && this.state !== 'syn-received') return null
    return { sequence: this.state === 'open' ? this.#sender.next : plus(this.#options.initial, 1), acknowledgment: this.#receiver.next }
  }

  /** Becomes one of which nothing is left but the other end's belief in it, and ends that with a reset. */
  lost(sequence: number, acknowledgment: number): void {
    this.state = 'open'
    this.#sender.next = sequence
    this.#receiver.next = acknowledgment
    this.abort()
  }

  #close(clean: boolean): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.#sender.queue.clear()
    this.#receiver.clear()
    this.#sender.deadline = Infinity
    this.#quietUntil = Infinity
    this.#events.closed(clean)
  }

  /**
   * Takes a segment.
   *
   * @returns false when it has to be answered with a reset as one that belongs to no connection
   */
  segment(segment: Segment, now: number): boolean {
    switch (this.state) {
      case 'waiting':
        if ((segment.flags & RST) !== 0) this.#close(false)
        return true
      case 'closed':
        return false
      case 'syn-sent':
        return this.#answered(segment, now)
      case 'syn-received':
      case 'open':
      case 'time-wait':
        return this.#synchronized(segment, now)
    }
  }

  /** RFC 9293, 3.10.7.3. */
  #answered(segment: Segment, now: number): boolean {
    const good = (segment.flags & ACK) !== 0 && segment.acknowledgment === plus(this.#options.initial, 1)
    if ((segment.flags & ACK) !== 0 && !good) return false
    if ((segment.flags & RST) !== 0) {
      if (good) this.#close(false)
      return true
    }
    if (!good || (segment.flags & SYN) === 0) return true
    this.#start(segment)
    this.#establish(now)
    this.#acknowledge()
    return true
  }

  #establish(now: number): void {
    this.state = 'open'
    this.#synDue = false
    this.#heard(now)
    this.#events.established()
  }

  #heard(now: number): void {
    this.#probes = 0
    if (this.state === 'open') this.#quietUntil = now + KEEP_ALIVE
  }

  #acknowledge(): void {
    this.#ackDue = true
    this.#events.ready()
  }

  /** RFC 9293, 3.10.7.4, with the checks of RFC 5961. */
  #synchronized(segment: Segment, now: number): boolean {
    const { sequence, flags, payload } = segment
    const receiver = this.#receiver
    if (this.state === 'syn-received' && (flags & (SYN | ACK)) === SYN && plus(sequence, 1) === receiver.next) {
      this.#synDue = true
      this.#events.ready()
      return true
    }
    if ((flags & RST) !== 0) {
      if (sequence === receiver.next) this.#close(false)
      else if (diff(sequence, receiver.next) > 0 && diff(sequence, receiver.edge) < 0) this.#acknowledge()
      return true
    }
    const length = payload.length + (flags & FIN)
    const end = plus(sequence, length)
    const acceptable = length === 0
      ? diff(sequence, receiver.next) >= 0 && diff(sequence, receiver.edge) <= 0
      : diff(end, receiver.next) > 0 && diff(sequence, receiver.edge) <= 0
    if (!acceptable || (flags & SYN) !== 0) {
      // Also the answer to a FIN that came again, and to a question whether this end is there.
      if (this.state === 'time-wait' && (flags & FIN) !== 0) this.#quietUntil = now + TIME_WAIT
      this.#acknowledge()
      // A copy of what was heard may bring news of what was sent.
      if ((flags & (SYN | ACK)) !== ACK || diff(end, receiver.next) > 0 || this.state !== 'open') return true
    }
    if ((flags & ACK) === 0) return true
    if (this.state === 'syn-received') {
      if (segment.acknowledgment !== plus(this.#options.initial, 1)) return false
      this.#establish(now)
    }
    this.#heard(now)
    const acknowledged = this.#sender.acknowledge(segment, now)
    if (acknowledged < 0) {
      this.#acknowledge()
      return true
    }
    if (acknowledged > 0) this.#events.acknowledged(acknowledged)
    // The window may have opened.
    if (this.#sender.queue.length > 0) this.#events.ready()
    if (acceptable) this.#receive(segment, now)
    this.#finished(now)
    return true
  }

  #receive({ sequence, flags, payload }: Segment, now: number): void {
    const receiver = this.#receiver
    if (payload.length > 0 && !this.#heardFin) {
      receiver.take(sequence, payload, (bytes) => { this.#events.data(bytes) })
      this.#acknowledge()
    }
    if ((flags & FIN) !== 0) {
      const at = plus(sequence, payload.length)
      if (diff(at, receiver.edge) <= 0) this.#finAt ??= at
      this.#acknowledge()
    }
    if (this.#finAt !== receiver.next || this.#heardFin) return
    receiver.next = plus(receiver.next, 1)
    receiver.clear()
    this.#heardFin = true
    this.#active = this.#sender.finSent
    this.#heard(now)
    this.#events.end()
  }

  #finished(now: number): void {
    if (!this.#heardFin || !this.#sender.finished || this.state !== 'open') return
    if (this.#active) {
      this.state = 'time-wait'
      this.#quietUntil = now + TIME_WAIT
      this.#sender.deadline = Infinity
    } else {
      this.#close(true)
    }
  }

  /** The {@link deadline} has passed. */
  expire(now: number): void {
    if (this.#sender.deadline <= now && this.state === 'open') {
      if (!this.#sender.expire(now)) this.abort()
      this.#events.ready()
    }
    if (this.#quietUntil > now) return
    switch (this.state) {
      case 'syn-sent':
      case 'syn-received':
        if (this.#syns >= MOST_SYNS) this.abort()
        else this.#askAgain(now)
        break
      case 'open':
        if (++this.#probes > KEEP_ALIVE_PROBES) {
          this.abort()
        } else {
          this.#probeDue = true
          this.#events.ready()
        }
        this.#quietUntil = now + KEEP_ALIVE_INTERVAL
        break
      case 'time-wait':
        this.#close(true)
        break
      case 'waiting':
      case 'closed':
        this.#quietUntil = Infinity
    }
  }

  /** The next segment to send, with at most `most` bytes; null when there is none for now. */
  next(most: number, now: number): Outgoing | null {
    const pure = { from: 0, length: 0 }
    if (this.state === 'closed') return null
    if (this.#resetDue) {
      // Where nothing was heard yet, a reset carries what the SYN asked for.
      const heard = this.state === 'waiting' && this.#syn !== null ? plus(this.#syn.sequence, 1) : this.#receiver.next
      const silent = this.state === 'syn-sent'
      const sequence = this.state === 'waiting' ? 0 : silent || this.state === 'syn-received' ? plus(this.#options.initial, 1) : this.#sender.next
      this.#close(false)
      return { ...pure, sequence, acknowledgment: heard, flags: silent ? RST : RST | ACK, window: 0 }
    }
    if (this.#synDue) {
      this.#synDue = false
      const answer = this.state === 'syn-received'
      return {
        ...pure,
        sequence: this.#options.initial,
        acknowledgment: answer ? this.#receiver.next : 0,
        flags: answer ? SYN | ACK : SYN,
        window: answer ? this.#receiver.advertise(false) : Math.min(0xffff, this.#options.limit),
        options: { mss: this.#options.mss, scale: answer && !this.#scaled ? null : this.#scale },
      }
    }
    if (this.state !== 'open' && this.state !== 'time-wait') return null
    const piece = this.state === 'open' ? this.#sender.produce(most, now) : null
    if (piece === null && !this.#ackDue && !this.#probeDue) return null
    const sequence = piece?.sequence ?? plus(this.#sender.next, this.#ackDue ? 0 : -1)
    this.#ackDue = false
    this.#probeDue = false
    return {
      sequence,
      acknowledgment: this.#receiver.next,
      flags: ACK | (piece?.push === true && piece.length > 0 ? PSH : 0) | (piece?.fin === true ? FIN : 0),
      window: this.#receiver.advertise(this.#scaled),
      from: piece?.from ?? 0,
      length: piece?.length ?? 0,
    }
  }

  /** Copies the payload of the segment that {@link next} gave last. */
  copy({ from, length }: Outgoing, into: Uint8Array, at: number): void {
    this.#sender.queue.copy(from, length, into, at)
  }
}
