import { get32, macAt, set16, set32 } from '@machinist/packets'
import { type Address, addressKey, sameAddress } from './address.ts'
import { addressIn, type NatSettings } from './options.ts'

/** Places in a message (RFC 2131, 2). */
const field = { operation: 0, hardware: 1, hardwareLength: 2, transaction: 4, flags: 10, client: 12, your: 16, mac: 28, magic: 236, options: 240 } as const
const MAGIC = 0x6382_5363
/** Options (RFC 2132). */
const option = { pad: 0, mask: 1, router: 3, resolver: 6, mtu: 26, broadcast: 28, requested: 50, lease: 51, type: 53, server: 54, renew: 58, rebind: 59, end: 255 } as const
const message = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const
const LEASE = 86_400
/** What a client may rely on to get (RFC 2131, 2): it pads to what BOOTP had. */
const LEAST_LENGTH = 300

/** An answer and where it goes: to the address that the client has, or to all. */
export interface DhcpAnswer {
  readonly to: Address | null
  readonly bytes: Uint8Array
}

/** Gives out addresses (RFC 2131): to each Ethernet address one, always the same while there are enough. */
export class DhcpServer {
  readonly #settings: NatSettings
  /** By Ethernet address, the longest unused first. */
  readonly #leases = new Map<number, Address>()
  readonly #taken = new Set<string>()
  #fresh = 0

  constructor(settings: NatSettings) {
    this.#settings = settings
  }

  /** The address of a client; null when it may have none, because it never asked. */
  leaseOf(mac: number): Address | null {
    return this.#leases.get(mac) ?? null
  }

  #lease(mac: number): Address {
    const { pool } = this.#settings
    let address = this.#leases.get(mac)
    this.#leases.delete(mac)
    while (address === undefined && this.#fresh < pool.count) {
      const next = addressIn({ address: pool.first, bits: 32 }, this.#fresh++)
      if (!this.#taken.has(addressKey(next))) address = next
    }
    if (address === undefined) {
      const [oldest] = this.#leases
      address = oldest?.[1] ?? pool.first
      if (oldest !== undefined) this.#leases.delete(oldest[0])
    }
    this.#leases.set(mac, address)
    return address
  }

  /** Who has which address, the longest unused first. */
  get leases(): readonly (readonly [mac: number, address: Address])[] {
    return [...this.#leases]
  }

  /** Takes back what {@link leases} gave, as far as it is in the pool. */
  restore(leases: readonly (readonly [mac: number, address: Address])[]): void {
    const { pool } = this.#settings
    const first = get32(pool.first, 0)
    for (const [mac, address] of leases) {
      const index = get32(address, 0) - first
      if (index < 0 || index >= pool.count || this.#taken.has(addressKey(address))) continue
      this.#leases.set(mac, address)
      // Every address that was ever given out belongs to somebody.
      this.#fresh = Math.max(this.#fresh, index + 1)
    }
  }

  /** Keeps an address from being given out: it is a service's. */
  reserve(address: Address): void {
    this.#taken.add(addressKey(address))
  }

  /** Takes a message of a client. Null when it wants no answer. */
  take(bytes: Uint8Array): DhcpAnswer | null {
    if (bytes.length < field.options || bytes[field.operation] !== 1 || bytes[field.hardware] !== 1 || bytes[field.hardwareLength] !== 6) return null
    if (get32(bytes, field.magic) !== MAGIC) return null
    const options = readOptions(bytes)
    const mac = macAt(bytes, field.mac)
    const client = bytes.slice(field.client, field.client + 4)
    const server = options.get(option.server)
    const mine = server === undefined || sameAddress(server, this.#settings.gateway)
    switch (options.get(option.type)?.[0]) {
      case message.discover:
        return this.#answer(bytes, message.offer, this.#lease(mac), client)
      case message.request: {
        if (!mine) return null
        const lease = this.#lease(mac)
        const wanted = options.get(option.requested) ?? client
        if (!sameAddress(wanted, lease)) return this.#answer(bytes, message.nak, null, new Uint8Array(4))
        return this.#answer(bytes, message.ack, lease, client)
      }
      case message.inform:
        return this.#answer(bytes, message.ack, null, client)
      case message.release:
      case message.decline:
      default:
        return null
    }
  }

  #answer(query: Uint8Array, type: number, lease: Address | null, client: Address): DhcpAnswer {
    const { gateway, resolver, network, mtu, mode } = this.#settings
    const head = new Uint8Array(field.options)
    head.set([2, 1, 6], field.operation)
    head.set(query.subarray(field.transaction, field.transaction + 4), field.transaction)
    head.set(query.subarray(field.flags, field.flags + 2), field.flags)
    head.set(client, field.client)
    if (lease !== null) head.set(lease, field.your)
    head.set(query.subarray(field.mac, field.mac + 16), field.mac)
    set32(head, field.magic, MAGIC)
    const mask = new Uint8Array(4)
    set32(mask, 0, -(2 ** (32 - network.bits)))
    const all = network.address.map((byte, index) => byte | ~(mask[index] ?? 0))
    const options: number[] = [option.type, 1, type, option.server, 4, ...gateway]
    if (type !== message.nak) {
      if (lease !== null) options.push(option.lease, 4, ...be32(LEASE), option.renew, 4, ...be32(LEASE / 2), option.rebind, 4, ...be32(LEASE * 7 / 8))
      options.push(option.mask, 4, ...mask, option.broadcast, 4, ...all, option.mtu, 2, mtu >>> 8, mtu & 0xff)
      if (mode === 'nat') options.push(option.router, 4, ...gateway, option.resolver, 4, ...resolver)
    }
    options.push(option.end)
    const answer = new Uint8Array(Math.max(LEAST_LENGTH, head.length + options.length))
    answer.set(head)
    answer.set(options, head.length)
    return { to: client.some((byte) => byte !== 0) ? client : null, bytes: answer }
  }
}

function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  set32(bytes, 0, value)
  return bytes
}

function readOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>()
  for (let at: number = field.options; at < bytes.length;) {
    const kind = bytes[at] ?? option.end
    if (kind === option.end) break
    if (kind === option.pad) {
      at++
      continue
    }
    const length = bytes[at + 1] ?? 0
    if (at + 2 + length > bytes.length) break
    if (!options.has(kind)) options.set(kind, bytes.slice(at + 2, at + 2 + length))
    at += 2 + length
  }
  for (const kind of [option.requested, option.server]) if (options.get(kind)?.length !== 4) options.delete(kind)
  return options
}

/** A UDP datagram: header with open checksum, and payload. */
export function datagram(source: number, destination: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length)
  set16(bytes, 0, source)
  set16(bytes, 2, destination)
  set16(bytes, 4, bytes.length)
  bytes.set(payload, 8)
  return bytes
}
