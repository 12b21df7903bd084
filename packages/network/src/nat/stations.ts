import { macAt } from '@machinist/packets'
import { type Address, addressKey } from './address.ts'

/** How long a station that has an address may be silent after it was asked whether it is there, in milliseconds; and after which it is asked anew. */
const PATIENCE = 3000
const OVER = 60_000
/** Addresses about which stations are in dispute. */
const MOST = 256

/** What {@link Stations} goes by. */
export interface StationsOf {
  /** Where an address was heard last; null when nowhere. */
  find(address: Address): number | null
  /** To whom an address was given; null when to nobody. */
  leased(address: Address): number | null
  /** Asks who has an address. */
  ask(address: Address): void
  /** Milliseconds. */
  now(): number
}

/**
 * Who of several stations may use which address: the one to which it was given, or of whose Ethernet address it is made; otherwise the one that has it, as long as that answers. So a station that has gone loses it, and no other does.
 */
export class Stations {
  readonly #of: StationsOf
  /** Addresses that another station wants, and since when whoever has them was asked and not heard. */
  readonly #wanted = new Map<string, number>()

  constructor(of: StationsOf) {
    this.#of = of
  }

  mayUse(address: Address, mac: number): boolean {
    const owner = this.#of.leased(address) ?? madeOf(address)
    if (owner !== null) return owner === mac
    const known = this.#of.find(address)
    if (known === null) return true
    const key = addressKey(address)
    if (known === mac) {
      if (this.#wanted.size > 0) this.#wanted.delete(key)
      return true
    }
    const now = this.#of.now()
    const since = this.#wanted.get(key) ?? -Infinity
    if (now - since > OVER) {
      this.#wanted.delete(key)
      const [oldest] = this.#wanted.size >= MOST ? this.#wanted.keys() : []
      if (oldest !== undefined) this.#wanted.delete(oldest)
      this.#wanted.set(key, now)
      this.#of.ask(address)
    } else if (now - since >= PATIENCE) {
      this.#wanted.delete(key)
      return true
    }
    return false
  }
}

/** The Ethernet address of which an IPv6 address was made (RFC 4291, appendix A); null for others. */
function madeOf(address: Address): number | null {
  if (address.length !== 16 || address[11] !== 0xff || address[12] !== 0xfe) return null
  return macAt(Uint8Array.of((address[8] ?? 0) ^ 2, ...address.subarray(9, 11), ...address.subarray(13)), 0)
}
