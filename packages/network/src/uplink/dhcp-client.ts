import { get32, macBytes, set32 } from '@machinist/packets'
import type { Address } from '../nat/address.ts'
import { field, LEAST_LENGTH, MAGIC, message, option, readOptions } from '../nat/dhcp-message.ts'

/** What a station is told of the network it is in. */
export interface UplinkConfiguration {
  readonly address: Address
  /** Bits of the network's prefix, 0 to 32. */
  readonly bits: number
  readonly gateway: Address | null
  readonly resolvers: readonly Address[]
}

/** What a client needs. Times are in milliseconds. */
export interface DhcpClientOptions {
  readonly mac: number
  now(): number
  /** 32 random bits. */
  random(): number
  /** Sends a message to the server, or to all where it is not known. */
  send(bytes: Uint8Array, from: Address, to: Address | null): void
  /** Finds out whether somebody has an address already; calls back once. */
  probe(address: Address, done: (taken: boolean) => void): void
  /** From now on this holds; null: nothing does. */
  configure(configuration: UplinkConfiguration | null): void
}

const NONE: Address = new Uint8Array(4)
/** RFC 2131, 4.1: from 4 to 64 seconds, with a second more or less. */
const FIRST_RETRY = 4000
const MOST_RETRY = 64_000
/** After a declined address (3.1), and the least between questions for more time (4.4.5). */
const DECLINED = 10_000
const RENEW_RETRY = 60_000
/** A server that is asked for an offer so often without an answer has none any more. */
const REQUESTS = 4
const FOREVER = 0xffff_ffff
/** A shorter lease would have the client do nothing else. */
const LEAST_LEASE = 60
const MOST_RESOLVERS = 3
const WANTED = [option.mask, option.router, option.resolver, option.lease, option.renew, option.rebind]

interface Lease extends UplinkConfiguration {
  readonly server: Address
  readonly renew: number
  readonly rebind: number
  readonly end: number
}

/** The state of a client (RFC 2131, 4.4). `'checking'` is between the answer and the first use of the address. */
export type DhcpState = 'init' | 'selecting' | 'requesting' | 'checking' | 'bound' | 'renewing' | 'rebinding'

/** Gets an address, and keeps it as long as it may (RFC 2131, 4.4). */
export class DhcpClient {
  readonly #options: DhcpClientOptions
  state: DhcpState = 'init'
  #transaction = 0
  #began = 0
  #tries = 0
  #due = 0
  #offer: { readonly address: Address; readonly server: Address } | null = null
  #lease: Lease | null = null

  constructor(options: DhcpClientOptions) {
    this.#options = options
    this.#due = options.now()
  }

  /** When {@link DhcpClient.poll} is to be called. */
  get deadline(): number {
    const lease = this.#lease
    if (lease === null || this.state === 'checking') return this.#due
    return this.state === 'bound' ? lease.renew : Math.min(this.#due, this.state === 'renewing' ? lease.rebind : lease.end)
  }

  poll(): void {
    const now = this.#options.now()
    const lease = this.#lease
    if (lease !== null && now >= lease.end) this.#restart(0)
    else if (lease !== null && this.state === 'bound' && now >= lease.renew) this.#extend('renewing', now)
    else if (lease !== null && this.state === 'renewing' && now >= lease.rebind) this.#extend('rebinding', now)
    if (now < this.#due || this.state === 'bound' || this.state === 'checking') return
    if (this.state === 'requesting' && this.#tries >= REQUESTS) this.#restart(0)
    if (this.state === 'init') this.#begin('selecting', now)
    this.#ask(now)
  }

  /** The address that it has belongs to somebody else (RFC 5227, 2.4). */
  conflict(): void {
    if (this.#lease !== null && this.state !== 'checking') this.#decline(this.#lease)
  }

  /** Takes what came to the client's port. */
  take(bytes: Uint8Array): void {
    if (bytes.length < field.options || bytes[field.operation] !== 2 || get32(bytes, field.magic) !== MAGIC || get32(bytes, field.transaction) !== this.#transaction) return
    const mac = macBytes(this.#options.mac)
    if (!mac.every((byte, index) => bytes[field.mac + index] === byte)) return
    const options = readOptions(bytes)
    const type = options.get(option.type)?.[0]
    const server = options.get(option.server)
    const address = bytes.slice(field.your, field.your + 4)
    if (type === message.offer && this.state === 'selecting' && server !== undefined && isHost(address)) {
      this.#offer = { address, server }
      this.#begin('requesting', this.#options.now())
      this.#ask(this.#options.now())
    } else if (type === message.nak && this.#offered(server)) {
      this.#restart(FIRST_RETRY)
    } else if (type === message.ack && this.#offered(server) && isHost(address)) this.#acknowledged(address, server ?? this.#offer?.server ?? NONE, options)
  }

  /** Whether an answer is from the server that was asked. */
  #offered(server: Address | undefined): boolean {
    if (this.state === 'rebinding') return true
    if (this.state !== 'requesting' && this.state !== 'renewing') return false
    const asked = this.#lease?.server ?? this.#offer?.server
    return server === undefined || asked === undefined || get32(server, 0) === get32(asked, 0)
  }

  #acknowledged(address: Address, server: Address, options: ReadonlyMap<number, Uint8Array>): void {
    const seconds = (kind: number, otherwise: number): number => {
      const value = options.get(kind)
      return value?.length === 4 ? get32(value, 0) : otherwise
    }
    const given = seconds(option.lease, FOREVER)
    const duration = given === FOREVER ? Infinity : Math.max(LEAST_LEASE, given)
    const rebind = Math.min(seconds(option.rebind, duration * 7 / 8), duration)
    const renew = Math.min(seconds(option.renew, duration / 2), rebind)
    const from = this.#began
    const lease: Lease = {
      address, server, bits: bitsOf(options.get(option.mask), address), gateway: first(options.get(option.router)), resolvers: addresses(options.get(option.resolver)).slice(0, MOST_RESOLVERS),
      renew: duration === Infinity ? Infinity : from + renew * 1000, rebind: duration === Infinity ? Infinity : from + rebind * 1000, end: from + duration * 1000,
    }
    const known = this.#lease !== null && get32(this.#lease.address, 0) === get32(address, 0)
    if (this.#lease !== null && !known) this.#options.configure(null)
    this.#lease = lease
    if (known) {
      this.state = 'bound'
      this.#options.configure(lease)
      return
    }
    // Before the first use it is seen to that nobody has it (RFC 2131, 4.4.1).
    this.state = 'checking'
    this.#due = Infinity
    this.#options.probe(address, (taken) => {
      if (this.#lease !== lease || this.state !== 'checking') return
      if (taken) {
        this.#decline(lease)
        return
      }
      this.state = 'bound'
      this.#options.configure(lease)
    })
  }

  #decline({ address, server }: Lease): void {
    this.#send(message.decline, NONE, null, [option.requested, 4, ...address, option.server, 4, ...server])
    this.#restart(DECLINED)
  }

  #restart(wait: number): void {
    const configured = this.#lease !== null && this.state !== 'checking'
    this.state = 'init'
    this.#lease = this.#offer = null
    this.#due = this.#options.now() + wait
    if (configured) this.#options.configure(null)
  }

  #begin(state: DhcpState, now: number): void {
    this.state = state
    // An offer and what follows are one transaction.
    if (state !== 'requesting') this.#transaction = this.#options.random() >>> 0
    this.#began = now
    this.#tries = 0
    this.#due = now
  }

  #extend(state: 'renewing' | 'rebinding', now: number): void {
    this.#begin(state, now)
  }

  #ask(now: number): void {
    this.#tries++
    const lease = this.#lease
    const jitter = (this.#options.random() >>> 0) / 2 ** 32 * 2000 - 1000
    const limit = this.state === 'renewing' ? lease?.rebind : lease?.end
    this.#due = now + (lease === null || limit === undefined ? Math.min(MOST_RETRY, FIRST_RETRY * 2 ** Math.min(4, this.#tries - 1)) + jitter : Math.max(RENEW_RETRY, (limit - now) / 2))
    if (lease !== null) this.#send(message.request, lease.address, this.state === 'renewing' ? lease.server : null, [])
    else if (this.#offer !== null) this.#send(message.request, NONE, null, [option.requested, 4, ...this.#offer.address, option.server, 4, ...this.#offer.server])
    else this.#send(message.discover, NONE, null, [])
  }

  #send(type: number, client: Address, to: Address | null, more: readonly number[]): void {
    const bytes = new Uint8Array(LEAST_LENGTH)
    bytes.set([1, 1, 6], field.operation)
    set32(bytes, field.transaction, this.#transaction)
    bytes.set(client, field.client)
    bytes.set(macBytes(this.#options.mac), field.mac)
    set32(bytes, field.magic, MAGIC)
    const wanted = type === message.decline ? [] : [PARAMETERS, WANTED.length, ...WANTED]
    bytes.set([option.type, 1, type, ...more, ...wanted, option.end], field.options)
    this.#options.send(bytes, client, to)
  }
}

/** The option that lists what a client would like to be told (RFC 2132, 9.8). */
const PARAMETERS = 55

/** Whether an address can be that of one station. */
function isHost(address: Address): boolean {
  const [high = 0] = address
  return high > 0 && high < 224 && high !== 127
}

function addresses(bytes: Uint8Array | undefined): Address[] {
  return Array.from({ length: Math.floor((bytes?.length ?? 0) / 4) }, (_, index) => bytes?.slice(4 * index, 4 * index + 4) ?? NONE).filter(isHost)
}

function first(bytes: Uint8Array | undefined): Address | null {
  return addresses(bytes)[0] ?? null
}

/** Bits of a mask; where there is none that makes sense, those of the address' class (RFC 791, 3.2). */
function bitsOf(mask: Uint8Array | undefined, [high = 0]: Address): number {
  const value = mask?.length === 4 ? get32(mask, 0) : 0
  const bits = Math.clz32(~value)
  if (value !== 0 && (bits === 32 || (value << bits) === 0)) return bits
  return high < 128 ? 8 : high < 192 ? 16 : 24
}
