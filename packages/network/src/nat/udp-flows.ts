import { get16, ipProtocol, udp } from '@machinist/packets'
import { addressKey } from './address.ts'
import { guestOf, type NatContext, route } from './context.ts'
import { datagram } from './dhcp.ts'
import type { DnsRelay } from './dns.ts'
import { Holders } from './holders.ts'
import { type Quote, quoteOf, sendTrouble } from './icmp.ts'
import type { Forward } from './options.ts'
import type { Packet } from './packet.ts'
import type { Endpoint, HostDatagrams } from './sockets.ts'
import { keyOf } from './tcp-flows.ts'

/** For how long a conversation is kept after its last datagram: one that was answered, and one that was not yet; in milliseconds. */
const PATIENCE = 120_000
const FIRST_PATIENCE = 30_000
/** First of the ports from which the gateway passes on what comes through a forward. */
const EPHEMERAL = 49_152

/** Datagrams between one endpoint of a guest and one outside. */
interface Conversation {
  readonly guest: Endpoint
  /** As the guest sees it. */
  readonly remote: Endpoint
  /** To the outside. */
  send(bytes: Uint8Array): void
  close(): void
  quote: Quote | null
  until: number
}

/** All UDP conversations of a NAT. */
export class UdpFlows {
  readonly #nat: NatContext
  readonly #dns: DnsRelay
  /** The longest silent first. */
  readonly #flows = new Map<string, Conversation>()
  readonly #holders = new Holders<string>()
  /** Those that came through a forward, by forward and peer. */
  readonly #inward = new Map<string, string>()

  constructor(nat: NatContext, dns: DnsRelay) {
    this.#nat = nat
    this.#dns = dns
  }

  get size(): number {
    return this.#flows.size
  }

  get deadline(): number {
    let first = Infinity
    for (const { until } of this.#flows.values()) if (until < first) first = until
    return first
  }

  expire(now: number): void {
    for (const [key, flow] of this.#flows) if (flow.until <= now) this.#end(key)
  }

  /** Takes a UDP packet of a guest. */
  take(packet: Packet): void {
    const { bytes, transport, payload, end } = packet
    if (payload === null) return
    const size = get16(bytes, transport + udp.size)
    if (size < udp.length || transport + size > end) return
    const data = bytes.slice(payload, transport + size)
    const guest = { address: packet.source, port: get16(bytes, transport + udp.source) }
    const remote = { address: packet.destination, port: get16(bytes, transport + udp.destination) }
    if (guest.port === 0 || remote.port === 0) return
    const key = keyOf(guest, remote)
    const flow = this.#flows.get(key)
    if (flow !== undefined) {
      this.#touch(key, flow, flow.until - this.#nat.now() > FIRST_PATIENCE ? PATIENCE : FIRST_PATIENCE)
      flow.send(data)
      return
    }
    const where = route(this.#nat, 'udp', remote)
    const { link, sockets, gatewayFor } = this.#nat
    switch (where.kind) {
      case 'dns':
        this.#dns.askByUdp(data, (answer) => { this.#reply(remote, guest, answer) })
        return
      case 'denied':
      case 'nobody':
        sendTrouble(link, gatewayFor(guest.address), quoteOf(packet), where.kind === 'denied' ? 'prohibited' : 'port')
        return
      case 'host': {
        const socket: HostDatagrams = sockets.datagrams(where.to, {
          message: (answer) => {
            this.#nat.gate(() => {
              if (this.#flows.get(key) !== opened) return
              this.#touch(key, opened, PATIENCE)
              this.#reply(remote, guest, answer)
            })
          },
          error: (error) => {
            this.#nat.gate(() => {
              if (this.#flows.get(key) !== opened) return
              if (opened.quote !== null) sendTrouble(link, gatewayFor(guest.address), opened.quote, error === 'refused' ? 'port' : 'host')
              if (error !== 'refused') this.#end(key)
            })
          },
        })
        const opened = this.#add(key, this.#nat.holderOf(packet.mac), { guest, remote, quote: quoteOf(packet), until: 0, send: (out) => { socket.send(out) }, close: () => { socket.close() } })
        socket.send(data)
      }
    }
  }

  /** Takes a datagram that came to a forward. */
  inward(forward: Forward, socket: HostDatagrams, from: Endpoint, data: Uint8Array): void {
    const guest = guestOf(this.#nat, forward)
    const peer = `${forward.text} ${addressKey(from.address)} ${from.port}`
    const known = this.#inward.get(peer)
    const flow = known === undefined ? undefined : this.#flows.get(known)
    if (known !== undefined && flow !== undefined) {
      this.#touch(known, flow, PATIENCE)
      this.#reply(flow.remote, guest, data)
      return
    }
    const address = this.#nat.gatewayFor(guest.address)
    for (let tries = 0; tries < 64; tries++) {
      const remote = { address, port: EPHEMERAL + this.#nat.sockets.random() % (65_536 - EPHEMERAL) }
      const key = keyOf(guest, remote)
      if (this.#flows.has(key)) continue
      const mac = this.#nat.link.find(guest.address)
      this.#add(key, mac === null ? null : this.#nat.holderOf(mac), { guest, remote, quote: null, until: 0, send: (out) => { socket.send(out, from) }, close: () => { this.#inward.delete(peer) } })
      this.#inward.set(peer, key)
      this.#reply(remote, guest, data)
      return
    }
  }

  /** When there are too many, the longest silent of who has most ends. */
  #add(key: string, holder: unknown, flow: Conversation): Conversation {
    if (this.#flows.size >= this.#nat.settings.conversations) {
      const [longest = key] = this.#flows.keys()
      this.#end(this.#holders.oldest(this.#holders.giver(holder)) ?? longest)
    }
    this.#holders.add(holder, key)
    this.#touch(key, flow, FIRST_PATIENCE)
    return flow
  }

  #touch(key: string, flow: Conversation, patience: number): void {
    flow.until = this.#nat.now() + patience
    this.#flows.delete(key)
    this.#flows.set(key, flow)
    this.#holders.touch(key)
  }

  #end(key: string): void {
    const flow = this.#flows.get(key)
    this.#flows.delete(key)
    this.#holders.delete(key)
    flow?.close()
  }

  #reply(from: Endpoint, to: Endpoint, data: Uint8Array): void {
    const most = from.address.length === 4 ? 65_507 : 65_527
    if (data.length > most) return
    const { link } = this.#nat
    if (link.find(to.address) === null) link.onUnknown(to.address)
    link.send(from.address, to.address, ipProtocol.udp, datagram(from.port, to.port, data), udp.checksum)
  }


  close(): void {
    for (const key of [...this.#flows.keys()]) this.#end(key)
  }
}
