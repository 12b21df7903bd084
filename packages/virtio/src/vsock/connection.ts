import type { VsockStream } from '@machinist/api'
import { type Header, operation, shutdownFlag } from './layout.ts'

/** Bytes of the guest that wait for the host, for each connection: its credit. */
export const creditSize: number = 128 << 10

/** What a connection asks of its device. */
export interface ConnectionHost {
  /** Sends a packet without data. */
  send(connection: Connection, what: number, flags?: number): void
  /** The connection is over. */
  forget(connection: Connection): void
}

/** A stream between a port of the guest and one of the host (5.10.6.3: credit on both sides). */
export class Connection {
  readonly guestPort: number
  readonly hostPort: number
  /** Null until the host has accepted. */
  stream: VsockStream | null = null
  /** Both sides have accepted. */
  open = false
  /** Tells a host that asked for the connection how that went. */
  answered: ((hostPort: number | null) => void) | null = null
  /** Bytes that the host has taken, modulo 2^32: our `fwd_cnt`. */
  forwarded = 0
  /** A packet with credit waits to be sent. */
  creditDue = false
  readonly #host: ConnectionHost
  /** Bytes that wait for the host. */
  #waiting: Uint8Array[] = []
  #waitingLength = 0
  /** `forwarded` as the guest knows it. */
  #told = 0
  /** The guest's `buf_alloc` and `fwd_cnt`, and what was sent to it. */
  #allocated = 0
  #taken = 0
  #sent = 0
  #asked = false
  /** What the guest does not do any more: bits of a shutdown. */
  #guestShut = 0
  #hostShut = 0
  #ended = false

  constructor(guestPort: number, hostPort: number, host: ConnectionHost) {
    this.guestPort = guestPort
    this.hostPort = hostPort
    this.#host = host
  }

  /** The same connection of another device, with what stands for its stream; {@link join} is still to be called if it has one. */
  copy(host: ConnectionHost, standsFor: <T extends object>(object: T) => T): Connection {
    const copy = new Connection(this.guestPort, this.hostPort, host)
    copy.stream = this.stream && standsFor(this.stream)
    copy.open = this.open
    copy.answered = this.answered && standsFor(this.answered)
    copy.forwarded = this.forwarded
    copy.creditDue = this.creditDue
    copy.#waiting = [...this.#waiting]
    copy.#waitingLength = this.#waitingLength
    copy.#told = this.#told
    copy.#allocated = this.#allocated
    copy.#taken = this.#taken
    copy.#sent = this.#sent
    copy.#asked = this.#asked
    copy.#guestShut = this.#guestShut
    copy.#hostShut = this.#hostShut
    copy.#ended = this.#ended
    return copy
  }

  /** Takes what every packet says of the guest's buffer. */
  credit({ allocated, forwarded }: Header): void {
    this.#allocated = allocated
    this.#taken = forwarded
    this.#asked = false
  }

  /** Connects it with the host's end. */
  join(stream: VsockStream, changed: () => void): void {
    this.stream = stream
    stream.listen({
      readable: changed,
      writable: () => { this.flush() },
      failed: () => {
        if (this.stream === stream) this.reset()
      },
    })
  }

  /** Takes data of the guest. What is beyond its credit ends the connection. */
  receive(bytes: Uint8Array): void {
    if (!this.open || (this.#guestShut & shutdownFlag.send) !== 0 || bytes.length > creditSize - this.#waitingLength) return this.reset()
    if (bytes.length > 0) this.#waiting.push(bytes)
    this.#waitingLength += bytes.length
    this.flush()
  }

  /** The guest does something no more. */
  shutdown(flags: number): void {
    this.#guestShut |= flags & shutdownFlag.both
    this.flush()
  }

  /** Gives the host what it takes. */
  flush(): void {
    const { stream } = this
    if (stream === null || !this.open) return
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const count = stream.write(first)
      this.#waitingLength -= count
      this.forwarded = (this.forwarded + count) >>> 0
      if (count < first.length) {
        this.#waiting[0] = first.subarray(count)
        break
      }
      this.#waiting.shift()
    }
    if (this.#waitingLength === 0) this.#finish(stream)
    // Half of the credit is worth a packet; less is told with the next one.
    if (this.open && !this.creditDue && ((this.forwarded - this.#told) >>> 0) >= creditSize / 2) {
      this.creditDue = true
      this.#host.send(this, operation.creditUpdate)
    }
  }

  /** Bytes that may be sent to the guest now. If there is no credit and there could be data, the guest is asked for some. */
  get room(): number {
    if (!this.open || this.stream === null || this.stream.ended && this.#ended || (this.#guestShut & shutdownFlag.receive) !== 0) return 0
    const room = this.#allocated - ((this.#sent - this.#taken) >>> 0)
    if (room <= 0 && !this.#asked) {
      this.#asked = true
      this.#host.send(this, operation.creditRequest)
    }
    return Math.max(0, room)
  }

  /** Counts what was sent to the guest. */
  sent(count: number): void {
    this.#sent = (this.#sent + count) >>> 0
  }

  /** Tells the guest when the host has nothing more to say. */
  checkEnd(): void {
    if (this.#ended || this.stream?.ended !== true || this.stream.readable) return
    this.#ended = true
    this.#shut(shutdownFlag.send)
  }

  /** A packet with our credit is on its way. */
  told(): void {
    this.#told = this.forwarded
    this.creditDue = false
  }

  /** Ends it at once, and tells the guest. */
  reset(): void {
    this.#host.send(this, operation.reset)
    this.drop()
  }

  /** Ends it at once: the guest knows. */
  drop(): void {
    this.#host.forget(this)
    this.open = false
    this.#waiting = []
    this.answered?.(null)
    this.answered = null
    this.stream?.destroy()
    this.stream = null
  }

  #finish(stream: VsockStream): void {
    if ((this.#guestShut & shutdownFlag.send) !== 0 && (this.#hostShut & shutdownFlag.receive) === 0) {
      this.#hostShut |= shutdownFlag.receive
      stream.end()
    }
    const over = this.#guestShut === shutdownFlag.both || (this.#guestShut & shutdownFlag.send) !== 0 && this.#ended
    if (!over) return
    // All that the guest sent is with the host: a clean end.
    this.stream = null
    stream.close()
    this.reset()
  }

  #shut(flags: number): void {
    this.#hostShut |= flags
    this.#host.send(this, operation.shutdown, this.#hostShut)
    if (this.#waitingLength === 0 && this.stream !== null) this.#finish(this.stream)
  }
}
