import { machinistError, noOffloads, type Backend, type Deliver, type Frame, type MachinistError, type NetPort } from '@machinist/api'
import { ethernet, isGroup, macAt, macText, vlanTagLength } from '@machinist/packets'
import type { DmaMemory, DmaPiece } from '../dma-memory.ts'
import { type AddressRange, type Hardware, hardwareError } from '../hardware.ts'
import type { Ring } from './ring.ts'
import { VirtioTransport } from './transport.ts'

/** 5.1.3. Checksums and segments are left to nobody: frames come and go as on a wire. */
const FEATURE = { mtu: 3, mac: 5, status: 16 } as const
/** 5.1.4 */
const CONFIG = { mac: 0, status: 6, mtu: 10 } as const
const LINK_UP = 1
const MAC_LENGTH = 6
/** `struct virtio_net_hdr` with `num_buffers` (5.1.6). */
const HEADER = 12
const QUEUE = { receive: 0, transmit: 1 } as const
const QUEUE_SIZE = 64
/** Bytes of each direction's buffers at most. */
const MOST_BYTES = 2 ** 20
const LEAST_BUFFERS = 4
const MTU = { usual: 1500, least: 68, most: 65535 } as const
/** How long the device may have a frame that it is to send, in nanoseconds. */
const SEND_WITHIN = 30e9

interface Sending {
  readonly buffer: DmaPiece
  readonly since: number
}

/** Frames that passed, and that did not. */
export interface UplinkStats {
  readonly sentFrames: number
  readonly receivedFrames: number
  /** Frames that could not be sent, or made no sense. */
  readonly dropped: number
}

/**
 * A virtio network device (5.1) as a network: what is connected to it is on the wire of the hardware. Join it to a switch, and guests are on that wire as stations of their own. The device is left as it is after a
 * reset, without filters: it gives what comes for any address.
 */
export class VirtioNet implements Backend<NetPort> {
  readonly kind = 'net'
  readonly name: string
  /** Largest IP packet in bytes. */
  readonly mtu: number
  /** The station address that the device has, such as `'52:54:00:12:34:56'`; absent when it has none. */
  readonly address?: string
  readonly #hardware: Hardware
  readonly #transport: VirtioTransport
  readonly #receive: Ring<DmaPiece>
  readonly #transmit: Ring<Sending>
  readonly #free: DmaPiece[]
  readonly #sending = new Set<Sending>()
  readonly #longest: number
  #link: boolean
  #deliver: Deliver | null = null
  #listener: Parameters<NetPort['listen']>[0] | null = null
  /** `readable` is on its way. */
  #told = false
  /** A frame was refused: `writable` is due. */
  #refused = false
  /** Buffers that the device was given, and not told of. */
  #untold = 0
  #sentFrames = 0
  #receivedFrames = 0
  #dropped = 0

  /** @throws typed errors of the transport, and `'dma-memory'` */
  constructor(hardware: Hardware, memory: DmaMemory, range: AddressRange, name: string) {
    this.name = name
    this.#hardware = hardware
    const transport = new VirtioTransport(hardware, memory, range, name, Object.values(FEATURE), { used: () => { this.#used() }, configuration: () => { this.#look() }, failed: () => { this.#failed() } })
    this.#transport = transport
    const { mac, mtu } = transport.config((at) => ({
      mac: transport.has(FEATURE.mac) ? Uint8Array.from({ length: MAC_LENGTH }, (_, index) => at(CONFIG.mac + index, 1)) : null,
      mtu: transport.has(FEATURE.mtu) ? at(CONFIG.mtu, 2) : MTU.usual,
    }))
    if (mtu < MTU.least || mtu > MTU.most) throw hardwareError('hardware-broken', name, 'has an impossible MTU', mtu)
    this.mtu = mtu
    if (mac !== null && !isGroup(macAt(mac, 0))) this.address = macText(macAt(mac, 0))
    this.#link = this.#linkNow()
    this.#longest = mtu + ethernet.length + vlanTagLength
    const length = HEADER + this.#longest
    const most = Math.max(LEAST_BUFFERS, Math.floor(MOST_BYTES / length))
    this.#receive = transport.queue<DmaPiece>(QUEUE.receive, QUEUE_SIZE, LEAST_BUFFERS)
    this.#transmit = transport.queue<Sending>(QUEUE.transmit, QUEUE_SIZE, LEAST_BUFFERS)
    const buffers = (count: number): DmaPiece[] => Array.from({ length: Math.min(count, most) }, () => memory.take(length))
    this.#free = buffers(this.#transmit.size)
    for (const buffer of buffers(this.#receive.size)) this.#give(buffer)
    transport.start()
    transport.notify(QUEUE.receive)
    this.#untold = 0
  }

  /** Why it is not used any more: its link is down then. */
  get error(): MachinistError | null {
    return this.#transport.error
  }

  get stats(): UplinkStats {
    return { sentFrames: this.#sentFrames, receivedFrames: this.#receivedFrames, dropped: this.#dropped }
  }

  /** When {@link VirtioNet.poll} is to be called at the latest; `Infinity` when nothing is being sent. */
  get deadline(): number {
    for (const { since } of this.#sending) return since + SEND_WITHIN
    return Infinity
  }

  /** Serves its interrupt. @returns whether it had one */
  interrupt(): boolean {
    return this.#transport.interrupt()
  }

  /** Takes what is finished without an interrupt, and gives a device up that does not send. */
  poll(): void {
    if (this.error !== null) return
    this.#transport.attempt(() => { this.#used() })
    if (this.deadline <= this.#hardware.now()) this.#transport.fail('does not send what it is given')
  }

  /** @throws a typed error `'port-in-use'` */
  connect(deliver: Deliver): NetPort {
    if (this.#deliver !== null) throw machinistError({ code: 'port-in-use', part: this.name, remedy: 'Join it to a switch, and plug machines into that.' }, 'is connected already')
    this.#deliver = deliver
    const driver = this
    const here = (): boolean => this.#deliver === deliver
    return {
      mtu: this.mtu,
      ...(this.address !== undefined && { address: this.address }),
      offloads: noOffloads,
      get link() { return here() && driver.#link },
      send: (frame) => !here() || this.#send(frame),
      receive: () => here() ? this.#next() : null,
      accept: () => {},
      listen: (listener) => {
        if (!here()) return
        this.#listener = listener
        this.#tell()
      },
    }
  }

  /** It may be connected again. */
  close(): void {
    this.#deliver = null
    this.#listener = null
    this.#told = false
    this.#refused = false
  }

  #send({ bytes }: Frame): boolean {
    if (!this.#link || bytes.length < ethernet.length || bytes.length > this.#longest) {
      this.#dropped++
      return true
    }
    if (this.#free.length === 0) this.#transport.attempt(() => { this.#sent() })
    if (this.error !== null) return true
    const buffer = this.#transmit.room === 0 ? undefined : this.#free.pop()
    if (buffer === undefined) {
      this.#refused = true
      return false
    }
    buffer.bytes.fill(0, 0, HEADER)
    buffer.bytes.set(bytes, HEADER)
    const sending = { buffer, since: this.#hardware.now() }
    this.#sending.add(sending)
    this.#transmit.add(sending, [{ address: buffer.address, length: HEADER + bytes.length, write: false }])
    this.#transport.notify(QUEUE.transmit)
    this.#sentFrames++
    return true
  }

  /** The next frame that came, copied out of the memory that the device writes. */
  #next(): Frame | null {
    let frame: Frame | null = null
    this.#transport.attempt(() => {
      while (frame === null && this.error === null) {
        const finished = this.#receive.take()
        if (finished === null) break
        const { request: buffer, written } = finished
        if (written >= HEADER + ethernet.length) {
          frame = { bytes: buffer.bytes.slice(HEADER, written) }
          this.#receivedFrames++
        } else this.#dropped++
        this.#give(buffer)
      }
      if (this.#untold > 0 && (frame === null || this.#untold * 2 >= this.#receive.size)) {
        this.#untold = 0
        this.#transport.notify(QUEUE.receive)
      }
    })
    return frame
  }

  #give(buffer: DmaPiece): void {
    this.#receive.add(buffer, [{ address: buffer.address, length: buffer.bytes.length, write: true }])
    this.#untold++
  }

  #used(): void {
    this.#sent()
    this.#tell()
  }

  #sent(): void {
    for (let finished = this.#transmit.take(); finished !== null; finished = this.#transmit.take()) {
      this.#sending.delete(finished.request)
      this.#free.push(finished.request.buffer)
    }
    if (!this.#refused || this.#free.length === 0) return
    this.#refused = false
    this.#call((listener) => { listener.writable() })
  }

  /** Once for all that comes until somebody looks. */
  #tell(): void {
    if (this.#told || this.#listener === null || !this.#receive.ready) return
    this.#told = true
    this.#call((listener) => {
      this.#told = false
      listener.readable()
    })
  }

  #call(what: (listener: Parameters<NetPort['listen']>[0]) => void): void {
    const deliver = this.#deliver
    deliver?.(() => { if (this.#deliver === deliver && this.#listener !== null) what(this.#listener) })
  }

  #linkNow(): boolean {
    return !this.#transport.has(FEATURE.status) || (this.#transport.config((at) => at(CONFIG.status, 2)) & LINK_UP) !== 0
  }

  #look(): void {
    const link = this.#linkNow()
    if (link === this.#link) return
    this.#link = link
    this.#call((listener) => { listener.linkChanged() })
  }

  #failed(): void {
    this.#sending.clear()
    this.#transmit.abandon()
    this.#receive.abandon()
    this.#link = false
    const refused = this.#refused
    this.#refused = false
    this.#call((listener) => {
      listener.linkChanged()
      if (refused) listener.writable()
    })
  }
}
