import { get32, macAt, set16, set32 } from '@machinist/packets'
import { type Address, addressKey, sameAddress } from './address.ts'
import { be32, field, LEAST_LENGTH, MAGIC, message, option, readOptions } from './dhcp-message.ts'
import { Holders } from './holders.ts'
import { addressIn, type NatSettings } from './options.ts'

const LEASE = 86_400

/** An answer and where it goes: to the address that the client has, or to all. */
export interface DhcpAnswer {
  readonly to: Address | null
  readonly bytes: Uint8Array
}

/** Gives out addresses (RFC 2131): to each Ethernet address one, always the same while there are enough. Then who has most gives the one away that was longest unused. */
export class DhcpServer {
  readonly #settings: NatSettings
  /** By Ethernet address, the longest unused first. */
  readonly #leases = new Map<number, Address>()
  readonly #taken = new Set<string>()
  readonly #stations = new Map<string, number>()
  readonly #holders = new Holders<number>()
  readonly #holderOf: (mac: number) => unknown
  #fresh = 0

  /** @param holderOf - whose an Ethernet address is */
  constructor(settings: NatSettings, holderOf: (mac: number) => unknown) {
    this.#settings = settings
    this.#holderOf = holderOf
  }

  /** The address of a client; null when it may have none, because it never asked. */
  leaseOf(mac: number): Address | null {
    return this.#leases.get(mac) ?? null
  }

  /** Whose an address is; null when it was given to nobody. */
  stationOf(address: Address): number | null {
    return this.#stations.get(addressKey(address)) ?? null
  }

  #lease(mac: number, sender: number): Address {
    const { pool } = this.#settings
    const known = this.#leases.get(mac)
    let address = known
    this.#leases.delete(mac)
    while (address === undefined && this.#fresh < pool.count) {
      const next = addressIn({ address: pool.first, bits: 32 }, this.#fresh++)
      if (!this.#taken.has(addressKey(next))) address = next
    }
    const holder = this.#holderOf(sender)
    if (address === undefined) {
      const [longest] = this.#leases.keys()
      const oldest = this.#holders.oldest(this.#holders.giver(holder)) ?? longest ?? mac
      address = this.#leases.get(oldest) ?? pool.first
      this.#leases.delete(oldest)
      this.#holders.delete(oldest)
    }
    this.#leases.set(mac, address)
    // Whoever asks in the name of another, it stays whose it is.
    if (known === undefined) this.#holders.add(holder, mac)
    else this.#holders.touch(mac)
    this.#stations.set(addressKey(address), mac)
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
      this.#holders.add(this.#holderOf(mac), mac)
      this.#stations.set(addressKey(address), mac)
      // Every address that was ever given out belongs to somebody.
      this.#fresh = Math.max(this.#fresh, index + 1)
    }
  }

  /** Keeps an address from being given out: it is a service's. */
  reserve(address: Address): void {
    this.#taken.add(addressKey(address))
  }

  /** Takes a message of a client, which an Ethernet address sent. Null when it wants no answer. */
  take(bytes: Uint8Array, sender: number): DhcpAnswer | null {
    if (bytes.length < field.options || bytes[field.operation] !== 1 || bytes[field.hardware] !== 1 || bytes[field.hardwareLength] !== 6) return null
    if (get32(bytes, field.magic) !== MAGIC) return null
    const options = readOptions(bytes)
    const mac = macAt(bytes, field.mac)
    const client = bytes.slice(field.client, field.client + 4)
    const server = options.get(option.server)
    const mine = server === undefined || sameAddress(server, this.#settings.gateway)
    switch (options.get(option.type)?.[0]) {
      case message.discover:
        return this.#answer(bytes, message.offer, this.#lease(mac, sender), client)
      case message.request: {
        if (!mine) return null
        const lease = this.#lease(mac, sender)
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

/** A UDP datagram: header with open checksum, and payload. */
export function datagram(source: number, destination: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length)
  set16(bytes, 0, source)
  set16(bytes, 2, destination)
  set16(bytes, 4, bytes.length)
  bytes.set(payload, 8)
  return bytes
}
