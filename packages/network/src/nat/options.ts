import { machinistError, type MachinistError } from '@machinist/api'
import { parseMac } from '@machinist/packets'
import { type Address, contains, parseAddress, parsePrefix, type Prefix, prefixText } from './address.ts'
import type { Destination, Protocol, Rule } from './policy.ts'
import type { Endpoint } from './sockets.ts'

/** What a guest may talk to: the world; only what forwards and services name; nothing but the gateway itself. */
export type NatMode = 'nat' | 'host-only' | 'isolated'

/** Options of {@link nat}. All but the functions is plain data, as it stands in machine files. */
export interface NatOptions {
  /** `'nat'` unless given. */
  readonly mode?: NatMode
  /** The guests' IPv4 network, /8 to /27; `10.0.2.0/24` unless given. Its address 2 is the gateway, 3 the resolver, and guests get 15 and up. */
  readonly network?: string
  /** The guests' IPv6 network, a /64, or false for IPv4 alone; `fd00:6d61:6368:696e::/64` unless given. Its address 2 is the gateway, 3 the resolver. */
  readonly network6?: string | false
  /** Largest IP packet on the link, 1280 to 65535; 1500 unless given. */
  readonly mtu?: number
  /**
   * Several machines are behind it. None may use an address that another got by DHCP, that is made of another's Ethernet address, or that another has and answers for; and what there is for all (connections, conversations, buffers, leases) goes to who has least of
   * it. False unless given: a device alone may call itself what it likes.
   */
  readonly shared?: boolean
  /** Of several machines, tells by an Ethernet address which one it is: any value that is the same for one machine, null when that is not known. Each Ethernet address is one unless given. */
  readonly machineAt?: (mac: number) => unknown
  /** The gateway's Ethernet address; `52:55:0a:00:02:02` unless given. */
  readonly mac?: string
  /** Ports of the host that lead to a guest: `'tcp:127.0.0.1:2222-:22'`. Without an address before the port the host's is 127.0.0.1 and the guest's that of the first lease. */
  readonly forward?: readonly string[]
  /** Addresses in the guests' network that lead to a service of the host: `'tcp:10.0.2.100:80-127.0.0.1:8080'`. */
  readonly service?: readonly string[]
  /** Who may be reached, the first that fits: `'allow 10.0.0.0/8:443'`, `'deny udp:any'`, `'allow tcp:[fd00::/8]:80-90'`. */
  readonly rules?: readonly string[]
  /** What holds where no rule fits; `'allow'` unless given. */
  readonly otherwise?: 'allow' | 'deny'
  /** Most TCP connections, 1024, and UDP conversations, 512, unless given. */
  readonly connections?: number
  readonly conversations?: number
  /** Most bytes of buffers for TCP, besides 32 KiB for each connection; 64 MiB unless given. */
  readonly buffers?: number
  /** Is asked about each new connection, conversation or echo that the rules allow. */
  readonly permit?: (to: Destination) => boolean
  /** Told, in a sentence, of what went wrong after the start. A forward whose port is taken is an error that ends the machine. */
  readonly warn?: (message: string) => void
}

/** A way in, or a way to a service: what comes to `from` goes to `to`. An `address` of null is the first guest. */
export interface Forward {
  readonly text: string
  readonly protocol: 'tcp' | 'udp'
  readonly from: Endpoint
  /** Its address stands in the text; otherwise it is that of this host alone. */
  readonly said: boolean
  readonly to: { readonly address: Address | null; readonly port: number }
}

/** {@link NatOptions}, understood. */
export interface NatSettings {
  readonly mode: NatMode
  readonly network: Prefix
  readonly gateway: Address
  readonly resolver: Address
  /** The first address for guests, and how many there are. */
  readonly pool: { readonly first: Address; readonly count: number }
  readonly network6: Prefix | null
  readonly gateway6: Address
  readonly resolver6: Address
  readonly mtu: number
  readonly shared: boolean
  readonly machineAt: (mac: number) => unknown
  readonly mac: number
  readonly forwards: readonly Forward[]
  readonly services: readonly Forward[]
  readonly rules: readonly Rule[]
  readonly otherwise: 'allow' | 'deny'
  readonly connections: number
  readonly conversations: number
  readonly buffers: number
  readonly permit: (to: Destination) => boolean
  readonly warn: (message: string) => void
}

const HOST = { gateway: 2, resolver: 3, guest: 15 } as const
/** IPv6 wants at least this of every link (RFC 8200, 5). */
const LEAST_MTU = 1280
const MOST_GUESTS = 1024
const LOOPBACK = Uint8Array.of(127, 0, 0, 1)

function optionError(what: string, value: string | number, problem: string, remedy: string): MachinistError {
  return machinistError({ code: 'nat-option', part: `nat ${what}`, value, remedy }, problem)
}

/** Address number `index` of a network, counting in its last 32 bits. */
export function addressIn({ address }: Prefix, index: number): Address {
  const result = address.slice()
  const view = new DataView(result.buffer)
  view.setUint32(result.length - 4, view.getUint32(result.length - 4) + index)
  return result
}

/** `ADDRESS:PORT`, `[ADDRESS]:PORT`, `:PORT`; the address is null when there is none. */
function parseEndpoint(text: string): { address: Address | null; port: number } | null {
  const [, six, four = '', digits = ''] = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port > 65535) return null
  const place = six ?? four
  if (place === '') return { address: null, port }
  const address = parseAddress(place)
  return address === null || (six !== undefined) !== (address.length === 16) ? null : { address, port }
}

function parseForward(text: string, what: string): Forward {
  const remedy = what === 'forward' ? 'Write tcp:127.0.0.1:2222-:22.' : 'Write tcp:10.0.2.100:80-127.0.0.1:8080.'
  const [, protocol, before = '', after = ''] = /^(tcp|udp):(.+?)-(.+)$/.exec(text) ?? []
  const from = parseEndpoint(before)
  const to = parseEndpoint(after)
  if ((protocol !== 'tcp' && protocol !== 'udp') || from === null || to === null || to.port === 0) throw optionError(what, text, 'not understood', remedy)
  if (what === 'service' && (from.address === null || to.address === null || from.port === 0)) throw optionError(what, text, 'it needs both addresses', remedy)
  return { text, protocol, said: from.address !== null, from: { address: from.address ?? LOOPBACK, port: from.port }, to }
}

const EVERYWHERE = ['0.0.0.0/0', '::/0'] as const

function parseRule(text: string): Rule[] {
  const remedy = "Write 'allow 10.0.0.0/8:443', 'deny udp:any' or 'allow tcp:[fd00::/8]:80-90'."
  const [, action, protocol, six, four, low, high] =
    /^(allow|deny) (?:(tcp|udp|icmp):)?(?:\[([^\]]+)\]|([0-9./]+|any|[0-9a-f:./]*::?[0-9a-f:./]*))(?::([0-9]{1,5})(?:-([0-9]{1,5}))?)?$/i.exec(text) ?? []
  const place = six ?? four ?? ''
  const targets = (place === 'any' ? EVERYWHERE : [place]).map(parsePrefix)
  const ports = low === undefined ? undefined : [Number(low), Number(high ?? low)] as const
  if ((action !== 'allow' && action !== 'deny') || targets.includes(null)) throw optionError('rule', text, 'not understood', remedy)
  if (ports !== undefined && (ports[0] > ports[1] || ports[1] > 65535)) throw optionError('rule', text, 'no such ports', remedy)
  return targets.flatMap((to) => (to === null ? [] : [{
    action, to, ...(ports !== undefined && { ports }), ...(protocol !== undefined && { protocol: protocol.toLowerCase() as Protocol }),
  }]))
}

function whole(value: number, what: string, from: number, to: number): number {
  if (Number.isInteger(value) && value >= from && value <= to) return value
  throw optionError(what, value, 'out of range', `Use ${from} to ${to}.`)
}

function networkOf(text: string, what: string, size: 4 | 16, from: number, to: number): Prefix {
  const prefix = parsePrefix(text)
  if (prefix !== null && prefix.address.length === size && prefix.bits >= from && prefix.bits <= to) return prefix
  throw optionError(what, text, 'no such network', size === 4 ? 'Use one such as 10.0.2.0/24.' : 'Use one such as fd00:1::/64.')
}

/**
 * Understands the options of a NAT.
 *
 * @throws a typed error `'nat-option'`
 */
export function natSettings(options: NatOptions): NatSettings {
  const { mode = 'nat', otherwise = 'allow' } = options
  if (mode !== 'nat' && mode !== 'host-only' && mode !== 'isolated') throw optionError('mode', String(mode), 'no such mode', "Use 'nat', 'host-only' or 'isolated'.")
  if (otherwise !== 'allow' && otherwise !== 'deny') throw optionError('otherwise', String(otherwise), 'no such answer', "Use 'allow' or 'deny'.")
  const network = networkOf(options.network ?? '10.0.2.0/24', 'network', 4, 8, 27)
  const network6 = options.network6 === false ? null : networkOf(options.network6 ?? 'fd00:6d61:6368:696e::/64', 'network6', 16, 64, 64)
  const mac = parseMac(options.mac ?? '52:55:0a:00:02:02')
  if (mac === null || Math.floor(mac / 2 ** 40) % 2 === 1) throw optionError('mac', options.mac ?? '', 'no address of one station', 'Use one such as 52:55:0a:00:02:02.')
  const forwards = (options.forward ?? []).map((text) => parseForward(text, 'forward'))
  const services = (options.service ?? []).map((text) => parseForward(text, 'service'))
  const only = mode === 'isolated' ? [...forwards, ...services][0] : undefined
  if (only !== undefined) throw optionError('mode', only.text, 'an isolated guest has no forwards', "Use mode 'host-only'.")
  const inside = (address: Address): boolean => contains(network, address) || (network6 !== null && contains(network6, address))
  for (const { text, to } of forwards) if (to.address !== null && !inside(to.address)) throw optionError('forward', text, 'the guest is not in its network', `Use an address in ${prefixText(network)}.`)
  for (const { text, from } of services) if (!inside(from.address)) throw optionError('service', text, 'it is not in the guest\'s network', `Use an address in ${prefixText(network)}.`)
  const six = network6 ?? { address: new Uint8Array(16), bits: 128 }
  return {
    mode, otherwise, network, network6, mac, forwards, services,
    gateway: addressIn(network, HOST.gateway),
    resolver: addressIn(network, HOST.resolver),
    pool: { first: addressIn(network, HOST.guest), count: Math.min(MOST_GUESTS, 2 ** (32 - network.bits) - 1 - HOST.guest) },
    gateway6: addressIn(six, HOST.gateway),
    resolver6: addressIn(six, HOST.resolver),
    mtu: whole(options.mtu ?? 1500, 'mtu', LEAST_MTU, 65535),
    shared: options.shared ?? false,
    machineAt: options.machineAt ?? (() => null),
    rules: (options.rules ?? []).flatMap(parseRule),
    connections: whole(options.connections ?? 1024, 'connections', 1, 16384),
    conversations: whole(options.conversations ?? 512, 'conversations', 1, 16384),
    buffers: whole(options.buffers ?? 64 << 20, 'buffers', 1 << 20, 1 << 30),
    permit: options.permit ?? (() => true),
    warn: options.warn ?? (() => {}),
  }
}
