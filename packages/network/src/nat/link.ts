import { type Frame, noOffloads, type Offloads, type PartialChecksum } from '@machinist/api'
import { adapt, broadcast, checksum, ethernet, fillChecksum, isGroup, pseudoHeaderSum, set16 } from '@machinist/packets'
import { FrameQueue } from '../frame-queue.ts'
import { type Address, addressKey } from './address.ts'
import { Holders } from './holders.ts'
import { fragments, newPacket } from './packet.ts'

/** Neighbours that are remembered; IPv6 lets a guest have as many addresses as it likes. */
const MOST_NEIGHBORS = 1024
/** Frames that wait for the guest, and their bytes: everything but TCP's, which are made when they are taken. */
const MOST_FRAMES = 1024
const MOST_BYTES = 4 << 20

/** The link to the guests: who is where, and what waits to be taken by them. */
export class Link {
  readonly mac: number
  readonly mtu: number
  /** What the taker of frames does by itself. */
  offloads: Offloads = noOffloads
  readonly #queue = new FrameQueue(MOST_FRAMES, MOST_BYTES)
  #identification = 0
  readonly #neighbors = new Map<string, number>()
  readonly #holders = new Holders<string>()
  /** Whose an Ethernet address is: who has most addresses forgets first. */
  holderOf: (mac: number) => unknown = () => null
  /** Told that there is a frame. */
  onReady: () => void = () => {}
  /** Told that something waits for an address of which nothing was heard, and when something was. */
  onUnknown: (address: Address) => void = () => {}
  onLearned: (address: Address) => void = () => {}

  constructor(mac: number, mtu: number) {
    this.mac = mac
    this.mtu = mtu
  }

  /** Remembers where an address is. */
  learn(address: Address, mac: number): void {
    if (isGroup(mac) || mac === 0) return
    const key = addressKey(address)
    if (this.#neighbors.get(key) === mac) return
    this.#neighbors.delete(key)
    this.#neighbors.set(key, mac)
    const holder = this.holderOf(mac)
    this.#holders.add(holder, key)
    if (this.#neighbors.size > MOST_NEIGHBORS) {
      const [first = key] = this.#neighbors.keys()
      const oldest = this.#holders.oldest(this.#holders.giver(holder)) ?? first
      this.#neighbors.delete(oldest)
      this.#holders.delete(oldest)
    }
    this.onLearned(address)
  }

  /** Addresses that are known, the oldest first. */
  get neighbors(): readonly (readonly [address: Address, mac: number])[] {
    return [...this.#neighbors].map(([key, mac]) => [Uint8Array.from(key, (character) => character.charCodeAt(0)), mac])
  }

  /** Where an address is; null when it was never heard of. */
  find(address: Address): number | null {
    if (address.every((byte) => byte === 0xff)) return broadcast
    return this.#neighbors.get(addressKey(address)) ?? null
  }

  /** Puts a finished frame into the queue, or drops it when that is full. */
  push(frame: Frame): void {
    if (this.#queue.push(frame)) this.onReady()
  }

  /** Takes a frame out of the queue. */
  shift(): Frame | null {
    return this.#queue.shift()
  }

  /**
   * Sends a packet, in fragments if need be, when it is known where its destination is.
   *
   * @param field - byte of the checksum in `body`, above a pseudo-header if `pseudo`
   */
  send(source: Address, destination: Address, protocol: number, body: Uint8Array, field: number, pseudo: boolean = true, hops?: number): void {
    const destinationMac = this.find(destination)
    if (destinationMac !== null) this.sendTo(destinationMac, source, destination, protocol, body, field, pseudo, hops)
  }

  /** The same, to whoever has this Ethernet address. */
  sendTo(mac: number, source: Address, destination: Address, protocol: number, body: Uint8Array, field: number, pseudo: boolean = true, hops?: number): void {
    const envelope = { source, destination, protocol, sourceMac: this.mac, destinationMac: mac, ...(hops !== undefined && { hops }) }
    const { bytes, transport } = newPacket(envelope, body.length)
    bytes.set(body, transport)
    if (pseudo) {
      const version = source.length === 4 ? 4 : 6
      set16(bytes, transport + field, pseudoHeaderSum(bytes, { version, network: ethernet.length, protocol }, body.length))
      fillChecksum(bytes, { start: transport, offset: field })
    } else {
      set16(bytes, transport + field, checksum(bytes, transport, bytes.length))
    }
    this.#identification = (this.#identification + 1) & 0xffff
    for (const piece of fragments(bytes, this.mtu, this.#identification)) this.push({ bytes: piece, trusted: true })
  }

  /** A frame as the taker wants it: one with an open checksum is closed, if need be. It is never cut: who made it knew what is taken. */
  ready(bytes: Uint8Array, open: PartialChecksum): Frame | null {
    return adapt({ bytes, checksum: open, trusted: true }, this.offloads)[0] ?? null
  }
}
