import { addressText, contains, parsePrefix, type Address, type Prefix, within } from './address.ts'

/** The protocols that a guest's traffic is judged by. */
export type Protocol = 'tcp' | 'udp' | 'icmp'

/** One line of what a guest may reach. */
export interface Rule {
  readonly action: 'allow' | 'deny'
  readonly to: Prefix
  /** First and last port; all when absent. */
  readonly ports?: readonly [number, number]
  /** All when absent. */
  readonly protocol?: Protocol
}

/** Somewhere a guest wants to go. */
export interface Destination {
  readonly protocol: Protocol
  readonly address: Address
  /** 0 for ICMP. */
  readonly port: number
}

/** What {@link Policy} goes by. */
export interface PolicyOptions {
  readonly rules: readonly Rule[]
  /** What holds when no rule fits and the address is not reserved. */
  readonly otherwise: 'allow' | 'deny'
  /** Has the last word on what is allowed otherwise. */
  readonly permit?: (to: Destination) => boolean
  /** The host's own addresses. */
  readonly own: () => readonly Address[]
}

function prefixes(...texts: string[]): readonly Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? [])
}

/**
 * Where nobody is let go unless a rule names it: this host ("this network" too, which Linux takes for loopback), link-local addresses,
 * the addresses at which clouds tell machines their secrets, groups and the reserved block with broadcast.
 */
export const reservedPrefixes: readonly Prefix[] = prefixes(
  '0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32', '224.0.0.0/4', '240.0.0.0/4',
  '::/128', '::1/128', 'fe80::/10', 'fec0::/10', 'fd00:ec2::254/128', 'fd20:ce::254/128', 'ff00::/8',
)

/** IPv6 ranges that hold an IPv4 address, and where (RFC 4291, 2.5.5; RFC 6052; RFC 3056). */
const embedded: readonly (readonly [Prefix, number])[] = [
  ['::ffff:0:0/96', 12], ['::ffff:0:0:0/96', 12], ['64:ff9b::/96', 12], ['2002::/16', 2],
].flatMap(([text, at]) => prefixes(text as string).map((prefix) => [prefix, at as number] as const))
/** Ranges where it is hidden or out of use: all of them are reserved. */
const opaque = prefixes('::/96', '2001::/32', '64:ff9b:1::/48')

/** Decides where a guest may go. */
export class Policy {
  readonly #options: PolicyOptions

  constructor(options: PolicyOptions) {
    this.#options = options
  }

  /**
   * Whether the guest may send there. The first rule that fits decides. Into a reserved range, and to the host's own
   * addresses, an `allow` leads only when it lies within that range: `0.0.0.0/0` opens no loopback.
   */
  allows(to: Destination): boolean {
    if (!this.#judge(to.address, to)) return false
    for (const [prefix, at] of embedded) {
      if (contains(prefix, to.address) && !this.#judge(to.address.slice(at, at + 4), to)) return false
    }
    return this.#options.permit?.(to) ?? true
  }

  #judge(address: Address, to: Destination): boolean {
    const { rules, otherwise, own } = this.#options
    const closed = [...reservedPrefixes, ...opaque].filter((prefix) => contains(prefix, address))
    const mine = addressText(address)
    // Those of loopback and link-local interfaces are in the list above.
    if (closed.length === 0 && own().some((each) => addressText(each) === mine)) closed.push({ address, bits: address.length * 8 })
    for (const rule of rules) {
      if (!contains(rule.to, address) || (rule.protocol !== undefined && rule.protocol !== to.protocol)) continue
      if (rule.ports !== undefined && (to.protocol === 'icmp' || to.port < rule.ports[0] || to.port > rule.ports[1])) continue
      if (rule.action === 'deny') return false
      if (closed.every((prefix) => within(rule.to, prefix))) return true
    }
    return closed.length === 0 && otherwise === 'allow'
  }
}
