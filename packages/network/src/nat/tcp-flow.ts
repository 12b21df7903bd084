import { ByteQueue } from './byte-queue.ts'
import type { Quote, Trouble } from './icmp.ts'
import type { Endpoint as Place, HostStream, SocketError, StreamEvents } from './sockets.ts'
import { Endpoint, type EndpointOptions } from './tcp/endpoint.ts'

/** Bytes that the host has and has not sent. */
const IN_FLIGHT = 256 << 10
/** Pieces below this wait for what is under way, and are gathered meanwhile. */
const WORTHWHILE = 4096
/** For how long the host may take to send what a guest that has finished left, in milliseconds. */
const LINGER = 60_000

/** What a connection tells those who keep it. */
export interface FlowOwner {
  now(): number
  ready(): void
  /** The host could not reach the remote end. */
  unreachable(trouble: Trouble): void
  /** The guest's side is over, and its ports may be used again. */
  guestGone(): void
  /** All is over. Called once. */
  gone(): void
}

/** One connection: a TCP endpoint that faces the guest, and a stream of the host, whose events it takes. */
export class TcpFlow implements StreamEvents {
  readonly guest: Place
  readonly remote: Place
  readonly endpoint: Endpoint
  readonly limit: number
  /** The guest's SYN, for error messages. */
  quote: Quote | null = null
  readonly #owner: FlowOwner
  #stream: HostStream | null = null
  /** The host has a connection. */
  #connected = false
  readonly #toHost = new ByteQueue()
  #inFlight = 0
  #endAsked = false
  #ended = false
  /** The guest's side is over; only bytes for the host are left. */
  #guestOver = false
  #over = false
  #linger = Infinity

  constructor(guest: Place, remote: Place, options: EndpointOptions, owner: FlowOwner) {
    this.guest = guest
    this.remote = remote
    this.limit = options.limit
    this.#owner = owner
    this.endpoint = new Endpoint({
      ready: () => { owner.ready() },
      established: () => {},
      data: (bytes) => {
        this.#toHost.push(bytes)
        this.#pump()
      },
      end: () => {
        this.#endAsked = true
        this.#pump()
      },
      acknowledged: (count) => { this.#stream?.grant(count) },
      closed: (clean) => { this.#guestClosed(clean) },
    }, options)
  }

  /** Gives it the host's stream. */
  attach(stream: HostStream, connected: boolean): void {
    this.#connected = connected
    if (this.#over) return stream.abort()
    this.#stream = stream
    stream.grant(this.limit)
  }

  get deadline(): number {
    return Math.min(this.endpoint.deadline, this.#linger)
  }

  expire(now: number): void {
    if (this.endpoint.deadline <= now) this.endpoint.expire(now)
    if (this.#linger <= now) this.forget()
  }

  /** Ends it without a word to the guest. */
  forget(): void {
    if (this.#over) return
    this.#over = true
    const stream = this.#stream
    this.#stream = null
    this.#toHost.clear()
    stream?.abort()
    this.#owner.gone()
  }

  #guestClosed(clean: boolean): void {
    this.#guestOver = true
    if (!clean || this.#stream === null) return this.forget()
    this.#linger = this.#owner.now() + LINGER
    this.#owner.guestGone()
  }

  open(): void {
    this.#connected = true
    this.endpoint.accept(this.#owner.now())
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return
    // Nobody is left to read it.
    if (this.#guestOver) this.#stream?.grant(bytes.length)
    else this.endpoint.send(bytes)
  }

  end(): void {
    if (!this.#guestOver) this.endpoint.finish()
  }

  sent(count: number): void {
    this.#inFlight -= count
    if (this.#over) return
    if (!this.#guestOver) this.endpoint.passed(count)
    this.#pump()
  }

  closed(error: SocketError | null): void {
    if (this.#over) return
    this.#stream = null
    this.#toHost.clear()
    if (this.#guestOver) return this.forget()
    if (this.#connected) {
      if (error !== null) this.endpoint.abort()
    } else if (error === 'refused' || error === 'reset') {
      this.endpoint.abort()
    } else {
      // In silence the guest tries again, and gives up in its own time.
      if (error !== 'timeout') this.#owner.unreachable('host')
      this.forget()
    }
  }

  /** Hands bytes to the host, as many as it may hold. */
  #pump(): void {
    while (this.#stream !== null && this.#toHost.first > 0 && this.#inFlight < IN_FLIGHT && (this.#inFlight === 0 || this.#toHost.first >= WORTHWHILE)) {
      const piece = this.#toHost.shift()
      if (piece === null) break
      this.#inFlight += piece.length
      this.#stream.write(piece)
    }
    // The end comes last: what is cut off before it was sent must not look as if it had ended.
    if (!this.#endAsked || this.#ended || this.#toHost.length > 0 || this.#inFlight > 0) return
    this.#ended = true
    this.#stream?.end()
  }
}
