import type { BackendClock, BackendState, Deliver, Frame, NetPort, Offloads } from '@machinist/api'
import { allOffloads, backendStateFields, machinistError, maximumFrame, noOffloads } from '@machinist/api'
import { adapt, ethernet, vlanTagLength } from '@machinist/packets'
import type { Direction } from './capture.ts'
import { FrameQueue } from './frame-queue.ts'
import { checkPort, parseStation } from './port.ts'
import type { CheckedPort, Port, PortOptions, PortStats } from './port.ts'
import { levelOf, type Level, TokenBucket } from './token-bucket.ts'

/** Where the frames of an {@link End} go, and who wants to know of it. */
export interface EndOwner {
  /** A frame of acceptable length that the machine at `from` sent. */
  forward(frame: Frame, from: End): void
  connected?(end: End): void
  closed?(end: End): void
  /** What the machine's device is called, by its own configuration. */
  claimed?(end: End, mac: number): void
  /** As those of a backend: what the network has of this end besides its limits. */
  save?(end: End): readonly BackendState[]
  restore?(end: End, saved: BackendState, part: string): boolean
}

/** What there is while a machine is connected. */
interface Connection {
  readonly deliver: Deliver
  readonly clock: BackendClock | undefined
  readonly send: TokenBucket | null
  readonly receive: TokenBucket | null
}

type Listener = Parameters<NetPort['listen']>[0]

/** The network's side of one link to a machine: bounds what waits for it, limits, captures, and does what it does not take over. */
export class End implements Port {
  readonly kind = 'net' as const
  readonly options: CheckedPort
  readonly #owner: EndOwner
  readonly #waiting: FrameQueue
  #connection: Connection | null = null
  #listener: Listener | null = null
  #accepted: Offloads = noOffloads
  /** The rest of a frame that was cut for the machine. */
  #cut: readonly Frame[] = []
  #cutAt = 0
  /** `readable` is on its way. */
  #told = false
  #link: boolean
  /** How full the buckets are from the start. */
  #levels: { readonly send: Level | null; readonly receive: Level | null } = { send: null, receive: null }
  #record: ((bytes: Uint8Array, direction: Direction) => void) | null = null
  #sentFrames = 0
  #sentBytes = 0
  #receivedFrames = 0
  #receivedBytes = 0
  #dropped = 0
  #invalid = 0

  constructor(owner: EndOwner, options: PortOptions, fallbackName: string) {
    this.options = checkPort(options, fallbackName)
    this.#owner = owner
    this.#link = this.options.link
    this.#waiting = new FrameQueue(this.options.queueFrames, this.options.queueBytes)
    const { capture } = this.options
    if (capture !== null) this.#record = capture.add(this.options.name, () => this.#connection?.clock?.now() ?? 0)
  }

  get name(): string {
    return this.options.name
  }

  get stats(): PortStats {
    return {
      sentFrames: this.#sentFrames, sentBytes: this.#sentBytes, receivedFrames: this.#receivedFrames, receivedBytes: this.#receivedBytes,
      dropped: this.#dropped, invalid: this.#invalid,
    }
  }

  /** The time of the machine, if there is one that tells. */
  get now(): number | null {
    return this.#connection?.clock?.now() ?? null
  }

  setLink(up: boolean): void {
    const connection = this.#connection
    if (connection === null) {
      this.#link = up
      return
    }
    connection.deliver(() => {
      if (this.#connection !== connection || this.#link === up) return
      this.#link = up
      if (!up) this.#forget()
      this.#listener?.linkChanged()
    })
  }

  connect(deliver: Deliver, clock?: BackendClock): NetPort {
    const { name, sendLimit, receiveLimit } = this.options
    if (this.#connection !== null) {
      throw machinistError({ code: 'port-in-use', part: name, remedy: 'Make one port for each device.' }, 'already belongs to a device')
    }
    if (clock === undefined && (sendLimit !== null || receiveLimit !== null)) {
      throw machinistError({ code: 'port-clock', part: name, remedy: 'Connect it to a machine, or leave out the limits.' }, 'a limit needs a clock')
    }
    const bucket = (limit: typeof sendLimit, level: Level | null, expired: () => void): TokenBucket | null => {
      if (limit === null || clock === undefined) return null
      const made = new TokenBucket(limit.rate, limit.burst, clock, expired)
      if (level !== null) made.level = level
      return made
    }
    const connection: Connection = {
      deliver, clock,
      send: bucket(sendLimit, this.#levels.send, () => { this.#listener?.writable() }),
      receive: bucket(receiveLimit, this.#levels.receive, () => { this.#listener?.readable() }),
    }
    this.#connection = connection
    this.#owner.connected?.(this)
    const here = (): boolean => this.#connection === connection
    const end = this
    return {
      mtu: this.options.mtu,
      address: this.options.address,
      offloads: allOffloads,
      get link() { return here() && end.#link },
      send: (frame) => !here() || this.#send(frame, connection),
      receive: () => here() ? this.#receive(connection) : null,
      accept: (offloads) => { if (here()) this.#accept(offloads) },
      claim: (address) => { if (here()) this.#owner.claimed?.(end, parseStation(`${name}.address`, address)) },
      listen: (listener) => { if (here()) this.#listener = listener },
    }
  }

  /** Frames that wait are lost, as networks lose frames. */
  save(): readonly BackendState[] {
    const { send, receive } = this.#connection ?? { send: null, receive: null }
    const own: readonly BackendState[] = send === null && receive === null ? [] : [{ kind: 'bandwidth', version: 1, state: { send: send?.level ?? null, receive: receive?.level ?? null } }]
    return [...own, ...this.#owner.save?.(this) ?? []]
  }

  restore(saved: BackendState, part: string): boolean {
    if (saved.kind !== 'bandwidth') return this.#owner.restore?.(this, saved, part) ?? false
    const { send, receive } = backendStateFields(saved, 1, part)
    this.#levels = { send: send === null ? null : levelOf(send, part), receive: receive === null ? null : levelOf(receive, part) }
    return true
  }

  close(): void {
    const connection = this.#connection
    if (connection === null) return
    connection.send?.stop()
    connection.receive?.stop()
    this.#connection = null
    this.#listener = null
    this.#accepted = noOffloads
    this.#told = false
    this.#forget()
    this.#owner.closed?.(this)
  }

  /** A frame for the machine. */
  offer(frame: Frame): void {
    const { bytes, segmentation } = frame
    const longest = segmentation === undefined ? bytes.length : Math.min(bytes.length, segmentation.headerLength + segmentation.size)
    if (longest > this.options.mtu + ethernet.length + vlanTagLength) {
      this.#invalid++
      return
    }
    if (this.#connection === null || !this.#link || !this.#waiting.push(frame)) {
      this.#dropped++
      return
    }
    this.#record?.(bytes, 'received')
    this.#tell(this.#connection)
  }

  #send(frame: Frame, { send }: Connection): boolean {
    const { length } = frame.bytes
    if (length < ethernet.length || length > maximumFrame) {
      this.#invalid++
      return true
    }
    if (!this.#link) {
      this.#dropped++
      return true
    }
    if (send !== null) {
      if (!send.open()) return false
      send.take(length)
    }
    this.#sentFrames++
    this.#sentBytes += length
    this.#record?.(frame.bytes, 'sent')
    this.#owner.forward(frame, this)
    return true
  }

  #receive({ receive }: Connection): Frame | null {
    for (;;) {
      if (receive !== null && !receive.open()) return null
      const next = this.#cut[this.#cutAt++] ?? this.#next()
      if (next === null) return null
      if (next === undefined) continue
      this.#receivedFrames++
      this.#receivedBytes += next.bytes.length
      receive?.take(next.bytes.length)
      return next
    }
  }

  /** The first of what the next frame becomes: null when there is no frame, undefined when it became nothing. */
  #next(): Frame | null | undefined {
    const frame = this.#waiting.shift()
    this.#cut = []
    if (frame === null) return null
    const list = adapt(frame, this.#accepted)
    if (list.length === 0) this.#invalid++
    this.#cut = list.length > 1 ? list : []
    this.#cutAt = 1
    return list[0]
  }

  #accept(offloads: Offloads): void {
    this.#accepted = offloads
    // What was cut for the driver before may be too much for this one.
    this.#cut = []
  }

  /** Once for all that comes until the machine looks. */
  #tell(connection: Connection): void {
    if (this.#told) return
    this.#told = true
    connection.deliver(() => {
      if (this.#connection !== connection) return
      this.#told = false
      this.#listener?.readable()
    })
  }

  #forget(): void {
    this.#waiting.clear()
    this.#cut = []
  }
}
