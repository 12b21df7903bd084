import type { BackendClock, Deliver, Frame, NetPort } from '@machinist/api'
import type { NetworkFlow, NetworkLimits } from './limited.ts'
import { type Level, TokenBucket } from './token-bucket.ts'

/** Preamble and start of frame 8, frame check sequence 4, gap 12 (IEEE 802.3, 3.1.1 and 4.4.2). */
const WIRE = 24
const LEAST_BURST = 1600
/** Bytes that pass in one direction before the other, if something waits there, has its turn. */
const TURN = 65536

/** Bytes of a frame on a wire: of one that is yet to be cut, those of all its pieces. */
function wireBytes({ bytes: { length }, segmentation }: Frame): number {
  if (segmentation === undefined) return length + WIRE
  const { size, headerLength } = segmentation
  // What a guest says of its frames may be anything.
  if (!(size >= 1 && headerLength >= 0 && headerLength < length)) return length + WIRE
  const pieces = Math.min(length, Math.ceil((length - headerLength) / size))
  return length + WIRE + (pieces - 1) * (headerLength + WIRE)
}

type Direction = 'send' | 'receive'

const other = { send: 'receive', receive: 'send' } as const

/** A port between a device and a network, through which so many bytes pass in a second. */
export class Turnstile {
  readonly #below: NetPort
  readonly #clock: BackendClock
  readonly #deliver: Deliver
  readonly #onHeld: (() => void) | undefined
  #bucket: TokenBucket | null = null
  #listener: Parameters<NetPort['listen']>[0] | null = null
  /** The next frame for the machine: whether there is one has to be known while it may not pass. */
  #next: Frame | null = null
  /** Who was refused, and is told when it is worth trying again. While there is somebody, the bucket's timer is armed or a callback is on its way. */
  readonly #wanting = { send: false, receive: false }
  /** The direction of the last frame, and bytes since it was the other's turn. */
  #last: Direction = 'send'
  #run = 0
  /** Those who were refused will be told soon. */
  #due = false
  #open = true
  #sentBytes = 0
  #receivedBytes = 0
  #frames = 0
  #countedBytes = 0
  #heldTime = 0
  #heldSince = NaN

  constructor(below: NetPort, limits: NetworkLimits, clock: BackendClock, before: Level | null, deliver: Deliver, onHeld?: () => void) {
    this.#below = below
    this.#clock = clock
    this.#deliver = deliver
    this.#onHeld = onHeld
    this.set(limits)
    if (before !== null && this.#bucket !== null) this.#bucket.level = before
  }

  get port(): NetPort {
    const below = this.#below
    return {
      mtu: below.mtu,
      ...(below.address !== undefined && { address: below.address }),
      offloads: below.offloads,
      get link() { return below.link },
      send: (frame) => this.#send(frame),
      receive: () => this.#receive(),
      accept: (offloads) => {
        below.accept(offloads)
        // What was cut for the driver before may be too much for this one.
        this.#next = null
      },
      claim: (address) => { below.claim?.(address) },
      listen: (listener) => {
        this.#listener = listener
        below.listen({
          readable: () => { listener.readable() },
          writable: () => { listener.writable() },
          linkChanged: () => {
            if (!below.link) this.#next = null
            listener.linkChanged()
          },
        })
      },
    }
  }

  get level(): Level | null {
    return this.#bucket?.level ?? null
  }

  get flow(): NetworkFlow {
    const held = Number.isNaN(this.#heldSince) ? 0 : Math.max(0, this.#clock.now() - this.#heldSince)
    return {
      sentBytes: this.#sentBytes, receivedBytes: this.#receivedBytes, frames: this.#frames, countedBytes: this.#countedBytes,
      waitingFrames: Number(this.#wanting.send) + Number(this.#next !== null), heldTime: this.#heldTime + held,
    }
  }

  set({ bytesPerSecond: rate, burstBytes }: NetworkLimits): void {
    if (rate === undefined) {
      this.#bucket?.stop()
      this.#bucket = null
    } else {
      const burst = burstBytes ?? Math.max(LEAST_BURST, rate / 10)
      if (this.#bucket === null) this.#bucket = new TokenBucket(rate, burst, this.#clock, () => { this.#soon() })
      else this.#bucket.change(rate, burst)
    }
    // By the new rate: asking arms the timer.
    if ((this.#wanting.send || this.#wanting.receive) && this.#bucket?.open() !== false) this.#soon()
  }

  close(): void {
    this.#open = false
    this.#bucket?.stop()
    this.#next = null
  }

  #send(frame: Frame): boolean {
    if (!this.#may('send')) return false
    if (!this.#below.send(frame)) return false
    this.#sentBytes += frame.bytes.length
    this.#passed('send', frame)
    return true
  }

  #receive(): Frame | null {
    this.#next ??= this.#below.receive()
    const frame = this.#next
    if (frame === null || !this.#may('receive')) return null
    this.#next = null
    this.#receivedBytes += frame.bytes.length
    this.#passed('receive', frame)
    return frame
  }

  #passed(direction: Direction, frame: Frame): void {
    const bytes = wireBytes(frame)
    this.#run = direction === this.#last ? this.#run + bytes : bytes
    this.#last = direction
    this.#frames++
    this.#countedBytes += bytes
    this.#bucket?.take(bytes)
  }

  /** Whether a frame may pass; if not, its direction is told when it may. */
  #may(direction: Direction): boolean {
    const enough = this.#bucket?.open() !== false
    if (enough && !(this.#wanting[other[direction]] && this.#last === direction && this.#run >= TURN)) return true
    this.#wanting[direction] = true
    // Otherwise the bucket calls.
    if (enough) this.#soon()
    if (Number.isNaN(this.#heldSince)) {
      this.#heldSince = this.#clock.now()
      this.#onHeld?.()
    }
    return false
  }

  #soon(): void {
    if (this.#due) return
    this.#due = true
    this.#deliver(() => {
      this.#due = false
      this.#tell()
    })
  }

  #tell(): void {
    if (!this.#open) return
    for (const direction of [other[this.#last], this.#last]) {
      if (!this.#wanting[direction]) continue
      this.#wanting[direction] = false
      if (direction === 'send') this.#listener?.writable()
      else this.#listener?.readable()
    }
    if (this.#wanting.send || this.#wanting.receive || Number.isNaN(this.#heldSince)) return
    this.#heldTime += Math.max(0, this.#clock.now() - this.#heldSince)
    this.#heldSince = NaN
  }
}
